import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

flavours('three interval timers that fire on', {
  start: () => Target.program('state', ['timers']),
  handlesSignals: true,
  notWithCriu: 'CRIU 4.2 loses an interval timer whose signal waits at the moment of the dump',
});
