import { rawSyscall } from '@crts/native-syscalls';
import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';
import { until } from '../harness/until';

const SIGCONT = 18;
const pthread = { flags: ['-pthread'] };

const isStopped = (target: Target) => /^State:\s+T/m.test(target.proc('status'));

flavours('a stopped program with threads', {
  start: async () => {
    const target = await Target.program('stopped', ['self'], pthread);
    await until('the program to stop', () => isStopped(target));
    return target;
  },
  finish: async (target) => {
    expect(isStopped(target)).toBe(true);
    rawSyscall('kill', target.pid, SIGCONT);
    await target.finish();
  },
});

flavours('stopped children, of which their parent has been told or not', {
  start: () => Target.program('stopped', [], pthread),
  notWithCriu: 'CRIU 4.2 stops children when their parent runs, which is told again',
});
