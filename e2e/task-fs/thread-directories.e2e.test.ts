// Threads with directories and umasks of their own, unshare(CLONE_FS).
import { mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

const only = ['plain', 'once', 'repeated', 'left running', 'killed'];

flavours('threads with directories of their own', {
  start: () => Target.program('thread-directories', ['DIR'], { flags: ['-pthread'] }),
  only,
});

flavours('such threads of a process with a root of its own', {
  start: () => Target.program('thread-directories', ['DIR', 'jail'], { flags: ['-pthread', '-static'] }),
  only,
  // Inside its root the go file has the same name, further down.
  finish: async (target) => {
    mkdirSync(join(target.directory, target.directory), { recursive: true });
    writeFileSync(join(target.directory, target.go), '');
    await target.finish();
    rmSync(join(target.directory, 'tmp'), { recursive: true });
  },
});

test('look the same from outside', async () => {
  const target = await Target.program('thread-directories', ['DIR'], { flags: ['-pthread'] });
  const look = () =>
    Object.fromEntries(
      readdirSync(`/proc/${target.pid}/task`).map((tid) => {
        const at = `/proc/${target.pid}/task/${tid}`;
        const umask = /^Umask:.*$/m.exec(readFileSync(`${at}/status`, 'latin1'))?.[0];
        return [tid, [readlinkSync(`${at}/cwd`), readlinkSync(`${at}/root`), umask]];
      }),
    );
  const before = look();
  expect(new Set(Object.values(before).map(String)).size).toBe(6);
  await target.cycle();
  expect(look()).toEqual(before);
  await target.finish();
});
