/**
 * Agents that an earlier engine left behind when it was killed: it died while several threads were in the agent, and nobody
 * could tell when the last had left (docs/adr/0009). They are no part of the program, and the next dump takes them away.
 */
import { type AddressRange, ARENA_SIZE } from '@crts/native-syscalls';
import type { VmaFacts } from '@crts/plugin-api';

const ARENA_NAME = '/memfd:crts';
/** The agent's code has a few pages. */
const CODE_MAX = 64n * 1024n;

/** Its entry does not change: xor %ebp, %ebp; and $-16, %rsp (native/agent/x86_64/entry.S). */
const ENTRY = Buffer.from([0x31, 0xed, 0x48, 0x83, 0xe4, 0xf0]);

/** Areas of agents that no thread is in. `ips`: where the stopped threads are; `read`: the task's memory. */
export function findAbandoned(
  vmas: readonly VmaFacts[],
  ips: readonly bigint[],
  read: (address: bigint, length: number) => Buffer,
): AddressRange[] {
  return candidatesOf(vmas).filter(
    ({ start, end }) => read(start, ENTRY.length).equals(ENTRY) && !ips.some((ip) => start <= ip && ip < end),
  );
}

/** By list of mappings: tasks of a tree share them. */
const candidates = new WeakMap<readonly VmaFacts[], readonly AddressRange[]>();

function candidatesOf(vmas: readonly VmaFacts[]): readonly AddressRange[] {
  const known = candidates.get(vmas);
  if (known !== undefined) return known;
  const found: AddressRange[] = [];
  vmas.forEach((arena, index) => {
    const code = vmas[index - 1];
    if (code !== undefined && isArena(arena) && isCode(code) && code.end === arena.start)
      found.push({ start: code.start, end: arena.end });
  });
  candidates.set(vmas, found);
  return found;
}

/** The mappings without those of `areas`. */
export function outside(vmas: readonly VmaFacts[], areas: readonly AddressRange[]): readonly VmaFacts[] {
  if (areas.length === 0) return vmas;
  return vmas.filter(({ start, end }) => !areas.some((area) => area.start <= start && end <= area.end));
}

function isArena(vma: VmaFacts): boolean {
  const isWhole = vma.end - vma.start === BigInt(ARENA_SIZE) && vma.offset === 0n;
  return vma.name === ARENA_NAME && vma.deleted && vma.shared && vma.read && vma.write && !vma.exec && isWhole;
}

function isCode(vma: VmaFacts): boolean {
  const isAnonymous = vma.inode === 0n && vma.name === '' && !vma.shared;
  return isAnonymous && vma.read && !vma.write && vma.exec && vma.end - vma.start <= CODE_MAX;
}
