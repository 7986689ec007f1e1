import type { CoreEntry, ItimerEntry } from '@crts/image-io';
import { itimerval } from '@crts/native-syscalls';
import type {
  CrtsError,
  FrozenTask,
  Program,
  RestoreContext,
  TaskImages,
  TaskPlan,
  TaskStateHandler,
} from '@crts/plugin-api';
import { badTimers } from './errors';
import { dumpPosix, noteThread, refusePosix } from './posix-dump';
import { planPosix } from './posix-plan';

const TIMERS = [
  { which: 0, field: 'real', name: 'ITIMER_REAL' },
  { which: 1, field: 'virt', name: 'ITIMER_VIRTUAL' },
  { which: 2, field: 'prof', name: 'ITIMER_PROF' },
] as const;
const MICROSECONDS = 1_000_000n;

export const timersHandler = {
  name: 'task-timers',

  refuse(task: FrozenTask): CrtsError | undefined {
    return refusePosix(task);
  },

  dump(task: FrozenTask, program: Program) {
    const outputs = TIMERS.map(({ which }) => {
      const value = program.out(itimerval.size);
      program.call('getitimer', [which, value]);
      return value;
    });
    const posix = dumpPosix(task, program);
    return () => {
      const [real, virt, prof] = outputs.map((output) => itimerEntry(output.read()));
      (task.images.core as CoreEntry).tc!.timers = {
        real: startedAgain(real!),
        virt: virt!,
        prof: prof!,
        posix: posix(),
      };
    };
  },

  dumpThread: () => noteThread,

  plan(images: TaskImages, plan: TaskPlan, context: RestoreContext): void {
    const timers = (images.core as CoreEntry).tc?.timers;
    if (timers === undefined) return;
    const set = TIMERS.filter(({ field }) => {
      const { isec, iusec, vsec, vusec } = timers[field];
      return (isec | iusec | vsec | vusec) !== 0n;
    });
    for (const { field } of set) check(timers[field], field);
    planPosix(timers.posix, plan, context.log);
    if (set.length === 0) return;
    // The last stage: time should not run before the program does. Signals that fire now wait, blocked.
    plan.pass(
      { plugin: 'task-timers', stage: 'resume', what: 'set the interval timers', provides: ['timers'] },
      (program) => {
        for (const { which, field, name } of set)
          program.call('setitimer', [which, program.bytes(itimerBytes(timers[field])), null], { what: name });
      },
    );
  },
} satisfies TaskStateHandler;

function itimerEntry(timer: Buffer): ItimerEntry {
  return {
    isec: itimerval.get(timer, 'it_interval.tv_sec'),
    iusec: itimerval.get(timer, 'it_interval.tv_usec'),
    vsec: itimerval.get(timer, 'it_value.tv_sec'),
    vusec: itimerval.get(timer, 'it_value.tv_usec'),
  };
}

/**
 * ITIMER_REAL does not run while its signal waits: the kernel starts it again when the signal is taken
 * (dequeue_signal(), kernel/signal.c), and shows a value of 0 until then. It comes back with a whole interval to go;
 * the signal itself is among those pending. Only this timer: it keeps no interval when it is disarmed, while
 * ITIMER_VIRTUAL and ITIMER_PROF do (do_setitimer() and set_cpu_itimer(), kernel/time/itimer.c) and run all the time.
 */
function startedAgain(entry: ItimerEntry): ItimerEntry {
  return entry.vsec === 0n && entry.vusec === 0n ? { ...entry, vsec: entry.isec, vusec: entry.iusec } : entry;
}

function itimerBytes({ isec, iusec, vsec, vusec }: ItimerEntry): Buffer {
  return itimerval.encode({
    'it_interval.tv_sec': isec,
    'it_interval.tv_usec': iusec,
    'it_value.tv_sec': vsec,
    'it_value.tv_usec': vusec,
  });
}

function check(entry: ItimerEntry, field: string): void {
  if (entry.iusec < MICROSECONDS && entry.vusec < MICROSECONDS && entry.isec < 1n << 62n && entry.vsec < 1n << 62n)
    return;
  throw badTimers(field, 'no valid time');
}
