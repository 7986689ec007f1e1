import { kernelVdso } from './kernel-vdso';
import { redirected } from './redirect';
import { functionsOf } from './symbols';

const own = kernelVdso()!.code;

/** A vdso as a linker makes it: header, PT_LOAD, PT_DYNAMIC, symbols, names; functions at these offsets. */
function vdso(functions: Record<string, number>, base = 0n): Buffer {
  const bytes = Buffer.alloc(0x1000);
  const names = Object.keys(functions);
  const [dynamic, symbols] = [0x200, 0x300];
  const strings = symbols + 24 * (names.length + 1);
  Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1]).copy(bytes);
  bytes.writeBigUInt64LE(64n, 32);
  bytes.writeUInt16LE(56, 54);
  bytes.writeUInt16LE(2, 56);
  bytes.writeUInt32LE(1, 64);
  bytes.writeBigUInt64LE(base, 64 + 16);
  bytes.writeUInt32LE(2, 120);
  bytes.writeBigUInt64LE(BigInt(dynamic), 120 + 8);
  bytes.writeBigUInt64LE(48n, 120 + 32);
  [5n, base + BigInt(strings), 6n, base + BigInt(symbols)].forEach((word, index) => {
    bytes.writeBigUInt64LE(word, dynamic + 8 * index);
  });
  let name = 1;
  for (const [index, one] of names.entries()) {
    const at = symbols + 24 * (index + 1);
    bytes.writeUInt32LE(name, at);
    bytes.writeUInt8(0x12, at + 4);
    bytes.writeUInt16LE(7, at + 6);
    bytes.writeBigUInt64LE(base + BigInt(functions[one]!), at + 8);
    bytes.write(`${one}\0`, strings + name, 'latin1');
    name += one.length + 1;
  }
  return bytes;
}

test("functions of this kernel's vdso", () => {
  const found = functionsOf(own)!;
  expect(found.map(({ name }) => name)).toEqual(expect.arrayContaining(['__vdso_clock_gettime', '__vdso_getcpu']));
  expect(found.every(({ offset }) => offset > 64 && offset < own.length)).toBe(true);
});

test('functions of one that is linked elsewhere', () => {
  const one = vdso({ __vdso_time: 0x900, __vdso_getcpu: 0x800 }, 0xffff_ffff_ff70_0000n);
  expect(functionsOf(one)).toEqual([
    { name: '__vdso_getcpu', offset: 0x800 },
    { name: '__vdso_time', offset: 0x900 },
  ]);
});

test('each leads to the function of its name; what has none, to the system call; the rest stays', () => {
  const old = vdso({ __vdso_time: 0x900, __vdso_getrandom: 0x920, __vdso_sgx_enter_enclave: 0xa00 });
  const now = vdso({ __vdso_time: 0x700 });
  const code = redirected(old, { start: 0x2000_0000_0000n, code: now }) as Buffer;
  expect(code.subarray(0x900, 0x90c).toString('hex')).toBe('48b80007000000200000ffe0');
  // mov $318, %eax; syscall; ret
  expect(code.subarray(0x920, 0x928).toString('hex')).toBe('b83e0100000f05c3');
  expect(code.subarray(0xa00, 0xa10)).toEqual(old.subarray(0xa00, 0xa10));
  expect(code.subarray(0, 0x900)).toEqual(old.subarray(0, 0x900));
});

test('a kernel without a vdso: system calls', () => {
  const code = redirected(vdso({ __vdso_time: 0x900 }), undefined) as Buffer;
  expect(code.subarray(0x900, 0x908).toString('hex')).toBe('b8c90000000f05c3');
});

test('without room for a jump', () => {
  const target = { start: 0n, code: vdso({ __vdso_time: 0x900, __vdso_getcpu: 0x800 }) };
  expect(redirected(vdso({ __vdso_time: 0x900, __vdso_getcpu: 0x904 }), target)).toMatch(/no room in __vdso_time/);
});

test('what is no vdso', () => {
  expect(redirected(Buffer.alloc(0x1000, 0x90), undefined)).toBe('cannot be read');
  expect(redirected(Buffer.alloc(3), undefined)).toBe('cannot be read');
  expect(redirected(vdso({}), undefined)).toBe('cannot be read');
});

test('whatever the bytes of an image are, nothing is read outside of it and nothing takes long', () => {
  // A fixed sequence: each byte of the tables in turn, with values that are at some border.
  const good = vdso({ __vdso_time: 0x900, __vdso_getcpu: 0x800 });
  for (let at = 0; at < 0x380; at++)
    for (const value of [0, 1, 0x7f, 0x80, 0xff]) {
      const bad = Buffer.from(good);
      bad[at] = value;
      const found = functionsOf(bad);
      expect(found === undefined || found.every(({ offset }) => offset >= 0 && offset < bad.length)).toBe(true);
      const code = redirected(bad, { start: 0n, code: own });
      expect(typeof code === 'string' || code.length === bad.length).toBe(true);
    }
});
