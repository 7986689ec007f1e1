// Trees of programs that nobody wrote for crts, dumped again and again while they work, and asked for their whole result.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { testNeeding } from '../harness/needs';
import { Target } from '../harness/target';
import { until } from '../harness/until';

const CYCLES = 20;
/** Lines that each program writes, in any order, before it ends by itself. */
const LINES = 2000;

/** Cycles while the program has work left, fewer on a slow machine; then all it had to write is there, each line once. */
async function worksOn(target: Target, lines = LINES): Promise<void> {
  const count = () => target.text().split('\n').length - 1;
  await until('the program to work', () => count() > 3);
  for (let cycle = 0; cycle < CYCLES && count() < lines / 2; cycle++) {
    const reached = count();
    target.clearImages();
    await target.cycle();
    await until('the program to work on', () => count() > reached);
  }
  await until('the program to end', () => !target.alive(), 300);
  const numbers = target.text().trimEnd().split('\n').map(Number);
  expect(numbers.sort((a, b) => a - b)).toEqual(Array.from({ length: lines }, (_, i) => i + 1));
}

const TIMEOUT_MS = 600_000;

testNeeding(['bash'])(
  'bash: a pipeline beside jobs in groups of their own',
  async () => {
    const job = '(while :; do sleep 0.1; done) &';
    const pipeline = `for ((i = 1; i <= ${LINES}; i++)); do echo $i; sleep 0.02; done | while read n; do echo $n; done | cat`;
    await worksOn(
      Target.start('bash', ['-c', `exec 2> /dev/null; set -m; ${job} ${job} ${pipeline}; kill %1 %2; wait`]),
    );
  },
  TIMEOUT_MS,
);

testNeeding(['xargs'])(
  'xargs -P 4',
  async () => {
    const script = `seq 1 ${LINES} | xargs -P 4 -n 1 sh -c 'sleep 0.05; echo $0'`;
    await worksOn(Target.start('sh', ['-c', script]));
  },
  TIMEOUT_MS,
);

testNeeding(['make'])(
  'make -j 4',
  async () => {
    const target = Target.start('sh', ['-c', 'while [ ! -e Makefile ]; do sleep 0.01; done; exec make -s -j 4 all']);
    const goals = Array.from({ length: LINES }, (_, i) => i + 1).join(' ');
    const rule = `all: ${goals}\n${goals}:\n\t@sleep 0.05; echo $@\n`;
    writeFileSync(join(target.directory, 'rules'), rule);
    writeFileSync(join(target.directory, 'Makefile'), rule);
    await worksOn(target);
  },
  TIMEOUT_MS,
);

// Without a pool: each has a pipe of its own, and waits for all of them at once.
const WORKERS = [
  'import multiprocessing, multiprocessing.connection, time',
  'context = multiprocessing.get_context("fork")',
  'def work(pipe):',
  '    while True:',
  '        n = pipe.recv()',
  '        time.sleep(0.05)',
  '        pipe.send(n)',
  'pipes = []',
  'for i in range(4):',
  '    mine, its = context.Pipe()',
  '    context.Process(target=work, args=(its,), daemon=True).start()',
  '    pipes.append(mine)',
  'for n, pipe in enumerate(pipes):',
  '    pipe.send(n + 1)',
  'sent, done = 4, 0',
  `while done < ${LINES}:`,
  '    for pipe in multiprocessing.connection.wait(pipes):',
  '        print(pipe.recv(), flush=True)',
  '        done += 1',
  `        if sent < ${LINES}:`,
  '            sent += 1',
  '            pipe.send(sent)',
].join('\n');

testNeeding(['python3'])(
  'python3: workers of multiprocessing',
  async () => {
    await worksOn(Target.start('/usr/bin/python3', ['-c', WORKERS]));
  },
  TIMEOUT_MS,
);
