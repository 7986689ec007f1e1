// The engine is killed at random moments of a dump; the program must never notice.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { repository } from '../harness/checkpointer';
import { snapshot } from '../harness/snapshot';
import { Target } from '../harness/target';
import { until } from '../harness/until';

const KILLS = Number(process.env.CRTS_KILLS ?? 250);

/** A random number from 0 to 1 by a printed seed (mulberry32). */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** Dumps with --leave-running in an endless loop, and says when each begins: a process to be killed. */
function startDumper(target: Target): ReturnType<typeof spawn> {
  return spawn(process.execPath, [join(repository, 'e2e/harness/dumper.js'), String(target.pid), target.images], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

test.each([
  ['busy', 'integer', KILLS],
  ['busy', 'float', KILLS],
  // Threads in all kinds of calls, which none may come out of too early.
  ['crowd', '30', Math.ceil(KILLS / 5)],
] as const)(
  '%s (%s) survives %s kills of the engine',
  async (program, work, kills) => {
    const seed = Number(process.env.CRTS_SEED ?? 20261126);
    console.log(`CRTS_SEED=${seed}`);
    const next = random(seed);
    const target = await Target.program(program, [work], { flags: ['-pthread'] });
    const before = snapshot(target.pid);
    for (let kill = 0; kill < kills; kill++) {
      rmSync(target.images, { recursive: true, force: true });
      mkdirSync(target.images);
      const dumper = startDumper(target);
      const dead = new Promise((resolve) => dumper.once('exit', resolve));
      // The first dump runs cold, the others warm: a kill falls into any moment of either.
      await new Promise((resolve) => dumper.stdout!.once('data', resolve));
      await new Promise((resolve) => setTimeout(resolve, next() * 60));
      dumper.kill('SIGKILL');
      await dead;
      if (!target.alive()) throw new Error(`dead after kill ${kill} (CRTS_SEED=${seed}): ${target.text()}`);
    }
    await until('the tracer to be forgotten', () => /^TracerPid:\t0/m.test(target.proc('status')));
    // The agent of the last dump lets go in its own time.
    await until(
      'the program to be as it was',
      () => JSON.stringify(snapshot(target.pid)) === JSON.stringify(before),
      100,
    ).catch(() => undefined);
    expect(snapshot(target.pid)).toEqual(before);
    expect(existsSync(target.go)).toBe(false);
    await target.finish();
  },
  1_500_000,
);
