/** python3 with processes, queues, locks and loops of its own. */
import { join } from 'node:path';
import { repository } from '../harness/checkpointer';
import { CYCLES_TIMEOUT_MS, cyclesUnderLoad, linesOf } from '../harness/load';
import { testNeeding } from '../harness/needs';
import { Target } from '../harness/target';

const program = (name: string) => join(repository, 'e2e/programs', name);

for (const [name, args, ...options] of [
  ['a pool of multiprocessing', ['pool.py', 'GO']],
  ['asyncio with subprocesses', ['subprocesses.py', 'GO', 'threads']],
  ['asyncio with subprocesses that it waits for by pidfd', ['subprocesses.py', 'GO', 'pidfd']],
  ['files of O_TMPFILE that get a name', ['tmpfiles.py', 'GO', 'DIR'], '--link-remap'],
  ['sqlite in WAL mode, two writers and a reader', ['wal.py', 'GO', 'DIR/data.db'], '--file-locks'],
] as const)
  testNeeding(['python3'])(
    `python3: ${name}`,
    async () => {
      const target = Target.start('/usr/bin/python3', [program(args[0]), ...args.slice(1)]);
      await cyclesUnderLoad(target, linesOf(target), { options });
      await target.finish(120);
    },
    CYCLES_TIMEOUT_MS,
  );
