import { snapshot } from '../harness/snapshot';
import { cleanUp, Target } from '../harness/target';

afterEach(cleanUp);

test('regular files and devices come back with numbers, flags, offsets, sharing and owner', async () => {
  const target = await Target.program('fds', ['DIR']);
  const before = snapshot(target.pid);
  await target.cycle();
  expect(snapshot(target.pid)).toEqual(before);
  await target.cycle();
  await target.finish();
});
