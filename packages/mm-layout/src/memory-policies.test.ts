import type { MmEntry } from '@crts/image-io';
import { type Instruction, ProgramBuilder } from '@crts/native-syscalls';
import type { FrozenTask, Program, RestoreContext, TaskImages, TaskPlan } from '@crts/plugin-api';
import { memoryPolicies, nodesOf } from './memory-policies';

const START = 0x7f00_0000_0000n;
const END = START + 0x4000n;

test('nodes from a list of the kernel', () => {
  expect(nodesOf('0\n')).toEqual([0]);
  expect(nodesOf('0-2,8\n')).toEqual([0, 1, 2, 8]);
  expect(nodesOf('\n')).toEqual([]);
});

describe('dump', () => {
  function dump(value: bigint, mode: number): MmEntry {
    const images = { mm: { vmas: [] } } as unknown as TaskImages;
    const vma = (start: bigint, name = '') => ({ start, end: start + 0x4000n, name });
    const vmas = [vma(START), vma(START + 0x10000n, '[vdso]'), vma(0xffff_ffff_ff60_0000n)];
    const program = new ProgramBuilder();
    const read = memoryPolicies.dump!({ images, facts: { vmas } } as unknown as FrozenTask, program);
    for (const { result, args } of program.instructions as readonly Instruction[]) {
      result.settle(value);
      const word = Buffer.alloc(4);
      word.writeUInt32LE(mode);
      (args[0] as never as { settle(content: Buffer): void }).settle(word);
      const mask = Buffer.alloc((args[1] as { sizeBytes: number }).sizeBytes, 0);
      mask[0] = 1;
      (args[1] as never as { settle(content: Buffer): void }).settle(mask);
    }
    expect(program.instructions).toHaveLength(1);
    read();
    return images.mm as unknown as MmEntry;
  }

  test('what is not the default, with its nodes', () => {
    expect(dump(0n, 0x8003).crts_mempolicies).toMatchObject([{ start: START, end: END, mode: 0x8003, nodes: [1n] }]);
  });

  test('nothing of the default, nor of a kernel without policies', () => {
    expect(dump(0n, 0).crts_mempolicies).toBeUndefined();
    expect(dump(-38n, 3).crts_mempolicies).toBeUndefined();
  });
});

describe('plan', () => {
  const policy = { start: START, end: END, mode: 2, nodes: [1n] };

  function plan(...policies: (typeof policy)[]) {
    const program = new ProgramBuilder();
    const warnings: string[] = [];
    const taskPlan = {
      pid: 7,
      pass: (_head: unknown, emit: (into: Program) => void) => emit(program),
    } as unknown as TaskPlan;
    const context = { log: { warn: (_fields: object, text: string) => warnings.push(text) } };
    const mm = { vmas: [{ start: START, end: END }], crts_mempolicies: policies };
    memoryPolicies.plan!({ mm } as unknown as TaskImages, taskPlan, context as unknown as RestoreContext);
    return { text: program.text(), warnings };
  }

  test('set again, and pages are moved', () => {
    expect(plan(policy).text).toEqual(['mbind(0x7f0000000000, 0x4000, 2, &<0100000000000000>, 65, 2)']);
    expect(plan().text).toEqual([]);
  });

  test('of nodes that this machine has not: lost, and said', () => {
    const { text, warnings } = plan({ ...policy, nodes: [1n << 63n] });
    expect(text).toEqual([]);
    expect(warnings).toEqual([expect.stringContaining('the NUMA policy of a mapping is lost')]);
  });

  test.each([
    ['an unknown mode', { mode: 99 }],
    ['no nodes', { nodes: [] }],
    ['a range that no mapping has', { end: END + 0x1000n }],
    ['a range that is none', { end: START }],
  ])('images with %s are refused', (_what, more) => {
    expect(() => plan({ ...policy, ...more })).toThrow(/CRTS_IMAGE_FIELD/);
  });
});
