import type { VmaFacts } from '@crts/plugin-api';
import { PAGE_IS, pagemapScan } from '../pagemap-scan';

/** The ABI lets a leaf function use 128 bytes below its stack pointer: System V ABI for AMD64, 3.2.2. */
const RED_ZONE = 128n;

/**
 * Finds `size` bytes of the task's memory that no code of the task owns, for frames that must outlive the engine:
 * below the red zone when the thread is on a stack that the kernel grows, else pages of the main stack that were
 * never touched. A thread or coroutine stack is no such place: what lies below it may be somebody's heap.
 * @returns the highest address of the room, 64-byte aligned, or undefined
 */
export function findScratch(rsp: bigint, vmas: readonly VmaFacts[], pagemap: number, size: bigint): bigint | undefined {
  const current = vmas.find((vma) => vma.start <= rsp && rsp < vma.end);
  const top = (rsp - RED_ZONE) & ~63n;
  if (current !== undefined && growsDown(current) && top - size >= current.start) return top;
  const main = vmas.find((vma) => vma.name === '[stack]' && vma.write);
  if (main === undefined) return undefined;
  const touched = pagemapScan(pagemap, main.start, main.end, {
    inverted: 0n,
    required: 0n,
    anyOf: PAGE_IS.present | PAGE_IS.swapped,
    report: PAGE_IS.present,
  });
  const end = touched[0]?.start ?? main.end;
  // One page of distance to what is in use: calls of other threads may reach below it before they fault.
  const free = end - 4096n;
  return free - size >= main.start ? free & ~63n : undefined;
}

function growsDown(vma: VmaFacts): boolean {
  return vma.write && (vma.vmFlags.has('gd') || vma.name === '[stack]');
}
