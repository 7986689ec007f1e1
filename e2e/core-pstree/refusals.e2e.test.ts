import { spawn } from 'node:child_process';
// What crts does not carry is refused before anything is touched; the program goes on as if nothing had happened.
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { crts, must } from '../harness/checkpointer';
import { snapshot } from '../harness/snapshot';
import { Target } from '../harness/target';
import { until } from '../harness/until';

test.each([
  ['io_uring', 'CRTS_FD_KIND', /fd 3 \(anon_inode:\[io_uring\]\).*\(io_uring\)/],
  ['bpf', 'CRTS_FD_KIND', /fd 3 \(anon_inode:bpf-map\).*\(BPF map\)/],
  ['perf', 'CRTS_FD_KIND', /fd 3 \(anon_inode:\[perf_event\]\).*\(performance event\)/],
  ['userfaultfd-alone', 'CRTS_FD_KIND', /fd 3 \(anon_inode:\[userfaultfd\]\).*\(userfaultfd\)/],
  ['landlock', 'CRTS_FD_KIND', /fd 3 \(anon_inode:\[landlock-ruleset\]\).*\(Landlock rules\)/],
  ['secret', 'CRTS_FD_KIND', /fd 3 \(\/secretmem.*\(secret memory\)/],
  ['queue', 'CRTS_FD_KIND', /fd 3 \(\/crts-refused.*\(POSIX message queue\)/],
  ['block', 'CRTS_FD_KIND', /fd 3 \(\/dev\/loop0\).*\(block device\)/],
  ['waiting-data', 'CRTS_SOCKET_WAITING', /fd 4: UNIX socket \d+ has sent data and waits to be accepted/],
  ['waiting-closed', 'CRTS_SOCKET_WAITING', /fd 3: a connection that was closed before it is accepted waits/],
  ['unlinked', 'CRTS_LINK_REMAP', /fd 3 \(.*\/unlinked\).*--link-remap/s],
  ['userfaultfd', 'CRTS_VMA_KIND', /mapping 0x[0-9a-f]+-0x[0-9a-f]+ \(userfaultfd missing tracking\)/],
  ['timer', 'CRTS_TIMER_CLOCK', /timer 0 runs on the CPU time of process \d+/],
  ['landlocked', 'CRTS_LANDLOCK', /has restricted itself with Landlock/],
  ['landlocked-user', 'CRTS_LANDLOCK', /has restricted itself with Landlock/],
  ['keyring', 'CRTS_KEYRING', /a process keyring/],
  [
    'own-fs-of-two',
    'CRTS_THREAD_UNSHARED',
    /thread \d+ shares its directories with \d+, and not with the other threads/,
  ],
  ['own-files', 'CRTS_THREAD_UNSHARED', /thread \d+ has a table of descriptors of its own/],
  ['pid-namespace', 'CRTS_NAMESPACE', /another pid_for_children namespace/],
  ['own-net', 'CRTS_THREAD_UNSHARED', /thread \d+ has a net namespace of its own/],
  ['lock', 'CRTS_FILE_LOCK', /fd 3 \(.*\/locked\).*--file-locks/s],
])('%s is refused with %s', async (what, code, text) => {
  const target = await Target.program('refused', [what, 'DIR'], { flags: ['-pthread'] });
  const before = snapshot(target.pid);
  const { status, stderr } = target.dump();
  expect(status).toBe(1);
  expect(stderr).toContain(`[${code}]`);
  expect(stderr).toMatch(text);
  expect(stderr.trimEnd().split('\n').length).toBeLessThanOrEqual(2);
  expect(readdirSync(target.images)).toEqual(['dump.log']);
  expect(snapshot(target.pid)).toEqual(before);
  await target.finish();
});

test('a file whose name is longer than a path may be', async () => {
  const target = await Target.program('refused', ['deep', 'DIR'], { flags: ['-pthread'] });
  const { status, stderr } = target.dump();
  expect(status).toBe(1);
  expect(stderr).toMatch(/fd\/\d\).*longer than a path may be: readlink: ENAMETOOLONG \[CRTS_FILE_UNREACHABLE\]/);
  await target.finish();
});

test('a pid that is in use: the error names who has it', async () => {
  const target = await Target.program('blocked', ['pause']);
  must(target.dump('--leave-running'));
  const { status, stderr } = target.restore();
  expect(status).toBe(1);
  expect(stderr).toContain('[CRTS_PID_TAKEN]');
  expect(stderr).toContain(`pid ${target.pid}: the pid is in use by blocked`);
  expect(target.alive()).toBe(true);
});

test('a process that does not exist', () => {
  const { status, stderr } = crts('dump', '-t', '4194303', '-D', '/tmp');
  expect(status).toBe(1);
  expect(stderr).toContain('[CRTS_NO_TASK]');
});

test('an image directory without inventory is recognised as incomplete', async () => {
  const target = await Target.program('blocked', ['pause']);
  writeFileSync(join(target.images, 'pstree.img'), '');
  const { status, stderr } = target.restore();
  expect(status).toBe(1);
  expect(stderr).toContain('[CRTS_IMAGES_INCOMPLETE]');
});

test('a job of a shell needs --shell-job', async () => {
  // A program in the session of this test: not a leader, as a job started from a terminal.
  const target = await Target.program('blocked', ['pause']);
  const { status, stderr } = crts('dump', '-t', String(process.pid), '-D', target.images);
  expect(status).toBe(1);
  expect(stderr).toMatch(/\[CRTS_(SESSION|OWN_TREE)\]/);
  expect(existsSync(join(target.images, 'inventory.img'))).toBe(false);
});

test('a program that is being traced', async () => {
  const target = await Target.program('blocked', ['pause']);
  const tracer = spawn('strace', ['-p', String(target.pid), '-o', '/dev/null'], { stdio: 'ignore' });
  try {
    await until('strace to attach', () => !/^TracerPid:\t0/m.test(target.proc('status')));
    const { status, stderr } = target.dump();
    expect(status).toBe(1);
    expect(stderr).toContain('[CRTS_SEIZE]');
    expect(stderr).toContain(`Process ${tracer.pid} traces it`);
  } finally {
    tracer.kill('SIGINT');
  }
});

test('a file that changed since the dump stops the restore before anything is made', async () => {
  const target = await Target.program('memory', ['DIR/mapped']);
  must(target.dump());
  await target.gone();
  writeFileSync(join(target.directory, 'mapped'), 'another size');
  const { status, stderr } = target.restore();
  expect(status).toBe(1);
  expect(stderr).toMatch(/\/mapped: the file changed since the dump: size 12, was \d+ \[CRTS_FILE_CHANGED\]/);
  expect(target.alive()).toBe(false);
});

test('a pid that is in use by a dead process: its parent is named, who has to wait for it', async () => {
  const target = await Target.program('blocked', ['pause']);
  must(target.dump());
  // This process does so in another turn of its loop.
  const { status, stderr } = target.restore();
  expect([status, stderr]).toEqual([1, expect.stringContaining('[CRTS_PID_TAKEN]')]);
  expect(stderr).toMatch(/in use by blocked\S*, which is dead and waits for its parent/);
  expect(stderr).toContain(`Let its parent ${process.pid} wait for it, or end, or restore`);
  await target.gone();
  must(target.restore());
  expect(target.alive()).toBe(true);
});
