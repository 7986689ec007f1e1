import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

flavours('clocks of the vdso, asked all the time', { start: () => Target.program('vdso') });

test('a program that has met a uprobe: refused, and left out on demand', async () => {
  const target = await Target.program('refused-mappings', ['uprobes']);
  if (target.text().startsWith('none')) return;
  expect(target.proc('maps')).toContain('[uprobes]');
  const { status, stderr } = target.dump();
  expect([status, stderr]).toEqual([1, expect.stringContaining('[CRTS_UPROBES]')]);
  target.clearImages();
  await target.cycle('--allow-uprobes');
  expect(target.proc('maps')).not.toContain('[uprobes]');
  await target.finish();
});
