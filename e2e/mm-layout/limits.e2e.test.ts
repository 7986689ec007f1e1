// Memory at the limits of a process and of the kernel.
import { flavours } from '../harness/flavours';
import { snapshot } from '../harness/snapshot';
import { Target } from '../harness/target';

flavours('more locked memory than its user may have by now', {
  start: () => Target.program('memory-limits', ['locked']),
  notWithCriu: 'CRIU sets limits of other users from outside, which needs a capability',
});

flavours('as many mappings as the kernel allows, less those of the agent', {
  start: () => Target.program('memory-limits', ['many', '2']),
  only: ['plain', 'once'],
});

flavours('writable memory side by side that is more than the machine has', {
  start: () => Target.program('memory-limits', ['merged']),
  only: ['plain', 'once'],
  notWithCriu: 'CRIU asks for all of it at once',
});

test('mlockall(MCL_FUTURE) up to the limit on locked memory leaves no room for the agent: said, and the program goes on', async () => {
  const target = await Target.program('memory-limits', ['full']);
  const before = snapshot(target.pid);
  const { status, stderr } = target.dump();
  expect([status, stderr]).toEqual([1, expect.stringMatching(/EAGAIN \[CRTS_INFECT\]/)]);
  expect(snapshot(target.pid)).toEqual(before);
  await target.finish();
});

test('no room for one more mapping: said, and the program goes on', async () => {
  const target = await Target.program('memory-limits', ['many', '0']);
  const before = target.proc('maps');
  const { status, stderr } = target.dump();
  expect([status, stderr]).toEqual([1, expect.stringMatching(/ENOMEM \[CRTS_INFECT\]/)]);
  expect(target.proc('maps')).toBe(before);
  await target.finish();
});
