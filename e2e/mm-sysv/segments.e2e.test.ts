import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { rawSyscall } from '@crts/native-syscalls';
import { crtsBinary, must } from '../harness/checkpointer';
import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

const IPC_RMID = 0;
const notWithCriu = 'CRIU wants the IPC namespace dumped too';
const made: number[] = [];

async function start(kind: string): Promise<Target> {
  const target = await Target.program('sysv-memory', [kind]);
  made.push(segmentOf(target));
  return target;
}

function segmentOf(target: Target): number {
  return Number(/segment (\d+)/.exec(target.text())?.[1]);
}

// Segments outlive a program that a failed test has ended.
afterEach(() => {
  for (const id of made.splice(0)) rawSyscall('shmctl', id, IPC_RMID, null);
});

flavours('a segment that stays', { start: () => start('kept'), notWithCriu });

flavours('a segment that goes with its last attachment', { start: () => start('destroyed'), notWithCriu });

test('a segment that was removed meanwhile is made again, with its number and contents', async () => {
  const target = await start('kept');
  must(target.dump());
  await target.gone();
  expect(rawSyscall('shmctl', segmentOf(target), IPC_RMID, null)).toBe(0);
  must(target.restore());
  await target.finish();
});

test('a restore in a pid namespace of its own attaches the segment that is there', async () => {
  const target = await start('kept');
  must(target.dump());
  await target.gone();
  const restore = [crtsBinary, 'restore', '-D', target.images, '-o', 'restore.log', '-v4'];
  writeFileSync(target.go, '');
  const { status, stderr } = spawnSync('unshare', ['-pf', '--mount-proc', ...restore], { encoding: 'utf8' });
  expect([status, stderr, target.text()]).toEqual([0, '', expect.stringMatching(/EXIT-SUCCESS/)]);
  expect(target.text()).not.toContain('FAIL');
});

test('another segment with the key: refused before anything is made', async () => {
  const target = await start('kept');
  must(target.dump());
  await target.gone();
  rawSyscall('shmctl', segmentOf(target), IPC_RMID, null);
  const other = rawSyscall('shmget', 0x43520000 + (target.pid & 0xffff), 4096, 0o1600);
  made.push(other);
  const { status, stderr } = target.restore();
  expect(status).toBe(1);
  expect(stderr).toContain('[CRTS_SYSV_TAKEN]');
  expect(target.alive()).toBe(false);
});
