import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

flavours('sockets that are of others than those who made them', {
  start: () => Target.program('unix-creds'),
  notWithCriu: 'it opens them in the first task that has them, and SO_PEERCRED names that one',
});
