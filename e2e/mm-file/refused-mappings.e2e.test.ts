// Mappings that no plugin carries are refused before anything is touched, whatever their names look like.
import { readdirSync } from 'node:fs';
import { snapshot } from '../harness/snapshot';
import { Target } from '../harness/target';

test.each([
  ['secretmem', /\/secretmem/],
  ['io_uring', /anon_inode:\[io_uring\], mixed device pages/],
  ['userfaultfd', /userfaultfd missing tracking/],
  ['perf_event', /anon_inode:\[perf_event\]/],
])('%s', async (what, name) => {
  const target = await Target.program('refused-mappings', [what]);
  if (target.text().startsWith('none')) return;
  const { mappings } = snapshot(target.pid);
  const { status, stderr } = target.dump();
  expect(status).toBe(1);
  expect(stderr).toContain('[CRTS_VMA_KIND]');
  expect(stderr).toMatch(name);
  expect(readdirSync(target.images)).toEqual(['dump.log']);
  expect(snapshot(target.pid).mappings).toEqual(mappings);
  await target.finish();
});
