// Where watched things can be, and where they are gone to when they come back.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { must } from '../harness/checkpointer';
import { Places } from '../harness/places';
import { Target } from '../harness/target';

test('overlayfs: a directory of a lower layer, a file copied up', async () => {
  using places = new Places();
  const { directory } = places;
  places.make('lower', 'lower/sub', 'lower two', 'upper', 'work');
  writeFileSync(join(directory, 'lower two/file'), 'from below');
  const layers = `lowerdir=${directory}/lower:${directory}/lower two,upperdir=${directory}/upper,workdir=${directory}/work`;
  const target = await Target.program('inotify-plain', [places.mount('-t', 'overlay', 'overlay', '-o', layers)]);
  await target.cycle();
  await target.cycle();
  await target.finish();
});

test('overlayfs whose handles open', async () => {
  using places = new Places();
  const { directory } = places;
  places.make('lower', 'upper', 'work');
  const layers = `lowerdir=${directory}/lower,upperdir=${directory}/upper,workdir=${directory}/work,index=on,nfs_export=on`;
  const target = await Target.program('inotify-plain', [places.mount('-t', 'overlay', 'overlay', '-o', layers)]);
  await target.cycle();
  await target.finish();
});

test('tmpfs', async () => {
  using places = new Places();
  const target = await Target.program('inotify-plain', [places.mount('-t', 'tmpfs', 'none')]);
  must(target.dump('--force-irmap'));
  await target.gone();
  must(target.restore());
  await target.finish();
});

test('procfs: found by --irmap-scan-path', async () => {
  const target = await Target.program('inotify-proc');
  must(target.dump('--irmap-scan-path', '/proc/sys/kernel'));
  await target.gone();
  must(target.restore());
  await target.finish();
});

test('renamed between dump and restore: the watch is on what it was on', async () => {
  const target = await Target.program('inotify-plain', ['DIR']);
  must(target.dump());
  await target.gone();
  renameSync(join(target.directory, 'sub'), join(target.directory, 'elsewhere'));
  mkdirSync(join(target.directory, 'sub'));
  must(target.restore());
  const fdinfo = target.proc('fdinfo/3');
  const inode = (name: string) => `ino:${Number(execFileSync('stat', ['-c', '%i', name])).toString(16)} `;
  expect(fdinfo).toContain(inode(join(target.directory, 'elsewhere')));
  expect(fdinfo).not.toContain(inode(join(target.directory, 'sub')));
  expect(readFileSync(join(target.images, 'restore.log'), 'utf8')).toContain('has another name now');
});

test('replaced between dump and restore: the watch is on what has the name, and that is said', async () => {
  const target = await Target.program('inotify-plain', ['DIR']);
  must(target.dump());
  await target.gone();
  rmSync(join(target.directory, 'sub'), { recursive: true });
  // Another directory takes the inode before the name comes back.
  mkdirSync(join(target.directory, 'other'));
  mkdirSync(join(target.directory, 'sub'));
  must(target.restore());
  expect(readFileSync(join(target.images, 'restore.log'), 'utf8')).toContain('another object has the name');
  await target.finish();
});

test('gone between dump and restore: said before any process is made', async () => {
  const target = await Target.program('inotify-plain', ['DIR']);
  must(target.dump());
  await target.gone();
  rmSync(join(target.directory, 'sub'), { recursive: true });
  const { status, stderr } = target.restore();
  expect(status).toBe(1);
  expect(stderr).toContain('CRTS_WATCH_GONE');
  expect(stderr).toContain(join(target.directory, 'sub'));
  expect(target.alive()).toBe(false);
  mkdirSync(join(target.directory, 'sub'));
  must(target.restore());
  await target.finish();
});

test('the plan says who adds the watches, when and why', async () => {
  const target = await Target.program('inotify-plain', ['DIR']);
  must(target.dump());
  await target.gone();
  const { stdout } = must(target.restore('--dry-run', '--explain'));
  expect(stdout).toMatch(/\[credentials\] fd-inotify: 2 watches \(host step: .*touches no file/);
});
