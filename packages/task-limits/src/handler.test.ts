import { ProgramBuilder } from '@crts/native-syscalls';
import type { FrozenTask, PassHead, Program, TaskImages, TaskPlan } from '@crts/plugin-api';
import { limitsHandler } from './handler';

const UNLIMITED = 0xffff_ffff_ffff_ffffn;

function compile(rlimits: readonly { cur: bigint; max: bigint }[]) {
  const program = new ProgramBuilder();
  const heads: PassHead[] = [];
  const pass = (head: PassHead, emit: (program: Program) => void) => {
    heads.push(head);
    emit(program);
  };
  const images = { core: { tc: { rlimits: { rlimits } } } };
  limitsHandler.plan(images as unknown as TaskImages, { pid: 12, pass } as unknown as TaskPlan);
  return { program, heads };
}

test('sixteen limits, soft and hard', () => {
  const table = Buffer.alloc(16 * 16);
  for (let word = 0; word < 32; word++) table.writeBigUInt64LE(word === 31 ? UNLIMITED : BigInt(word), 8 * word);
  const asked: unknown[] = [];
  const program = {
    out: (sizeBytes: number) => ({ sizeBytes, read: () => table }),
    call: (name: string, args: readonly unknown[]) => asked.push([name, args[1]]),
  } as unknown as Program;
  const task = { images: { core: { tc: {} } } };
  limitsHandler.dump(task as unknown as FrozenTask, program)();
  const { rlimits } = (task.images.core.tc as { rlimits: { rlimits: object[] } }).rlimits;
  expect(rlimits).toHaveLength(16);
  expect(rlimits[3]).toEqual({ cur: 6n, max: 7n });
  expect(rlimits[15]).toEqual({ cur: 30n, max: UNLIMITED });
  expect(asked).toEqual(Array.from({ length: 16 }, (_, resource) => ['prlimit64', resource]));
});

test('set late, each by its number', () => {
  const { program, heads } = compile([
    { cur: 1n, max: 2n },
    { cur: 3n, max: UNLIMITED },
  ]);
  expect(heads).toMatchObject([{ stage: 'credentials', provides: ['rlimits'] }]);
  const table = '<010000000000000002000000000000000300000000000000ffffffffffffffff>';
  expect(program.text()).toEqual([`prlimit64(0, 0, &${table}+0, NULL)`, `prlimit64(0, 1, &${table}+16, NULL)`]);
});

test('a limit that cannot be raised is named', () => {
  const [instruction] = compile([{ cur: 1n, max: 2n }]).program.instructions;
  const error = instruction!.options.fail!('EPERM', -1n);
  expect(error).toMatchObject({
    code: 'CRTS_RLIMIT_RAISE',
    call: 'prlimit64',
    errno: 'EPERM',
    what: expect.stringContaining('RLIMIT_CPU'),
  });
});

test('an image with more limits than exist', () => {
  expect(() => compile(new Array(17).fill({ cur: 0n, max: 0n }))).toThrow(
    expect.objectContaining({ code: 'CRTS_IMAGE_FIELD' }),
  );
});
