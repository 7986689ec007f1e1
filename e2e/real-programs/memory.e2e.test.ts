/** Programs with much memory, which they or their clients check to the last byte. CRTS_E2E_FULL=1 makes them big. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { repository } from '../harness/checkpointer';
import { flavours } from '../harness/flavours';
import { cyclesUnderLoad, linesOf } from '../harness/load';
import { testNeeding } from '../harness/needs';
import { contents, socketOf, startRedis } from '../harness/redis';
import { mebibytes } from '../harness/size';
import { Target } from '../harness/target';
import { until } from '../harness/until';

const TIMEOUT_MS = 1_200_000;
const PATIENCE_SECONDS = 300;
const CYCLES = 3;
const VALUE_BYTES = 1000;

function benchmark(redis: Target, requests: number, value: string): void {
  // Placeholders are replaced by numbers below the one of -r, each by one of its own.
  const command = ['SET', 'key:__rand_int__', `__rand_int__ ${value}`];
  const args = ['-s', socketOf(redis), '-n', String(requests), '-r', String(requests), '-P', '16', '-q', ...command];
  const { status, stderr } = spawnSync('redis-benchmark', args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`redis-benchmark: ${status} ${stderr}`);
}

testNeeding(['redis-server', 'redis-benchmark'])(
  'redis, filled until just before the dump, has each key with its value after',
  async () => {
    const size = mebibytes(1024);
    // Of so many keys at random some are met twice, and the rest has the size asked for with what redis spends on each.
    const requests = Math.ceil((size * 1_048_576) / VALUE_BYTES);
    const redis = await startRedis();
    for (let cycle = 0; cycle < 2; cycle++) {
      benchmark(redis, requests, String(cycle).repeat(VALUE_BYTES));
      const before = await contents(redis);
      expect(before.size).toBeGreaterThan(requests / 2);
      redis.clearImages();
      await redis.cycle();
      const after = await contents(redis);
      expect(after.size).toBe(before.size);
      expect([...before].filter(([key, value]) => after.get(key) !== value)).toEqual([]);
    }
  },
  TIMEOUT_MS,
);

flavours('redis with keys, in the images of crts and of CRIU', {
  needs: ['redis-server', 'redis-benchmark'],
  only: ['criu and back'],
  start: async () => {
    const redis = await startRedis();
    benchmark(redis, 10_000, 'x'.repeat(VALUE_BYTES));
    before = await contents(redis);
    return redis;
  },
  afterRestore: async (redis) => expect(await contents(redis)).toEqual(before),
  finish: (redis) => redis.end(),
});
let before: Map<string, string>;

for (const [name, need, size, start] of [
  [
    'java with a heap',
    'javac',
    512,
    (size: number) => ['java', `-Xmx${64 + size * 1.5}m`, 'PROGRAMS/Heap.java', 'GO', `${size}`],
  ],
  ['node with buffers', 'node', 500, (size: number) => ['node', 'PROGRAMS/buffers.js', 'GO', `${size}`]],
] as const)
  testNeeding([need])(
    name,
    async () => {
      const [command, ...args] = start(mebibytes(size)).map((word) =>
        word.replace('PROGRAMS', join(repository, 'e2e/programs')),
      );
      const target = Target.start(command!, args);
      const lines = linesOf(target);
      await until('the program to work', () => lines() > 0, PATIENCE_SECONDS);
      for (let cycle = 0; cycle < CYCLES; cycle++) {
        target.clearImages();
        await target.cycle();
        const reached = lines();
        await until('the program to work on', () => lines() > reached, PATIENCE_SECONDS);
      }
      await target.finish(PATIENCE_SECONDS);
    },
    TIMEOUT_MS,
  );

for (const [name, needs, command, ...args] of [
  [
    'redis with its clients',
    ['redis-server', 'redis-benchmark', 'python3'],
    '/usr/bin/python3',
    'redis-load.py',
    'GO',
    'DIR',
  ],
  ['node with buffers', ['node'], process.execPath, 'buffers.js', 'GO', '64'],
  ['a pool of python3', ['python3'], '/usr/bin/python3', 'pool.py', 'GO'],
  ['java', ['javac'], 'java', 'Heap.java', 'GO', '64'],
] as const)
  testNeeding(needs)(
    `${name}, in increments`,
    async () => {
      const [script, ...rest] = args;
      const target = Target.start(command, [join(repository, 'e2e/programs', script), ...rest]);
      await cyclesUnderLoad(target, linesOf(target), { preDumps: 2, cycles: 3 });
      await target.finish(PATIENCE_SECONDS);
    },
    TIMEOUT_MS,
  );
