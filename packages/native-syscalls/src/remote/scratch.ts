import type { VmaFacts } from '@crts/plugin-api';
import { PAGE_IS, pagemapScan } from '../pagemap-scan';

/** The ABI lets a leaf function use 128 bytes below its stack pointer: System V ABI for AMD64, 3.2.2. */
const RED_ZONE = 128n;

/** Room that the kernel keeps below a growing stack, 256 pages unless told at boot: stack_guard_gap, mm/mmap.c. */
const GUARD_GAP = 1024n * 1024n;

/**
 * Finds `size` bytes of the task's memory that no code of the task owns, for frames that must outlive the engine:
 * below the red zone when the thread is on a stack that the kernel grows, else pages of the main stack that were
 * never touched. Where the stack has no such room yet it grows, as it would for the program: a write through /proc/PID/mem
 * expands it (__access_remote_vm(), mm/memory.c). A thread or coroutine stack is no such place: what lies below it may be somebody's heap.
 * @returns the highest address of the room, 64-byte aligned, or undefined
 */
export function findScratch(rsp: bigint, vmas: readonly VmaFacts[], pagemap: number, size: bigint): bigint | undefined {
  const current = vmas.find((vma) => vma.start <= rsp && rsp < vma.end);
  const top = (rsp - RED_ZONE) & ~63n;
  if (current !== undefined && growsDown(current) && top - size >= lowest(current, vmas)) return top;
  const main = vmas.find((vma) => vma.name === '[stack]' && vma.write);
  if (main === undefined) return undefined;
  const stack = { start: lowestPart(main, vmas), end: main.end };
  const touched = pagemapScan(pagemap, stack.start, stack.end, {
    inverted: 0n,
    required: 0n,
    anyOf: PAGE_IS.present | PAGE_IS.swapped,
    report: PAGE_IS.present,
  });
  const end = touched[0]?.start ?? stack.end;
  // One page of distance to what is in use: calls of other threads may reach below it before they fault.
  const free = end - 4096n;
  return free - size >= lowest(stack, vmas) ? free & ~63n : undefined;
}

/**
 * Where a stack begins that is several mappings: what it grows by after a part of it was given flags of its own (by userfaultfd, which
 * keeps track of what is written) is one beside that, and /proc names only the one with the beginning of the program.
 */
function lowestPart(main: VmaFacts, vmas: readonly VmaFacts[]): bigint {
  let { start } = main;
  for (let part: VmaFacts | undefined = main; part !== undefined; ) {
    start = part.start;
    part = vmas.find((vma) => vma.end === start && vma.write && vma.vmFlags.has('gd'));
  }
  return start;
}

/** How far down a stack may reach without coming near another mapping. */
function lowest(stack: Pick<VmaFacts, 'start'>, vmas: readonly VmaFacts[]): bigint {
  let below = 0n;
  for (const { end } of vmas) if (end <= stack.start && end > below) below = end;
  const limit = below + GUARD_GAP;
  return limit < stack.start ? limit : stack.start;
}

function growsDown(vma: VmaFacts): boolean {
  return vma.write && (vma.vmFlags.has('gd') || vma.name === '[stack]');
}
