import { flavours } from '../harness/flavours';
import { snapshot } from '../harness/snapshot';
import { Target } from '../harness/target';

for (const limit of ['data', 'locked', 'processes', 'stack', 'signals'])
  flavours(`a limit on ${limit} that leaves no room`, { start: () => Target.program('tight', [limit]) });

// The agent is memory and descriptors of the program: without room for it there is no dump, for CRIU neither.
test.each(['address-space', 'files'])('no room for the agent: %s', async (limit) => {
  const target = await Target.program('tight', [limit]);
  const before = snapshot(target.pid);
  for (const option of ['--leave-running', '--file-locks']) {
    const { status, stderr } = target.dump(option);
    expect([status, stderr]).toEqual([1, expect.stringContaining('[CRTS_INFECT]')]);
    expect(snapshot(target.pid)).toEqual(before);
  }
  await target.finish();
});
