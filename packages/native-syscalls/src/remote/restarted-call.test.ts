import { getReg, setReg, USER_REGS_SIZE, type UserReg } from './registers';
import { nameRestartedCall } from './restarted-call';

const IP = 0x40_1000n;
const TIME = 0x7ffd_0000_1000n;
const WORD = 0x5555_0000_2000n;
const NO_TIME = 0x7ffd_0000_3000n;

/** Number that a thread's registers have afterwards; `number` is in the code before its `syscall`. */
function named(registers: Partial<Record<UserReg, bigint>>, number?: number): bigint {
  const regs = Buffer.alloc(USER_REGS_SIZE);
  const values = { rax: -516n, orig_rax: 219n, rip: IP, ...registers };
  for (const [name, value] of Object.entries(values)) setReg(regs, name as UserReg, value);
  nameRestartedCall(regs, (address, length) => {
    if (address === IP - 7n) {
      const code = Buffer.from([0xb8, 0, 0, 0, 0, 0x0f, 0x05]);
      if (number === undefined) code.fill(0x90, 0, 5);
      else code.writeUInt32LE(number, 1);
      return code;
    }
    if (address !== TIME && address !== NO_TIME) return undefined;
    const time = Buffer.alloc(length);
    time.writeBigUInt64LE(address === TIME ? 5n : 2_000_000_000n, 8);
    return time;
  });
  return getReg(regs, 'orig_rax');
}

test('a number in the code is believed', () => {
  expect(named({ rdi: TIME, rsi: 0n }, 230)).toBe(230n);
});

test.each([
  ['clock_nanosleep', { rdi: 1n, rsi: 0n, rdx: TIME, r10: TIME }, 230n],
  ['futex', { rdi: WORD, rsi: 137n, rdx: 0n, r10: TIME }, 202n],
  ['poll of nothing', { rdi: 0n, rsi: 0n, rdx: 50n }, 7n],
  ['poll', { rdi: WORD, rsi: 2n, rdx: 50n, r10: WORD }, 7n],
  ['nanosleep', { rdi: TIME, rsi: 0n, rdx: 3n }, 35n],
  ['nanosleep with a remainder', { rdi: TIME, rsi: TIME, rdx: 0n }, 35n],
  ['something else', { rdi: NO_TIME, rsi: 0n, rdx: 0n }, 219n],
])('%s by its arguments', (_, registers, number) => {
  expect(named(registers)).toBe(number);
  // A number in the code that makes no such call is none.
  expect(named(registers, 1)).toBe(number);
});

test('a call that was interrupted once, or is over, keeps its number', () => {
  expect(named({ orig_rax: 35n, rdi: 1n, rdx: TIME })).toBe(35n);
  expect(named({ rax: 0n, rdi: 1n, rdx: TIME })).toBe(219n);
});
