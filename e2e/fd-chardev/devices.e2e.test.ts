import { execFileSync } from 'node:child_process';
import { chmodSync, rmSync } from 'node:fs';
import { must } from '../harness/checkpointer';
import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

flavours('devices without state', { start: () => Target.program('devices', ['DIR', 'all']) });

test.each([
  ['/dev/fuse', 'CRTS_FD_KIND', /character device 10:229 \(fuse\)/],
  ['/dev/kmsg', 'CRTS_DEVICE_STATE', /messages of the kernel/],
])('%s is refused, and stays', async (path, code, text) => {
  const target = await Target.program('devices', ['DIR', path]);
  const { status, stderr } = target.dump();
  expect(status).toBe(1);
  expect(stderr).toContain(code);
  expect(stderr).toContain('fd 3');
  expect(stderr).toMatch(text);
  await target.finish();
});

test('a node that is elsewhere where the program is restored: --evasive-devices', async () => {
  // The directory of a test is made with its program, so the node lies beside it.
  const node = `/tmp/crts-e2e-devices-${process.pid}/null`;
  execFileSync('mkdir', [node.slice(0, -'/null'.length)]);
  try {
    execFileSync('mknod', [node, 'c', '1', '3']);
    chmodSync(node, 0o666);
    const target = await Target.program('devices', ['DIR', node]);
    must(target.dump());
    await target.gone();
    rmSync(node);
    const { status, stderr } = target.restore();
    expect(status).toBe(1);
    expect(stderr).toContain('CRTS_DEVICE_NAME');
    expect(stderr).toContain('--evasive-devices');
    must(target.restore('--evasive-devices'));
    await target.finish();
  } finally {
    execFileSync('rm', ['-r', node.slice(0, -'/null'.length)]);
  }
});
