import { snapshot } from '../harness/snapshot';
import { cleanUp, Target } from '../harness/target';

afterEach(cleanUp);

test('private and file mappings, guards, stack, heap, vdso', async () => {
  const target = await Target.program('memory', ['DIR/mapped']);
  const before = snapshot(target.pid);
  await target.cycle();
  expect(snapshot(target.pid)).toEqual(before);
  await target.cycle();
  await target.finish();
});

test('a static program', async () => {
  const target = await Target.program('memory', ['DIR/mapped'], ['-static']);
  const before = snapshot(target.pid);
  await target.cycle();
  expect(snapshot(target.pid)).toEqual(before);
  await target.finish();
});
