// Whatever happens to crts while it works, the program goes on, or is in its images; a restore is whole, or leaves nothing.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { crtsBinary, must, temporaryDirectory } from '../harness/checkpointer';
import { seeded } from '../harness/random';
import { type SnapshotOptions, snapshot } from '../harness/snapshot';
import { Target } from '../harness/target';
import { until } from '../harness/until';

const ROUNDS = Number(process.env.CRTS_DISTURBANCES ?? 8);
const PTHREAD = { flags: ['-pthread'] };

type Random = () => number;

interface Disturbance {
  readonly name: string;
  /** The command that runs crts. */
  readonly around?: readonly string[];
  /** What crts writes to: nobody reads it. */
  readonly output?: 'closed' | 'full';
  readonly options?: readonly string[];
  /** Kilobytes of the file system of the images. */
  readonly disk?: number | undefined;
  readonly meanwhile?: (crts: ChildProcess) => Promise<void>;
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** A signal at some moment of a run that takes about `ms`. */
function signal(name: NodeJS.Signals, random: Random, ms: number): Disturbance {
  const after = random() * ms;
  return {
    name: `${name} after ${after.toFixed(1)} ms`,
    meanwhile: async (crts) => {
      await pause(after);
      crts.kill(name);
      if (name !== 'SIGSTOP') return;
      await pause(random() * 100);
      crts.kill('SIGCONT');
    },
  };
}

const SIGNALS = ['SIGKILL', 'SIGTERM', 'SIGINT', 'SIGHUP', 'SIGSTOP', 'SIGQUIT', 'SIGKILL', 'SIGTERM'] as const;

function any(random: Random, ms: number): Disturbance {
  const below = (limit: number) => Math.floor(random() * limit);
  const limit = (option: string, value: number): Disturbance => ({
    name: `${option}=${value}`,
    around: ['prlimit', `--${option}=${value}:${value}`],
  });
  switch (below(9)) {
    case 0:
      return limit('nofile', 16 + below(60));
    case 1:
      return limit('fsize', below(200_000));
    case 2:
      return limit('as', (600 + below(1500)) * 1024 * 1024);
    case 3: {
      const disk = 4 + below(600);
      return { name: `a disk of ${disk} kB`, disk };
    }
    case 4:
      return { name: 'output that nobody reads', output: 'closed', options: ['-v4'] };
    case 5:
      return { name: 'a full log', output: 'full', options: below(2) === 0 ? ['-v4'] : ['-v4', '-o', '/dev/full'] };
    default:
      return signal(SIGNALS[below(SIGNALS.length)]!, random, ms);
  }
}

interface End {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stderr: string;
}

async function run(
  args: readonly string[],
  { around = [], output, options = [], meanwhile }: Disturbance,
): Promise<End> {
  const command = [...around, crtsBinary, ...args, ...options];
  const redirected = { closed: 'set -o pipefail; "$@" 2>&1 | true', full: 'exec "$@" > /dev/full 2>&1' };
  const [program, ...rest] = output === undefined ? command : ['bash', '-c', redirected[output], 'bash', ...command];
  const crts = spawn(program!, rest, {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, TMPDIR: temporaryDirectory },
  });
  let stderr = '';
  crts.stderr!.setEncoding('utf8').on('data', (text) => {
    stderr += text;
  });
  const end = new Promise<End>((resolve, reject) => {
    crts.once('close', (status, signal) => resolve({ status, signal, stderr }));
    crts.once('error', reject);
  });
  await Promise.all([end, meanwhile?.(crts)]);
  return end;
}

/** An error that explains itself; nobody can say so whose output goes nowhere. */
function expectExplained({ status, signal, stderr }: End, { output, name }: Disturbance): void {
  if (signal !== null || status === 0 || output !== undefined) return;
  expect([name, status, stderr]).toEqual([name, 1, expect.stringMatching(/^crts: .* \[CRTS_\w+\]$/m)]);
  expect([name, stderr]).toEqual([name, expect.not.stringMatching(/CRTS_BUG|^\s+at /m)]);
}

class Disk {
  readonly #path: string;
  #mounted = false;

  constructor(path: string) {
    this.#path = path;
  }

