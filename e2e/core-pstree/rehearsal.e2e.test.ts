// What the rehearsal before the freeze cannot do runs for the first time, three times slower, while the tree stands still.
import { crts, must } from '../harness/checkpointer';
import { Target } from '../harness/target';

test.each([
  ['busy', ['integer']],
  ['many-fds', ['DIR', '1000']],
] as const)('all of a dump of %s is rehearsed', async (program, words) => {
  const target = await Target.program(program, [...words]);
  const { stdout, stderr } = must(crts('dump', '-t', String(target.pid), '-D', target.images, '-R', '-v4'));
  expect(`${stdout}${stderr}`).toContain('images complete');
  expect(`${stdout}${stderr}`.split('\n').filter((line) => line.includes('rehearsal:'))).toEqual([]);
  await target.finish();
});
