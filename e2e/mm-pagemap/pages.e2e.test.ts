import { flavours } from '../harness/flavours';
import { snapshot } from '../harness/snapshot';
import { Target } from '../harness/target';

flavours('64 pages in two terabytes', { start: () => Target.program('mappings', ['sparse']) });

flavours('thirty thousand mappings', {
  start: () => Target.program('mappings', ['many']),
  only: ['plain', 'once', 'killed', 'criu and back'],
});

test('memory that was never touched stays untouched', async () => {
  const target = await Target.program('mappings', ['sparse']);
  const anonymous = () => Number(/^RssAnon:\s+(\d+)/m.exec(target.proc('status'))?.[1]);
  const before = anonymous();
  const seen = snapshot(target.pid);
  await target.cycle();
  expect(snapshot(target.pid)).toEqual(seen);
  expect(anonymous()).toBeLessThanOrEqual(before + 64);
  await target.finish();
});
