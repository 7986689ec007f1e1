import type { VmaFacts } from '@crts/plugin-api';
import { preadFull } from '../files';
import { addressOf } from '../memory';
import { rawSyscall } from '../syscall';

/** Instructions in the task's own text that the agent's way out leads through. */
export interface Gadgets {
  /** `syscall; ret`. */
  readonly syscallRet: bigint | undefined;
  /** `mov $15, %rax; syscall`: the restorer that libc gives to rt_sigaction(2). */
  readonly restorer: bigint | undefined;
}

const SYSCALL_RET = Buffer.from([0x0f, 0x05, 0xc3]);
/** glibc and musl move a 32-bit immediate into rax; Go and others into eax. */
const RESTORERS = [
  Buffer.from([0x48, 0xc7, 0xc0, 0x0f, 0x00, 0x00, 0x00, 0x0f, 0x05]),
  Buffer.from([0xb8, 0x0f, 0x00, 0x00, 0x00, 0x0f, 0x05]),
];

/** No more text than this is searched in one mapping: a libc has 2 MiB, a static Go program may have 100. */
const SEARCH_MAX = 16 * 1024 * 1024;
/** It is read in pieces until both are found, which in a libc they are in the first 100 kB. */
const PIECE = 64 * 1024;
/** Of the longest pattern all but one byte may lie in the next piece. */
const OVERLAP = 8;
const LIBC = /\/(libc[.-]|ld-musl-|libc\.so)/;

/** What was found in the text of files, as offsets. Tasks of a tree mostly run the same ones. */
export type SearchedText = Map<string, Gadgets>;

/** Searches the executable file mappings, libc first. `mem` is /proc/PID/mem. */
export function findGadgets(mem: number, vmas: readonly VmaFacts[], searched: SearchedText = new Map()): Gadgets {
  const text = vmas.filter((vma) => vma.exec && !vma.write && vma.inode !== 0n);
  const ordered = [...text.filter((vma) => LIBC.test(vma.name)), ...text.filter((vma) => !LIBC.test(vma.name))];
  let syscallRet: bigint | undefined;
  let restorer: bigint | undefined;
  for (const vma of ordered) {
    const found = search(mem, vma, searched);
    syscallRet ??= found.syscallRet;
    restorer ??= found.restorer;
    if (syscallRet !== undefined && restorer !== undefined) break;
  }
  return { syscallRet, restorer };
}

function search(mem: number, vma: VmaFacts, searched: SearchedText): Gadgets {
  const { major, minor, inode, offset, start, end } = vma;
  const key = `${major}:${minor}:${inode}:${offset}:${end - start}`;
  const known = searched.get(key);
  const there = known && moved(known, start);
  // A private mapping may have been written to, as debuggers do: it is searched itself then.
  if (there !== undefined && verifyGadgets(mem, there)) return there;
  const found = searchText(mem, vma);
  searched.set(key, found);
  return moved(found, start);
}

function moved({ syscallRet, restorer }: Gadgets, start: bigint): Gadgets {
  return { syscallRet: at(start, syscallRet), restorer: at(start, restorer) };
}

/** Whether both are still where they were found: the task ran meanwhile. */
export function verifyGadgets(mem: number, gadgets: Gadgets): boolean {
  return holds(mem, gadgets.syscallRet, [SYSCALL_RET]) && holds(mem, gadgets.restorer, RESTORERS);
}

/** Address of a bare `syscall` instruction in a stretch of code. */
export function findSyscall(code: Buffer, start: bigint): bigint | undefined {
  return at(start, find(code, SYSCALL_RET.subarray(0, 2)));
}

/** Whether memory of a task, which can be read by itself, has a `syscall` instruction there. */
export function isSyscallAt(pid: number, address: bigint): boolean {
  const bytes = Buffer.alloc(2);
  const length = BigInt(bytes.length);
  const [local, remote] = [new BigUint64Array([addressOf(bytes), length]), new BigUint64Array([address, length])];
  const result = rawSyscall('process_vm_readv', pid, local, 1, remote, 1, 0);
  return result === bytes.length && bytes.equals(SYSCALL_RET.subarray(0, 2));
}

function holds(mem: number, address: bigint | undefined, patterns: readonly Buffer[]): boolean {
  if (address === undefined) return true;
  return patterns.some((pattern) => {
    const bytes = Buffer.alloc(pattern.length);
    try {
      preadFull(mem, bytes, address);
    } catch {
      return false;
    }
    return bytes.equals(pattern);
  });
}

function find(bytes: Buffer, pattern: Buffer): bigint | undefined {
  const index = bytes.indexOf(pattern);
  return index < 0 ? undefined : BigInt(index);
}

function at(start: bigint, offset: bigint | undefined): bigint | undefined {
  return offset === undefined ? undefined : start + offset;
}

/** As offsets from the start of the mapping. */
function searchText(mem: number, { start, end }: VmaFacts): Gadgets {
  const size = Math.min(Number(end - start), SEARCH_MAX);
  const room = Buffer.allocUnsafe(Math.min(size, PIECE + OVERLAP));
  let syscallRet: bigint | undefined;
  let restorer: bigint | undefined;
  for (let at = 0; at < size && (syscallRet === undefined || restorer === undefined); at += PIECE) {
    const bytes = room.subarray(0, Math.min(room.length, size - at));
    try {
      preadFull(mem, bytes, start + BigInt(at));
    } catch {
      // A file mapping may end behind its file: what cannot be read is not searched.
      break;
    }
    const found = (pattern: Buffer) => {
      const offset = find(bytes, pattern);
      return offset === undefined ? undefined : BigInt(at) + offset;
    };
    syscallRet ??= found(SYSCALL_RET);
    for (const pattern of RESTORERS) restorer ??= found(pattern);
  }
  return { syscallRet, restorer };
}
