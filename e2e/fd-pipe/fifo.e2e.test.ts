import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

flavours('FIFOs: contents, sizes, flags, ends that are gone', { start: () => Target.program('fifos', ['DIR']) });

flavours('FIFOs: unlinked, and a reader that has met nobody', {
  start: () => Target.program('fifos', ['DIR', 'more']),
  notWithCriu: 'its readers are told a hang-up by whoever opened the FIFO for them',
});
