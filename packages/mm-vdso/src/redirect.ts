/** The vdso of another kernel, made to work: each of its functions leads to that of this kernel. */
import { functionsOf } from './symbols';

/** movabs $address, %rax; jmp *%rax. The arguments are in other registers, and rax is anybody's: System V ABI. */
const JUMP_BYTES = 12;
/** mov $number, %eax; syscall; ret. Three arguments are where the kernel wants them. */
const CALL_BYTES = 8;
/** What this kernel's vdso has no function for is a system call: arch/x86/entry/syscalls/syscall_64.tbl. */
const CALLS: ReadonlyMap<string, number> = new Map([
  ['gettimeofday', 96],
  ['time', 201],
  ['clock_gettime', 228],
  ['clock_getres', 229],
  ['getcpu', 309],
  ['getrandom', 318],
]);

export interface OwnVdso {
  readonly start: bigint;
  readonly code: Buffer;
}

/**
 * `old` with its functions redirected; a text that says why not. `own` is this kernel's vdso and where it will be; undefined where
 * the kernel has none.
 */
export function redirected(old: Buffer, own: OwnVdso | undefined): Buffer | string {
  const functions = functionsOf(old);
  if (functions === undefined || functions.length === 0) return 'cannot be read';
  const targets = new Map(
    (own === undefined ? [] : (functionsOf(own.code) ?? [])).map(({ name, offset }) => [name, offset]),
  );
  const patched = Buffer.from(old);
  for (const one of functions) {
    const target = targets.get(one.name);
    const call = CALLS.get(one.name.replace(/^__vdso_/, ''));
    const room = (functions.find(({ offset }) => offset > one.offset)?.offset ?? old.length) - one.offset;
    if (own !== undefined && target !== undefined && room >= JUMP_BYTES)
      jump(patched, one.offset, own.start + BigInt(target));
    else if (call !== undefined && room >= CALL_BYTES) systemCall(patched, one.offset, call);
    // What needs neither data nor this kernel (__vdso_sgx_enter_enclave) works as it is.
    else if (target !== undefined || call !== undefined) return `has no room in ${one.name}`;
  }
  return patched;
}

function jump(code: Buffer, at: number, address: bigint): void {
  code.writeUInt16LE(0xb848, at);
  code.writeBigUInt64LE(address, at + 2);
  code.writeUInt16LE(0xe0ff, at + 10);
}

function systemCall(code: Buffer, at: number, number: number): void {
  code.writeUInt8(0xb8, at);
  code.writeUInt32LE(number, at + 1);
  code.writeUInt16LE(0x050f, at + 5);
  code.writeUInt8(0xc3, at + 7);
}
