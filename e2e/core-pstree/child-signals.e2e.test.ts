// What wait(2) and signals tell a parent of children that were made with another signal than SIGCHLD, or were continued.
import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

flavours('children with exit signals of their own', {
  start: () => Target.program('child-signals', ['exit-signals']),
  notWithCriu: 'CRIU 4.2 makes every child with SIGCHLD',
});

flavours('children that were continued, of which their parent has been told or not', {
  start: () => Target.program('child-signals', ['continued']),
  notWithCriu: 'CRIU 4.2 does not look for it',
});

flavours('dead children of another user', {
  start: () => Target.program('child-signals', ['owners']),
  notWithCriu: 'CRIU 4.2 makes dead processes that are of root',
});
