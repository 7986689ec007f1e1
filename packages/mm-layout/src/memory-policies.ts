import { readFileSync } from 'node:fs';
import type { CrtsMempolicyEntry, MmEntry } from '@crts/image-io';
import type { FrozenTask, Program, RestoreContext, TaskImages, TaskPlan, TaskStateHandler } from '@crts/plugin-api';
import { badLayout } from './errors';

const NAME = 'mm-layout';
/** man 2 get_mempolicy, man 2 mbind. */
const MPOL_F_ADDR = 2;
const MPOL_MF_MOVE = 2;
/** MPOL_WEIGHTED_INTERLEAVE is the last of Linux 6.18; with MPOL_F_STATIC_NODES, MPOL_F_RELATIVE_NODES, MPOL_F_NUMA_BALANCING. */
const MODE_MAX = 6;
const MODE_FLAGS = 0xe000;
const WORDS_MAX = 16;
const USER_END = 0x7fff_ffff_f000n;

/** Nodes by number, from a list like `0-3,8`. */
export function nodesOf(list: string): number[] {
  return list
    .trim()
    .split(',')
    .filter(Boolean)
    .flatMap((range) => {
      const [first, last = first] = range.split('-').map(Number) as [number, number?];
      return Array.from({ length: last! - first + 1 }, (_, index) => first + index);
    });
}

function nodes(which: 'possible' | 'has_memory'): number[] {
  try {
    return nodesOf(readFileSync(`/sys/devices/system/node/${which}`, 'latin1'));
  } catch {
    return [];
  }
}

let possible: number[] | undefined;

/** Where mbind(2) wants the pages of a mapping: it is kept for the mappings, and asked at the first page of each. */
export const memoryPolicies: TaskStateHandler = {
  name: NAME,

  dump(task: FrozenTask, program: Program) {
    // They do not change while the kernel runs.
    possible ??= nodes('possible');
    // A kernel without NUMA has no such policies.
    if (possible.length === 0) return () => undefined;
    const words = Math.floor(possible.at(-1)! / 64) + 1;
    const asked = task.facts.vmas
      .filter(({ start, name }) => start < USER_END && !name.startsWith('[v'))
      .map(({ start, end }) => {
        const mode = program.out(4);
        const mask = program.out(8 * words);
        const result = program.call('get_mempolicy', [mode, mask, 64 * words, start, MPOL_F_ADDR], { expect: 'any' });
        return { start, end, mode, mask, result };
      });
    return () => {
      const policies: CrtsMempolicyEntry[] = [];
      for (const { start, end, mode, mask, result } of asked) {
        if (result.value !== 0n) continue;
        const bits = mode.read().readUInt32LE(0);
        if (bits === 0) continue;
        const bytes = mask.read();
        policies.push({
          start,
          end,
          mode: bits,
          nodes: Array.from({ length: words }, (_, at) => bytes.readBigUInt64LE(8 * at)),
        });
      }
      if (policies.length > 0) (task.images.mm as MmEntry).crts_mempolicies = policies;
    };
  },

  plan(images: TaskImages, plan: TaskPlan, { log }: RestoreContext): void {
    const policies = (images.mm as MmEntry).crts_mempolicies ?? [];
    if (policies.length === 0) return;
    const memory = nodes('has_memory').reduce((bits, node) => bits | (1n << BigInt(node)), 0n);
    const kept = policies.filter((policy) => {
      checkPolicy(plan.pid, policy, images);
      const missing = maskOf(policy) & ~memory;
      if (missing !== 0n)
        log.warn(
          { pid: plan.pid, vma: policy.start.toString(16) },
          'the NUMA policy of a mapping is lost: this machine has not all of its nodes',
        );
      return missing === 0n;
    });
    if (kept.length === 0) return;
    plan.pass({ plugin: NAME, stage: 'memory', what: 'NUMA policies of mappings', needs: ['vmas'] }, (program) => {
      for (const { start, end, mode, nodes: words } of kept) {
        const mask = Buffer.alloc(8 * words.length);
        words.forEach((word, at) => {
          mask.writeBigUInt64LE(word, 8 * at);
        });
        // The kernel takes one bit less than it is told: get_nodes(), mm/mempolicy.c.
        program.call('mbind', [start, end - start, mode, program.bytes(mask), 64 * words.length + 1, MPOL_MF_MOVE], {
          what: `NUMA policy of 0x${start.toString(16)}-0x${end.toString(16)}`,
        });
      }
    });
  },
};

function maskOf({ nodes: words }: CrtsMempolicyEntry): bigint {
  return words.reduce((bits, word, at) => bits | (word << BigInt(64 * at)), 0n);
}

function checkPolicy(pid: number, policy: CrtsMempolicyEntry, images: TaskImages): void {
  const { start, end, mode, nodes: words } = policy;
  const bad = (what: string) => badLayout(pid, `crts_mempolicies 0x${start.toString(16)}: ${what}`, 'failed');
  if ((mode & ~MODE_FLAGS) > MODE_MAX) throw bad(`mode 0x${mode.toString(16)}`);
  if (words.length === 0 || words.length > WORDS_MAX) throw bad(`${words.length} words of nodes`);
  const { vmas } = images.mm as MmEntry;
  if (!vmas.some((vma) => vma.start <= start && end <= vma.end && start < end)) throw bad('no such mapping');
}
