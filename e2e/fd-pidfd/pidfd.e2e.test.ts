import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

flavours('descriptors of this process, and of processes that are gone', { start: () => Target.program('pidfds') });

flavours('descriptors of this thread, and how processes ended', {
  start: () => Target.program('pidfds', ['more']),
  notWithCriu: 'it refuses PIDFD_THREAD',
});

flavours('descriptors of threads that are no main threads', {
  start: () => Target.program('pidfd-threads', [], { flags: ['-pthread'] }),
  notWithCriu: 'it refuses PIDFD_THREAD',
});
