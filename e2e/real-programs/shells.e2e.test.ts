/** Scripts of shells and perl, with pipes, documents and children of their own, dumped while they work. */
import { join } from 'node:path';
import { repository } from '../harness/checkpointer';
import { CYCLES_TIMEOUT_MS, cyclesUnderLoad, linesOf } from '../harness/load';
import { testNeeding } from '../harness/needs';
import { Target } from '../harness/target';

for (const [name, shell, script] of [
  ['bash with here-documents, process substitution and a coprocess', 'bash', 'documents.sh'],
  ['a pipeline of seven programs', 'sh', 'pipeline.sh'],
  ['perl with children, socket pairs and signals', 'perl', 'prefork.pl'],
] as const)
  testNeeding([shell])(
    name,
    async () => {
      const target = Target.start(shell, [join(repository, 'e2e/programs', script), 'GO']);
      await cyclesUnderLoad(target, linesOf(target));
      await target.finish(120);
    },
    CYCLES_TIMEOUT_MS,
  );
