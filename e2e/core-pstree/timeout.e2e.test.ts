// A tree that cannot be stopped: the dump gives up, and the program goes on as if nothing had happened.
import { readdirSync } from 'node:fs';
import { crts } from '../harness/checkpointer';
import { Target } from '../harness/target';

test.each(['dump', 'pre-dump'])('%s of a process in vfork(2), which nothing interrupts', async (action) => {
  const target = await Target.program('vfork');
  const { status, stderr } = crts(action, '-t', String(target.pid), '-D', target.images, '--timeout', '1');
  expect(status).toBe(1);
  expect(stderr).toContain('[CRTS_VFORK]');
  const child = target.proc(`task/${target.pid}/children`).trim();
  expect(stderr).toMatch(
    new RegExp(`pid ${target.pid}: thread ${target.pid} waits in vfork\\(2\\) for its child ${child},`),
  );
  expect(readdirSync(target.images).filter((name) => name.endsWith('.img'))).toEqual([]);
  expect(target.proc('status')).toMatch(/^TracerPid:\s+0$/m);
  await target.finish();
});
