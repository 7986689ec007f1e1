import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

const flags = ['-pthread'];

flavours('files of /proc, of the dead and of the living', {
  start: () => Target.program('proc-files', [], { flags }),
});

flavours('files of /proc of a thread', {
  start: () => Target.program('proc-files', ['threads'], { flags }),
  only: ['plain', 'once', 'repeated', 'left running'],
});
