/** Run-time systems with threads of their own: compilers, collectors, pollers, workers, timers; dumped while they work. */
import { join } from 'node:path';
import { repository } from '../harness/checkpointer';
import { compile, compileGo, compileRust } from '../harness/compile';
import { flavours } from '../harness/flavours';
import { CYCLES_TIMEOUT_MS, cyclesUnderLoad, type LoadOptions, linesOf } from '../harness/load';
import { testNeeding } from '../harness/needs';
import { Target } from '../harness/target';
import { until } from '../harness/until';

const program = (name: string) => join(repository, 'e2e/programs', name);

interface Case {
  readonly name: string;
  readonly need: string;
  readonly start: () => readonly [string, ...string[]];
  readonly load?: LoadOptions;
}

const node = (script: string, ...args: string[]) => ({
  need: 'node',
  start: (): readonly [string, ...string[]] => [process.execPath, program(script), 'GO', ...args],
});

const CASES: readonly Case[] = [
  { name: 'node with worker threads and timers', ...node('workers.js') },
  {
    name: 'node with fs.watch',
    ...node('watching.js', 'DIR/watched'),
    // Nobody can look at events that nobody has read, and this program waits for each of them.
    load: { dumpOptions: ['--inotify-events', 'fail'], refusedAtTimes: 'CRTS_INOTIFY_EVENTS' },
  },
  { name: 'node with children and IPC', ...node('children.js') },
  {
    name: 'node as a cluster',
    ...node('cluster.js', 'DIR/socket'),
    // Nor at what a client has sent that was not accepted yet.
    load: { refusedAtTimes: 'CRTS_SOCKET_WAITING' },
  },
  {
    name: 'java with threads that allocate',
    need: 'javac',
    start: () => ['java', '-Xmx64m', program('Allocations.java'), 'GO'],
  },
  { name: 'go with goroutines and a child', need: 'go', start: () => [compileGo('threads'), 'GO'] },
  { name: 'rust with channels, locks and a barrier', need: 'rustc', start: () => [compileRust('threads'), 'GO'] },
  {
    name: 'glibc with threads that come and go',
    need: 'cc',
    start: () => [compile('relay', ['-pthread']), 'GO'],
  },
  {
    name: 'musl, static, with threads that come and go',
    need: 'musl-gcc',
    start: () => [compile('relay', ['-static', '-pthread'], 'musl-gcc'), 'GO'],
  },
];

for (const { name, need, start, load } of CASES) {
  const started = () => {
    const [command, ...args] = start();
    return Target.start(command, args);
  };
  testNeeding([need])(
    name,
    async () => {
      const target = started();
      await cyclesUnderLoad(target, linesOf(target), load);
      await target.finish(120);
    },
    CYCLES_TIMEOUT_MS,
  );
  // What is not refused at times.
  if (load !== undefined) continue;
  flavours(`${name}, and CRIU`, {
    needs: [need],
    only: ['criu and back'],
    start: async () => {
      const target = started();
      await until('the program to work', () => linesOf(target)() > 3, 60);
      return target;
    },
    afterRestore: async (target) => {
      const reached = linesOf(target)();
      await until('the program to work on', () => linesOf(target)() > reached, 60);
    },
  });
}
