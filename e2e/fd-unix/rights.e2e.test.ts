import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

flavours('descriptors and credentials in flight', {
  start: () => Target.program('unix-rights', ['DIR']),
  notWithCriu: 'the next test leaves out what CRIU loses',
});

flavours('descriptors in flight as far as CRIU carries them', {
  start: () => Target.program('unix-rights', ['DIR', 'criu']),
  only: ['criu and back'],
});
