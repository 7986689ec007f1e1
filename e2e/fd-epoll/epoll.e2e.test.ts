import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

flavours('epolls: targets, events, nested, edge triggered, one-shot, exclusive', {
  start: () => Target.program('epolls'),
});

flavours('epolls: targets whose numbers are closed or of others, one-shots that have fired', {
  start: () => Target.program('epolls', ['more']),
  notWithCriu: 'it registers targets under other numbers, and cannot where the number is in use',
});

flavours('an epoll that is in flight in a socket', {
  start: () => Target.program('epoll-in-flight'),
});

flavours('epolls whose targets are in flight alone', {
  start: () => Target.program('epoll-in-flight', ['targets']),
  notWithCriu: 'it looks for targets among open descriptors',
});
