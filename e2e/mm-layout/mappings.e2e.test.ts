import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

flavours('an address space with hardly any room', {
  start: () => Target.program('mappings', ['crowded']),
  notWithCriu: 'CRIU finds no place for its restorer',
});

flavours('stacks that grow on, one of them to its limit', { start: () => Target.program('mappings', ['stacks']) });

flavours('code that the program wrote', { start: () => Target.program('mappings', ['generated']) });

flavours('memory protection keys', {
  start: () => Target.program('mappings', ['keys']),
  notWithCriu: 'CRIU loses the keys of mappings',
});

flavours('what madvise and mlock leave on a mapping', { start: () => Target.program('mappings', ['flags']) });

flavours('sealed and droppable memory, memory locked when touched or as it is mapped', {
  start: () => Target.program('mappings', ['states']),
  notWithCriu: 'CRIU knows none of them',
});

flavours('memory that is locked when it is touched, whenever it is mapped', {
  start: () => Target.program('mappings', ['touched']),
  notWithCriu: 'CRIU does not know it',
});
