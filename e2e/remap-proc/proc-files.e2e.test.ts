import { readlinkSync } from 'node:fs';
import { must } from '../harness/checkpointer';
import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

const flags = ['-pthread'];

flavours('files of /proc, of the dead and of the living', {
  start: () => Target.program('proc-files', [], { flags }),
  notWithCriu: 'the next test leaves out what CRIU does not open again',
});

flavours('files of /proc, as far as CRIU carries them', {
  start: () => Target.program('proc-files', ['criu'], { flags }),
  only: ['criu and back'],
});

flavours('files of /proc of a thread', {
  start: () => Target.program('proc-files', ['threads'], { flags }),
  only: ['plain', 'once', 'repeated', 'left running'],
});

test.each([
  ['process', /in use by pid-taker/],
  ['thread', /in use by a thread \(pid-taker.*\) of process (\d+)/],
])('the pid of a dead process is taken by a %s: the error names who has it', async (kind, holder) => {
  const target = await Target.program('proc-files', [], { flags });
  const dead = /\/proc\/(\d+)\/mountinfo/.exec(readlinkSync(`/proc/${target.pid}/fd/3`))![1]!;
  must(target.dump());
  await target.gone();
  const taker = await Target.program('pid-taker', [dead, kind]);
  const { status, stderr } = target.restore();
  expect([status, stderr]).toEqual([1, expect.stringContaining('[CRTS_HELPER_PID]')]);
  expect(stderr).toMatch(holder);
  expect(stderr).toContain(`Stop process ${kind === 'thread' ? taker.pid : dead}, or restore in a new pid namespace`);
  await taker.finish();
  must(target.restore());
  await target.finish();
});
