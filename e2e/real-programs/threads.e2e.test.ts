// Run-time systems with threads of their own: compilers, collectors, workers, timers.
import { join } from 'node:path';
import { repository } from '../harness/checkpointer';
import { testNeeding } from '../harness/needs';
import { Target } from '../harness/target';

const CYCLES = 3;

const program = (name: string) => join(repository, 'e2e/programs', name);

for (const [name, need, command, args] of [
  ['node with worker threads and timers', 'node', process.execPath, [program('workers.js'), 'GO']],
  ['java with threads that allocate', 'javac', 'java', ['-Xmx64m', program('Allocations.java'), 'GO']],
] as const) {
  testNeeding([need])(name, async () => {
    const target = Target.start(command, args);
    await target.ready();
    for (let cycle = 0; cycle < CYCLES; cycle++) await target.cycle();
    await target.finish();
  });
}