  limit(kilobytes: number | undefined): void {
    this.release();
    if (kilobytes === undefined) return;
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${kilobytes}k`, 'none', this.#path]);
    this.#mounted = true;
  }

  release(): void {
    if (this.#mounted) execFileSync('umount', [this.#path]);
    this.#mounted = false;
  }

  [Symbol.dispose](): void {
    this.release();
  }
}

const looks = (target: Target, options: SnapshotOptions): string => {
  try {
    // The disk of the images is a mount; a tracked mapping is still the program's.
    return JSON.stringify({ ...snapshot(target.pid, options), mountinfo: '' }).replaceAll(/ uw(?= )/g, '');
  } catch {
    return 'gone';
  }
};

const DUMPS: readonly (readonly [action: string, ...options: string[]])[] = [
  ['dump'],
  ['dump', '--leave-running'],
  ['pre-dump', '--track-mem'],
];

interface Case {
  readonly program: string;
  readonly args: readonly string[];
  readonly options?: object;
  readonly look?: SnapshotOptions;
}

const CASES: readonly Case[] = [
  { program: 'busy', args: ['float'] },
  { program: 'crowd', args: ['12'], options: PTHREAD },
  { program: 'memory', args: ['DIR/mapped'] },
  {
    program: 'sharing',
    args: ['DIR', 'clone 0 1 files,fs', 'setsid 1', 'clone 1 2 vm,sighand', 'clone 2 3 files', 'clone 0 4 fs'],
  },
  { program: 'unix-rights', args: ['DIR'] },
];

describe.each(CASES)('$program $args', ({ program, args, options = {}, look = {} }) => {
  const start = () => Target.program(program, args, options);

  test('a dump', async () => {
    const target = await start();
    const random = seeded();
    const before = looks(target, look);
    using disk = new Disk(target.images);
    const took = process.hrtime.bigint();
    must(target.dump('--leave-running'));
    const ms = 1.2 * (Number(process.hrtime.bigint() - took) / 1e6);
    for (let round = 0; round < ROUNDS; round++) {
      const [action, ...more] = DUMPS[Math.floor(random() * DUMPS.length)]!;
      const disturbance = any(random, ms);
      const { name } = disturbance;
      disk.release();
      target.clearImages();
      disk.limit(disturbance.disk);
      const end = await run([action, '-t', String(target.pid), '-D', target.images, ...more], disturbance);
      const told = `round ${round}: ${action} ${more.join(' ')}: ${name}: ${end.status ?? end.signal}: ${end.stderr.slice(0, 300)}`;
      log(told);
      expectExplained(end, disturbance);
      const isComplete = existsSync(join(target.images, 'inventory.img'));
      if (end.status === 1) {
        expect([told, ...leftIn(target.images)]).toEqual([told]);
      }
      // An agent that lost its engine, or a program on its way out, needs a moment.
      await until(
        'as before, or gone',
        () => !target.alive() || (looks(target, look) === before && isFree(target)),
        10,
      ).catch(() => undefined);
      if (!target.alive()) {
        if (!isComplete || action === 'pre-dump' || more.includes('--leave-running'))
          throw new Error(`dead: ${told}: ${target.text()}`);
        await target.gone();
        must(target.restore());
      }
      expect([told, JSON.parse(looks(target, look))]).toEqual([told, JSON.parse(before)]);
    }
    disk.release();
    await target.cycle();
    await target.finish();
  });

  test('a restore', async () => {
    const target = await start();
    const random = seeded();
    const before = looks(target, look);
    must(target.dump());
    await target.gone();
    const took = process.hrtime.bigint();
    must(target.restore());
    const ms = 1.2 * (Number(process.hrtime.bigint() - took) / 1e6);
    must(target.dump());
    await target.gone();
    for (let round = 0; round < ROUNDS; round++) {
      const disturbance = { ...any(random, ms), disk: undefined };
      const end = await run(['restore', '-d', '-D', target.images], disturbance);
      const told = `round ${round}: ${disturbance.name}: ${end.status ?? end.signal}: ${end.stderr.slice(0, 300)}`;
      log(told);
      expectExplained(end, disturbance);
      const isBack = () => existsSync(`/proc/${target.pid}`) && looks(target, look) === before && isFree(target);
      if (end.status === 0) {
        await until('as before', isBack, 10).catch(() => undefined);
        target.adoptRestored();
        expect([told, JSON.parse(looks(target, look))]).toEqual([told, JSON.parse(before)]);
      } else {
        // Killed when all was done, or not done at all.
        let back = 0;
        await until(
          `all or nothing: ${told}`,
          () => {
            back = isBack() ? back + 1 : 0;
            return back > 20 || isGone(target);
          },
          20,
        );
        if (back === 0) continue;
        target.adoptRestored();
      }
      must(target.dump());
      await target.gone();
    }
    must(target.restore());
    await target.finish();
  });
});

function log(text: string): void {
  if (process.env.CRTS_DISTURBANCES !== undefined) process.stdout.write(`${text.replaceAll('\n', ' | ')}\n`);
}

function isFree(target: Target): boolean {
  return /^TracerPid:\t0/m.test(target.proc('status'));
}

function isGone(target: Target): boolean {
  target.alive();
  return readdirSync(target.images)
    .flatMap((name) => (/^core-(\d+)\.img$/.exec(name) ?? []).slice(1))
    .every((pid) => !existsSync(`/proc/${pid}`));
}

/** Images, whole or half, of a dump that failed. */
function leftIn(images: string): string[] {
  return readdirSync(images).filter((name) => name.endsWith('.img') || name.startsWith('.'));
}
