import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

flavours('event counters', { start: () => Target.program('eventfds') });

flavours('an event counter at its end, and one that is a semaphore', {
  start: () => Target.program('eventfds', ['more']),
  notWithCriu: 'it makes plain counters of semaphores, and cuts counts to 32 bits',
});
