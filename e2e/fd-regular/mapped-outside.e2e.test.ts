import {
  closeSync,
  constants,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { must } from '../harness/checkpointer';
import { testNeeding } from '../harness/needs';
import { Target } from '../harness/target';

/** The mount as /proc/self/fdinfo tells it of any open file there. */
function keyOf(file: string): string {
  const fd = openSync(file, 'r');
  const mount = Number(/^mnt_id:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))![1]);
  closeSync(fd);
  return `file[${mount.toString(16)}:${statSync(file).ino.toString(16)}]`;
}

async function withProgram(body: (target: Target, key: string, theirs: number) => Promise<void>): Promise<void> {
  const target = await Target.program('mapped-outside', ['DIR/file']);
  const file = join(target.directory, 'file');
  const other = join(target.directory, 'other');
  // criu wants the mode that the file had.
  writeFileSync(other, 'handed over', { mode: 0o600 });
  truncateSync(other, 8192);
  const key = keyOf(file);
  const theirs = openSync(other, constants.O_RDWR);
  try {
    await body(target, key, theirs);
    await target.finish();
    expect(readFileSync(other, 'latin1').slice(0, 15)).toBe('handed owritten');
  } finally {
    closeSync(theirs);
  }
}

test('a mapped file left outside is what the caller hands back', () =>
  withProgram(async (target, key, theirs) => {
    must(target.dump('--external', key));
    await target.gone();
    renameSync(join(target.directory, 'file'), join(target.directory, 'elsewhere'));
    const { status, stderr } = target.restore();
    expect([status, stderr]).toEqual([1, expect.stringContaining('[CRTS_FILE_EXTERNAL]')]);
    must(target.restoreInheriting([theirs], '--inherit-fd', `fd[3]:${key}`));
  }));

testNeeding(['CRTS_CRIU'])('criu restores it, and crts what criu dumped', () =>
  withProgram(async (target, key, theirs) => {
    must(target.dump('--external', key));
    await target.gone();
    must(target.restoreInheritingWithCriu([theirs], '--inherit-fd', `fd[3]:${key}`));
    target.clearImages();
    const next = keyOf(join(target.directory, 'other'));
    must(target.dumpWithCriu('--external', next));
    await target.gone();
    must(target.restoreInheriting([theirs], '--inherit-fd', `fd[3]:${next}`));
  }),
);
