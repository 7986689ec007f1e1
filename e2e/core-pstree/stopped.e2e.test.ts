import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { rawSyscall } from '@crts/native-syscalls';
import { crtsKilledAfter, must } from '../harness/checkpointer';
import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';
import { until } from '../harness/until';

const SIGCONT = 18;
const pthread = { flags: ['-pthread'] };

const isStopped = (target: Target) => /^State:\s+T/m.test(target.proc('status'));

async function stopped(): Promise<Target> {
  const target = await Target.program('stopped', ['self'], pthread);
  await until('the program to stop', () => isStopped(target));
  return target;
}

flavours('a stopped program with threads', {
  start: stopped,
  // An agent that loses its engine in a stopped program goes when that continues: below.
  only: ['plain', 'once', 'repeated', 'left running', 'criu and back'],
  finish: async (target) => {
    expect(isStopped(target)).toBe(true);
    rawSyscall('kill', target.pid, SIGCONT);
    await target.finish();
  },
});

test.each([40, 70, 100, 130])(
  'crts is killed after %s ms of the dump of a stopped program, which is itself again when it continues',
  async (milliseconds) => {
    const target = await stopped();
    await crtsKilledAfter(milliseconds, 'dump', ...target.dumpArguments());
    // Killed between its last image and the end of the program, or before.
    if (existsSync(join(target.images, 'inventory.img')))
      await until('the program to end, if it is to', () => !target.alive(), 2).catch(() => undefined);
    if (!target.alive()) {
      await target.gone();
      must(target.restore());
    }
    rawSyscall('kill', target.pid, SIGCONT);
    await target.finish();
  },
);

flavours('stopped children, of which their parent has been told or not', {
  start: () => Target.program('stopped', [], pthread),
  notWithCriu: 'CRIU 4.2 stops children when their parent runs, which is told again',
});

flavours('stopped jobs that a waiting signal ends when they continue', {
  start: () => Target.program('stopped-pending'),
  only: ['plain', 'once', 'repeated', 'left running'],
});
