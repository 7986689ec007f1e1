import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

flavours('sockets that are of others than those who made them', {
  start: () => Target.program('unix-creds'),
  notWithCriu: 'it opens them in the first task that has them, and SO_PEERCRED names that one',
});

flavours('listeners and clients of several tasks and users', {
  start: () => Target.program('unix-makers', ['DIR']),
  notWithCriu: 'it opens them in the first task that has them, as root',
});
