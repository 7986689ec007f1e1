// State that few programs set, seen from inside: of the process, of each thread, and of a child.
import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

const FLAGS = ['-pthread'];
const ONLY = ['plain', 'once', 'repeated', 'left running'];

for (const what of ['securebits', 'threads', 'child'])
  flavours(`credentials: ${what}`, {
    start: () => Target.program('corners', [what], { flags: FLAGS }),
    only: ONLY,
  });
