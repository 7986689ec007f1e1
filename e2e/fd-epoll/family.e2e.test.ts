// What events are between processes, so it is in every package of events at once: pipes, counters, epolls, pidfds.
import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

flavours('pipes, counters and pidfds between parent, child and a dead child', {
  start: () => Target.program('event-family'),
});

flavours('an epoll that watches what only another process has', {
  start: () => Target.program('event-family', ['more']),
  notWithCriu: 'it refuses targets of other processes',
});
