import { closeSync, constants, openSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { must } from '../harness/checkpointer';
import { snapshot } from '../harness/snapshot';
import { Target } from '../harness/target';

/** As a user finds it: mnt_id of fdinfo and the inode, in hex. */
function resource(target: Target, file: string): string {
  const mount = Number(/^mnt_id:\s*(\d+)/m.exec(target.proc('fdinfo/3'))![1]);
  return `file[${mount.toString(16)}:${statSync(file).ino.toString(16)}]`;
}

async function dumped() {
  const target = await Target.program('external', ['DIR/file']);
  const file = join(target.directory, 'file');
  const key = resource(target, file);
  must(target.dump('--external', key));
  await target.gone();
  renameSync(file, join(target.directory, 'elsewhere'));
  return { target, key, file: join(target.directory, 'elsewhere') };
}

function restored(target: Target, file: string, flags: number, ...options: string[]) {
  const fd = openSync(file, flags);
  try {
    return target.restoreInheriting([fd], ...options);
  } finally {
    closeSync(fd);
  }
}

test('a file left outside is opened again by what the caller hands back, once for each description', async () => {
  const { target, key, file } = await dumped();
  must(restored(target, file, constants.O_RDWR, '--inherit-fd', `fd[3]:${key}`));
  expect(snapshot(target.pid)).toBeDefined();
  await target.finish();
});

test('nothing is handed back: the error says what to pass', async () => {
  const { target, key } = await dumped();
  const { status, stderr } = target.restore();
  expect(status).toBe(1);
  expect(stderr).toContain('[CRTS_FILE_EXTERNAL]');
  expect(stderr).toContain(`for reading and writing as descriptor N of crts, and pass --inherit-fd 'fd[N]:${key}'`);
});

test('a descriptor that crts does not have', async () => {
  const { target, key } = await dumped();
  const { status, stderr } = target.restore('--inherit-fd', `fd[97]:${key}`);
  expect(status).toBe(1);
  expect(stderr).toContain('[CRTS_INHERIT_FD]');
});

test('a file of another name instead, as it is', async () => {
  const target = await Target.program('external', ['DIR/file']);
  must(target.dump());
  await target.gone();
  const other = join(target.directory, 'other');
  writeFileSync(other, 'something else');
  const name = join(target.directory, 'file').slice(1);
  must(restored(target, other, constants.O_RDWR, '--inherit-fd', `fd[3]:${name}`));
  expect(snapshot(target.pid).descriptors).toMatchObject({ 3: expect.stringContaining(`${other} pos:\t0`) });
});

test('what neither the program nor the images have is told of, and what is of namespaces is no matter here', async () => {
  const target = await Target.program('external', ['DIR/file']);
  must(
    target.dump('--external', 'pipe[1]', '--external', 'mnt[]:ms', '--external', 'mnt[/a]:b', '--external', 'net[1]:x'),
  );
  await target.gone();
  const dumped = readFileSync(join(target.images, 'dump.log'), 'utf8');
  for (const key of ['pipe[1]', 'mnt[]', 'mnt[/a]', 'net[1]'])
    expect(dumped).toContain(`--external ${key}: the program has no such resource`);
  must(restored(target, target.output, constants.O_RDONLY, '--inherit-fd', 'fd[3]:socket[77]'));
  expect(readFileSync(join(target.images, 'restore.log'), 'utf8')).toMatch(
    /warn: --inherit-fd socket\[77\]: .* \(code=CRTS_INHERIT_UNUSED/,
  );
  await target.finish();
});

test('a type of resource that no plugin leaves outside', async () => {
  const target = await Target.program('external', ['DIR/file']);
  const { status, stderr } = target.dump('--external', 'gpu[0]');
  expect(status).toBe(1);
  expect(stderr).toContain('[CRTS_EXTERNAL_KIND]');
  await target.finish();
});
