import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

flavours('shared anonymous memory, whole and in parts, twice and more', {
  start: () => Target.program('shared-memory', ['views']),
});

flavours('what was cut off a mapping is still in the object', {
  start: () => Target.program('shared-memory', ['cut']),
  notWithCriu: 'CRIU takes the mappings for the size of the object',
});

flavours('terabytes of shared memory with a few pages', {
  start: () => Target.program('shared-memory', ['sparse']),
  notWithCriu: 'CRIU wants room for all of it',
});

flavours('advice, locks and guards on shared memory', {
  start: () => Target.program('shared-memory', ['advice']),
  notWithCriu: 'CRIU has no guards on shared memory',
});

flavours('shared memory of a family', { start: () => Target.program('shared-memory', ['family']) });

flavours('shared memory that is open and mapped privately', {
  start: () => Target.program('shared-memory', ['opened']),
  notWithCriu: 'CRIU makes several objects of it',
});
