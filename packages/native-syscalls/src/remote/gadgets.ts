import type { VmaFacts } from '@crts/plugin-api';
import { preadFull } from '../files';

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
const LIBC = /\/(libc[.-]|ld-musl-|libc\.so)/;

/** Searches the executable file mappings, libc first. `mem` is /proc/PID/mem. */
export function findGadgets(mem: number, vmas: readonly VmaFacts[]): Gadgets {
  const text = vmas.filter((vma) => vma.exec && !vma.write && vma.inode !== 0n);
  const ordered = [...text.filter((vma) => LIBC.test(vma.name)), ...text.filter((vma) => !LIBC.test(vma.name))];
  let syscallRet: bigint | undefined;
  let restorer: bigint | undefined;
  for (const vma of ordered) {
    const bytes = readText(mem, vma);
    syscallRet ??= find(bytes, SYSCALL_RET, vma.start);
    for (const pattern of RESTORERS) restorer ??= find(bytes, pattern, vma.start);
    if (syscallRet !== undefined && restorer !== undefined) break;
  }
  return { syscallRet, restorer };
}

/** Whether both are still where they were found: the task ran meanwhile. */
export function verifyGadgets(mem: number, gadgets: Gadgets): boolean {
  return holds(mem, gadgets.syscallRet, [SYSCALL_RET]) && holds(mem, gadgets.restorer, RESTORERS);
}

/** Address of a bare `syscall` instruction in a stretch of code. */
export function findSyscall(code: Buffer, start: bigint): bigint | undefined {
  return find(code, SYSCALL_RET.subarray(0, 2), start);
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

function find(bytes: Buffer, pattern: Buffer, start: bigint): bigint | undefined {
  const index = bytes.indexOf(pattern);
  return index < 0 ? undefined : start + BigInt(index);
}

function readText(mem: number, vma: VmaFacts): Buffer {
  const size = Math.min(Number(vma.end - vma.start), SEARCH_MAX);
  const bytes = Buffer.allocUnsafe(size);
  try {
    preadFull(mem, bytes, vma.start);
  } catch {
    // A file mapping may end behind its file: what cannot be read is not searched.
    return Buffer.alloc(0);
  }
  return bytes;
}
