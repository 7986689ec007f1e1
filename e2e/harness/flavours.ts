/**
 * One program, every way to come through a dump: a program that passes plainly proves itself, and each other
 * flavour then says something about crts.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { crtsKilledAfter, must } from './checkpointer';
import { expectReadable } from './crit';
import { missing } from './needs';
import { seeded } from './random';
import { type SnapshotOptions, snapshot } from './snapshot';
import type { Target } from './target';
import { until } from './until';

export interface Scenario extends SnapshotOptions {
  readonly start: () => Promise<Target>;
  /** Programs of the system that it needs. */
  readonly needs?: readonly string[];
  /** Options of dump and restore. */
  readonly options?: readonly string[];
  /** What the program does between the restore and its own check, as a user of it would see. */
  readonly afterRestore?: (target: Target) => Promise<void>;
  /** Lets the program check itself; by default the go file is made. */
  readonly finish?: (target: Target) => Promise<void>;
  /** Flavours to run instead of all. */
  readonly only?: readonly string[];
  /** Why CRIU 4.2 cannot carry this: its flavour is left out. */
  readonly notWithCriu?: string | undefined;
  /** Why the program is not what it was when CRIU 4.2 dumped it: CRIU restores what crts dumped, and that is all. */
  readonly notDumpedByCriu?: string | undefined;
}

const KILLS = 4;
/** A dump is over by then, start of node included. */
const DUMP_MS = 150;

type Flavour = (target: Target, scenario: Scenario) => Promise<void>;

async function cycle(target: Target, scenario: Scenario): Promise<void> {
  const before = snapshot(target.pid, scenario);
  await target.cycle(...(scenario.options ?? []));
  expect(snapshot(target.pid, scenario)).toEqual(before);
  await scenario.afterRestore?.(target);
}

const FLAVOURS: Record<string, Flavour> = {
  plain: async () => undefined,
  once: cycle,
  repeated: async (target, scenario) => {
    for (let round = 0; round < 3; round++) await cycle(target, scenario);
  },
  'left running': async (target, scenario) => {
    const before = snapshot(target.pid, scenario);
    must(target.dump('--leave-running', ...(scenario.options ?? [])));
    expect(snapshot(target.pid, scenario)).toEqual(before);
  },
  killed: async (target, scenario) => {
    const random = seeded();
    for (let kill = 0; kill < KILLS; kill++) await dumpKilledAfter(random() * DUMP_MS, target, scenario);
    await cycle(target, scenario);
  },
};

/**
 * crts to criu, and back: each restores what the other dumped; crit reads what crts wrote. The program checks itself; from
 * outside nothing is compared, since CRIU changes names and flags of descriptors and moves clocks into a namespace.
 */
const interchange: Flavour = async (target, scenario) => {
  const options = scenario.options ?? [];
  must(target.dump(...options));
  await target.gone();
  expectReadable(target.images);
  must(target.restoreWithCriu(...options));
  await scenario.afterRestore?.(target);
  if (scenario.notDumpedByCriu !== undefined) return;
  target.clearImages();
  must(target.dumpWithCriu(...options));
  await target.gone();
  must(target.restore(...options));
  await scenario.afterRestore?.(target);
};

/**
 * A dump whose engine is killed at some moment. The program goes on; where the dump was complete and the program was ended
 * as it should be, the images bring it back.
 */
export async function dumpKilledAfter(milliseconds: number, target: Target, scenario: Scenario): Promise<void> {
  const before = snapshot(target.pid, scenario);
  const slept = isAsleep(target);
  target.clearImages();
  await crtsKilledAfter(milliseconds, 'dump', ...target.dumpArguments(...(scenario.options ?? [])));
  // An agent that lost its engine, or a program on its way out, needs a moment.
  // One that slept in a system call sleeps again: a signal must not come between its repair and that call.
  const isSettled = () =>
    !target.alive() || (isAsBefore(target, JSON.stringify(before), scenario) && (!slept || isAsleep(target)));
  // What differs is shown by the comparison below.
  await until('the program to be as before or to be gone', isSettled, 5).catch(() => undefined);
  if (!target.alive()) {
    if (!existsSync(join(target.images, 'inventory.img')))
      throw new Error(`killed after ${milliseconds} ms: the program is dead and its images are incomplete`);
    await target.gone();
    must(target.restore(...(scenario.options ?? [])));
  }
  expect(snapshot(target.pid, scenario)).toEqual(before);
}

function isAsleep(target: Target): boolean {
  return /^State:\s+S/m.test(target.proc('status'));
}

const PENDING_SIGKILL = 1n << 8n;

/** As it was before, agent gone, and not about to die of the dump's own SIGKILL. */
function isAsBefore(target: Target, before: string, scenario: Scenario): boolean {
  try {
    const pending = [...target.proc('status').matchAll(/^S(?:ig|hd)Pnd:\s+(\w+)/gm)];
    if (pending.some((match) => (BigInt(`0x${match[1]}`) & PENDING_SIGKILL) !== 0n)) return false;
    return JSON.stringify(snapshot(target.pid, scenario)) === before;
  } catch {
    return false;
  }
}

/** Makes a test of each flavour. */
export function flavours(title: string, scenario: Scenario): void {
  describe(title, () => {
    const run = (flavour: Flavour) => async () => {
      const target = await scenario.start();
      await flavour(target, scenario);
      await (scenario.finish ?? ((ended: Target) => ended.finish()))(target);
    };
    const define = (name: string, flavour: Flavour, needs: readonly string[]) => {
      const lacking = missing(needs);
      if (lacking.length === 0) test(name, run(flavour));
      else test.skip(`${name} (needs ${lacking.join(', ')})`, () => undefined);
    };
    const isWanted = (name: string) => scenario.only?.includes(name) ?? true;
    for (const [name, flavour] of Object.entries(FLAVOURS))
      if (isWanted(name)) define(name, flavour, scenario.needs ?? []);
    if (scenario.notWithCriu === undefined && isWanted('criu and back'))
      define(scenario.notDumpedByCriu === undefined ? 'criu and back' : 'criu', interchange, [
        ...(scenario.needs ?? []),
        'CRTS_CRIU',
        'crit',
      ]);
  });
}
