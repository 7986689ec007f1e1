import { ProgramBuilder } from '@crts/native-syscalls';
import type { FrozenTask, PassHead, Program, RestoreContext, TaskImages, TaskPlan } from '@crts/plugin-api';
import { timersHandler } from './handler';

const time = (isec: bigint, iusec: bigint, vsec: bigint, vusec: bigint) => ({ isec, iusec, vsec, vusec });
const IDLE = time(0n, 0n, 0n, 0n);
type Timer = typeof IDLE;

describe('dump', () => {
  /** getitimer's answers, in the order of the calls. */
  function dumped(...answers: readonly Timer[]) {
    const contents = answers.map(({ isec, iusec, vsec, vusec }) => {
      const bytes = Buffer.alloc(32);
      [isec, iusec, vsec, vusec].forEach((word, index) => {
        bytes.writeBigInt64LE(word, 8 * index);
      });
      return bytes;
    });
    const program = { out: () => ({ read: () => contents.shift() }), call: () => 0 } as unknown as Program;
    const task = { threads: [], images: { core: { tc: {} } } };
    timersHandler.dump(task as unknown as FrozenTask, program)();
    return (task.images.core.tc as { timers?: object }).timers;
  }

  test('time left and interval', () => {
    const timers = [time(1n, 2n, 3n, 4n), time(5n, 6n, 7n, 8n), time(9n, 10n, 11n, 12n)] as const;
    expect(dumped(...timers)).toEqual({ real: timers[0], virt: timers[1], prof: timers[2], posix: [] });
  });

  test('ITIMER_REAL whose signal waits starts again with a whole interval', () => {
    expect(dumped(time(5n, 7n, 0n, 0n), IDLE, IDLE)).toMatchObject({ real: time(5n, 7n, 5n, 7n) });
  });

  test('a disarmed ITIMER_VIRTUAL or ITIMER_PROF keeps its interval and is not armed', () => {
    const disarmed = time(5n, 7n, 0n, 0n);
    expect(dumped(IDLE, disarmed, disarmed)).toMatchObject({ virt: disarmed, prof: disarmed });
  });
});

describe('plan', () => {
  function compile(timers: object) {
    const program = new ProgramBuilder();
    const plan = { pid: 12, pass: (_: PassHead, emit: (program: Program) => void) => emit(program) };
    const images = { core: { tc: { timers: { real: IDLE, virt: IDLE, prof: IDLE, posix: [], ...timers } } } };
    timersHandler.plan(images as unknown as TaskImages, plan as unknown as TaskPlan, {} as RestoreContext);
    return program;
  }

  test('timers that were never set are left alone', () => {
    expect(compile({}).instructions).toEqual([]);
  });

  test('only timers with a value or an interval are set', () => {
    const { instructions } = compile({ real: time(0n, 0n, 1n, 2n), prof: time(5n, 0n, 0n, 0n) });
    expect(instructions.map(({ name, args }) => [name, args[0]])).toEqual([
      ['setitimer', 0],
      ['setitimer', 2],
    ]);
  });

  test.each([time(0n, 0n, 0n, 1_000_000n), time(0n, 1_000_000n, 1n, 0n), time(1n << 62n, 0n, 1n, 0n)])(
    'an image with %p',
    (real) => {
      expect(() => compile({ real })).toThrow(expect.objectContaining({ code: 'CRTS_IMAGE_FIELD' }));
    },
  );
});
