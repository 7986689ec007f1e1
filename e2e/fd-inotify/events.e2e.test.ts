// Events that nobody has read: the kernel gives them to no one else, so what becomes of them is an option.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { must } from '../harness/checkpointer';
import { Target } from '../harness/target';

const program = (what: string) => Target.program('inotify-events', ['DIR', what]);

test.each(['drop', 'provoke'])('--inotify-events %s', async (what) => {
  const target = await program(what);
  await target.cycle('--inotify-events', what);
  expect(readFileSync(join(target.images, 'dump.log'), 'utf8')).toContain('32 bytes of events were not read');
  await target.finish();
});

test('they are dropped by default, at the restore too', async () => {
  const target = await program('drop');
  must(target.dump('--inotify-events', 'provoke'));
  await target.gone();
  must(target.restore());
  await target.finish();
});

test('--inotify-events fail refuses, and the program has them still', async () => {
  const target = await program('keep');
  const { status, stderr } = target.dump('--inotify-events', 'fail');
  expect(status).toBe(1);
  expect(stderr).toContain('CRTS_INOTIFY_EVENTS');
  expect(stderr).toContain('32 bytes');
  await target.finish();
});

test('a dump that lets the program go on takes no event from it', async () => {
  const target = await program('keep');
  must(target.dump('--leave-running'));
  await target.finish();
});

test('an unknown word', async () => {
  const target = await program('keep');
  expect(target.dump('--inotify-events', 'replay').stderr).toContain('--inotify-events');
  await target.finish();
});
