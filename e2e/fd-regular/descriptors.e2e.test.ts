import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

flavours('regular files, directories and devices: numbers, flags, offsets, sharing, owner', {
  start: () => Target.program('fds', ['DIR']),
});
