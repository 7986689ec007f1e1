import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

flavours('POSIX timers of all clocks and notifications', { start: () => Target.program('posix-timers') });

flavours('POSIX timers that fire on', {
  start: () => Target.program('posix-timers', ['firing']),
  handlesSignals: true,
});

flavours('a POSIX timer that missed intervals', {
  start: () => Target.program('posix-timers', ['overrun']),
  notWithCriu: 'CRIU 4.2 writes the overrun count and does not restore it',
});

flavours('POSIX timers on CPU time of each thread', {
  start: () => Target.program('thread-timers', [], { flags: ['-pthread'] }),
  handlesSignals: true,
  timersMayDiffer: true,
  notWithCriu: 'CRIU 4.2 gives all of them to the main thread',
});
