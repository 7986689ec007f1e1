import type { MmEntry, VmaEntry } from '@crts/image-io';
import { ProgramBuilder } from '@crts/native-syscalls';
import type { FrozenTask, PassHead, Program, RestoreContext, TaskImages, TaskPlan, VmaFacts } from '@crts/plugin-api';
import { protectionKeys } from './protection-keys';

const EINVAL = -22n;
const ENOMEM = -12n;
const ENOSPC = -28n;

const vma = (protectionKey: number | undefined, rights = 'r') =>
  ({
    protectionKey,
    read: rights.includes('r'),
    write: rights.includes('w'),
    exec: rights.includes('x'),
  }) as unknown as VmaFacts;

/** Dumps a task of which `allocated` may be used, and `taken` are not given out. */
function dump(vmas: VmaFacts[], allocated: number[], taken: number[] = []) {
  const calls: string[] = [];
  const free = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15].filter((key) => !taken.includes(key));
  const program = {
    call(name: string, args: unknown[]) {
      calls.push(name);
      if (name === 'pkey_mprotect') return { value: allocated.includes(args[3] as number) ? ENOMEM : EINVAL };
      if (name === 'pkey_alloc') return { value: BigInt(free.shift() ?? Number(ENOSPC)) };
      return { value: 0n };
    },
  } as unknown as Program;
  const images = { mm: {} as Partial<MmEntry> };
  protectionKeys().dump!({ facts: { vmas }, images } as unknown as FrozenTask, program)();
  return { mm: images.mm, calls };
}

describe('dump', () => {
  test('nothing is asked where the CPU has no keys', () => {
    expect(dump([vma(undefined)], [])).toEqual({ mm: {}, calls: [] });
  });

  test('keys that may be used; none is taken where no memory is execute-only', () => {
    const { mm, calls } = dump([vma(0), vma(1, 'rw')], [1, 4]);
    expect(mm).toEqual({ crts_pkeys: 0b10010 });
    expect(new Set(calls)).toEqual(new Set(['pkey_mprotect']));
  });

  test('the key that the kernel reserved: of execute-only memory, not to be used, not given out', () => {
    const { mm, calls } = dump([vma(2, 'x')], [1], [1, 2]);
    expect(mm).toEqual({ crts_pkeys: 0b10, crts_execute_only_pkey: 2 });
    expect(calls.filter((name) => name === 'pkey_free')).toHaveLength(15);
  });

  test('a key that was freed while memory has it is not reserved', () => {
    expect(dump([vma(2, 'x')], [1], [1]).mm).toEqual({ crts_pkeys: 0b10 });
  });
});

function plan(mm: object, hasKeys = true) {
  const program = new ProgramBuilder();
  const heads: PassHead[] = [];
  const taskPlan = {
    pid: 12,
    pass(head: PassHead, emit: (into: Program) => void) {
      heads.push(head);
      emit(program);
    },
  } as unknown as TaskPlan;
  const images = { mm: { vmas: [], ...mm } } as unknown as TaskImages;
  protectionKeys(() => hasKeys).plan!(images, taskPlan, {} as RestoreContext);
  return { heads, text: program.text() };
}

const mapping = (key: number, prot: number): Partial<VmaEntry> => ({
  start: 0x10000n,
  end: 0x12000n,
  prot,
  status: 1,
  crts_pkey: key,
});

describe('plan', () => {
  test('keys are taken in order before the mappings, and what was free is freed after them', () => {
    const { heads, text } = plan({ crts_pkeys: 0b1010, vmas: [mapping(2, 3)] });
    expect(heads).toMatchObject([{ provides: ['mm:cleared'] }, { needs: ['vmas'] }]);
    expect(heads[0]!.needs).toBeUndefined();
    expect(text).toEqual(['pkey_alloc(0, 0) = 1', 'pkey_alloc(0, 0) = 2', 'pkey_alloc(0, 0) = 3', 'pkey_free(2)']);
  });

  test('the reserved key is made so by the kernel when all lower ones are taken', () => {
    const { text } = plan({ crts_execute_only_pkey: 2, vmas: [mapping(2, 4)] });
    expect(text).toEqual([
      'pkey_alloc(0, 0) = 1',
      'pkey_alloc(0, 0) = 2',
      'pkey_free(2)',
      'mprotect(0x10000, 0x2000, 4)',
      'pkey_free(1)',
    ]);
  });

  test('nothing to do without keys, also on a CPU that has none', () => {
    expect(plan({}, false).text).toEqual([]);
  });

  test('a CPU without keys is told before anything is made', () => {
    expect(() => plan({ vmas: [mapping(1, 3)] }, false)).toThrow(/CRTS_CPU_PKEYS/);
  });

  test.each([
    ['key 0', { crts_pkeys: 1 }],
    ['a key too many', { crts_pkeys: 0x10000 }],
    ['a reserved key that no execute-only memory has', { crts_execute_only_pkey: 2, vmas: [mapping(2, 5)] }],
    ['a reserved key of nothing', { crts_execute_only_pkey: 99 }],
    ['a reserved key that is allocated', { crts_pkeys: 4, crts_execute_only_pkey: 2, vmas: [mapping(2, 4)] }],
  ])('images with %s are refused', (_what, mm) => {
    expect(() => plan(mm)).toThrow(/CRTS_IMAGE_FIELD/);
  });
});
