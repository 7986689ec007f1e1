import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

flavours('sockets between parent and children', {
  start: () => Target.program('unix-tree', ['DIR']),
  notWithCriu: 'the next test leaves out what CRIU loses',
});

flavours('sockets between parent and children as far as CRIU carries them', {
  start: () => Target.program('unix-tree', ['DIR', 'criu']),
  only: ['criu and back'],
});
