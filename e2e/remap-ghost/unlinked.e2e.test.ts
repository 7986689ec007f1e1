import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { must } from '../harness/checkpointer';
import { flavours } from '../harness/flavours';
import { snapshot } from '../harness/snapshot';
import { Target } from '../harness/target';

const start =
  (kind: string, ...more: string[]) =>
  () =>
    Target.program('unlinked', ['DIR', kind, ...more]);

/** Names in the directory of the test, without those that the test itself makes. */
const names = (target: Target) => readdirSync(target.directory).filter((name) => !/^(images|output|go)$/.test(name));

flavours('a deleted file: contents, holes, attributes, descriptions, a mapping', {
  start: start('file'),
  options: ['--ghost-limit', '4M'],
  notWithCriu: 'it loses attributes; see below',
});
flavours('a deleted file, as far as CRIU carries it', {
  start: start('file', 'loses'),
  options: ['--ghost-limit', '4M'],
  only: ['criu and back'],
});
flavours('a deleted file that had two names', { start: start('names') });
flavours('deleted files of one name, in turn', { start: start('again') });
flavours('deleted files whose name somebody else has', {
  start: start('taken'),
  // The name that /proc shows differs.
  only: ['plain', 'left running', 'criu and back'],
});
flavours('a deleted working directory, and a file in it', {
  start: start('directory'),
  notWithCriu: 'it cannot remove the directory again',
});
flavours('a deleted working directory', { start: start('directory', 'loses'), only: ['criu and back'] });
flavours('a deleted file that is only mapped', { start: start('mapped') });
flavours('a file of O_TMPFILE, to be given a name', {
  start: start('tmpfile'),
  notWithCriu: 'what it restores cannot be given a name any more',
});
flavours('deleted symbolic links, FIFOs and devices, by path only', {
  start: start('paths'),
  notWithCriu: 'it opens the FIFO as one',
});
flavours('deleted files with inode flags (chattr)', { start: start('flags'), notWithCriu: 'it loses them' });
flavours('10 MiB', { start: start('large', '10'), options: ['--ghost-limit=10M'] });
flavours('a file that has lost its name and has another', { start: start('linked'), options: ['--link-remap'] });

test.each(['taken', 'replaced'])('%s: the name is taken; who has it now is not touched', async (kind) => {
  const target = await start(kind)();
  const before = names(target);
  await target.cycle('--link-remap');
  expect(names(target)).toEqual(before);
  await target.finish();
});

test('the temporary name is there from the end of the dump to that of the restore', async () => {
  const target = await start('linked')();
  must(target.dump('--link-remap'));
  await target.gone();
  expect(names(target).some((name) => name.startsWith('link_remap.'))).toBe(true);
  must(target.restore());
  expect(names(target)).toEqual(['other name']);
  await target.finish();
});

test('a dump that leaves the program running makes no names', async () => {
  const target = await start('linked')();
  must(target.dump('--link-remap', '--leave-running'));
  expect(names(target)).toEqual(['other name']);
  await target.finish();
});

test.each([
  ['large', ['1M'], /large\): the file was deleted and has \d+ bytes.*\[CRTS_GHOST_LIMIT\]\n.*--ghost-limit 1[01]M/s],
  ['linked', ['1M'], /linked\): this name of the file was removed.*\[CRTS_LINK_REMAP\]\n.*--link-remap/s],
])('%s is refused without the option, and the program goes on', async (kind, [limit], text) => {
  const target = await start(kind, '10')();
  const before = snapshot(target.pid);
  const { status, stderr } = target.dump('--ghost-limit', limit!);
  expect(status).toBe(1);
  expect(stderr).toMatch(text);
  expect(readdirSync(target.images)).toEqual(['dump.log']);
  expect(snapshot(target.pid)).toEqual(before);
  await target.finish();
});

test('in a directory that lies on a read-only mount by now', async () => {
  const target = await Target.program('unlinked', ['DIR/sub', 'readonly']);
  must(target.dump());
  await target.gone();
  const directory = join(target.directory, 'sub');
  const mount = (...args: string[]) => expect(spawnSync('mount', args).status).toBe(0);
  mount('--bind', directory, directory);
  try {
    mount('-o', 'remount,bind,ro', directory);
    must(target.restore());
    expect(readdirSync(directory)).toEqual([]);
    await target.finish();
  } finally {
    spawnSync('umount', ['-l', directory]);
  }
});

test('a restore that fails leaves nothing behind', async () => {
  const target = await start('names')();
  must(target.dump('--leave-running'));
  const before = names(target);
  const { status, stderr } = target.restore();
  expect(status).toBe(1);
  expect(stderr).toContain('[CRTS_PID_TAKEN]');
  expect(names(target)).toEqual(before);
  await target.finish();
});
