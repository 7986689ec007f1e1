import { ProgramBuilder } from '@crts/native-syscalls';
import type { FrozenThread, PassHead, Program, ThreadPlan } from '@crts/plugin-api';
import { threadAreaHandler } from './handler';

function compile(info: object, thread: object) {
  const program = new ProgramBuilder();
  const heads: PassHead[] = [];
  const pass = (head: PassHead, emit: (program: Program) => void) => {
    heads.push(head);
    emit(program);
  };
  const core = { thread_info: info, thread_core: thread };
  threadAreaHandler.planThread(core, { pid: 12, tid: 12, pass } as unknown as ThreadPlan);
  return { text: program.text(), heads };
}

function dumped(rseq: object | undefined) {
  const answers = [0x7000n, 0x8000n, 24n];
  const program = {
    out: () => {
      const bytes = Buffer.alloc(8);
      bytes.writeBigUInt64LE(answers.shift()!);
      return { read: () => bytes };
    },
    call: () => 0,
  } as unknown as Program;
  const thread = { core: { thread_info: {}, thread_core: {} }, state: { rseq } };
  threadAreaHandler.dumpThread(program)(thread as unknown as FrozenThread);
  return thread.core;
}

test('tid address, robust list, rseq', () => {
  expect(dumped({ pointer: 0x9000n, size: 32, signature: 0x53053053, flags: 0 })).toEqual({
    thread_info: { clear_tid_addr: 0x7000n },
    thread_core: {
      futex_rla: 0x8000n,
      futex_rla_len: 24,
      rseq_entry: { rseq_abi_pointer: 0x9000n, rseq_abi_size: 32, signature: 0x53053053 },
    },
  });
});

test('a thread without rseq', () => {
  expect(dumped(undefined).thread_core).not.toHaveProperty('rseq_entry');
});

test('all of them again, when the memory is there', () => {
  const { text, heads } = compile(
    { clear_tid_addr: 0x7000n },
    {
      futex_rla: 0x8000n,
      futex_rla_len: 24,
      rseq_entry: { rseq_abi_pointer: 0x9000n, rseq_abi_size: 32, signature: 7 },
    },
  );
  expect(heads).toMatchObject([{ stage: 'resume' }]);
  expect(text.map((line) => line.slice(0, line.indexOf('(')))).toEqual(['set_tid_address', 'set_robust_list', 'rseq']);
});

test('a list and an rseq that were never set', () => {
  const rseq_entry = { rseq_abi_pointer: 0n, rseq_abi_size: 32, signature: 7 };
  const { text } = compile({ clear_tid_addr: 0n }, { futex_rla: 0n, futex_rla_len: 24, rseq_entry });
  expect(text).toEqual(['set_tid_address(0)']);
});

const KERNEL = 0xffff_8000_0000_0000n;
test.each([
  [{ clear_tid_addr: KERNEL }, {}, 'clear_tid_addr'],
  [{}, { futex_rla: KERNEL }, 'futex_rla'],
  [{}, { rseq_entry: { rseq_abi_pointer: KERNEL, rseq_abi_size: 32, signature: 7 } }, 'rseq_abi_pointer'],
])('an image with an address of the kernel (%#)', (info, thread, field) => {
  expect(() => compile(info, thread)).toThrow(
    expect.objectContaining({ code: 'CRTS_IMAGE_FIELD', what: expect.stringContaining(field) }),
  );
});
