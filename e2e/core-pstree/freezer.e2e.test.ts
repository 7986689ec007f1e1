// --freeze-cgroup: nothing of the tree is born or ends while it is looked at, and the cgroup is afterwards as it was.
import { spawn, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { rawSyscall } from '@crts/native-syscalls';
import { FreezerCgroup, type FreezerVersion, freezerMount } from '../harness/cgroups';
import { crts, crtsBinary, must } from '../harness/checkpointer';
import { compile } from '../harness/compile';
import { Target } from '../harness/target';
import { until } from '../harness/until';

/** Of the issue: a hundred dumps of each, over both versions and both programs. */
const DUMPS = 25;

const versions = (['v1', 'v2'] as const).filter((version) => freezerMount(version) !== undefined);
if (versions.length === 0) test.skip('freezer cgroups (none is mounted)', () => undefined);

describe.each(versions)('freezer of cgroup %s', (version: FreezerVersion) => {
  let cgroup: FreezerCgroup;
  beforeEach(() => {
    cgroup = new FreezerCgroup(version);
  });
  // The harness ends the programs after this: what is in the cgroup must not be frozen then.
  afterEach(() => cgroup.remove());

  async function start(name: string, args: readonly string[] = [], flags: readonly string[] = []): Promise<Target> {
    const target = Target.start(...cgroup.around(compile(name, flags), ['GO', ...args]));
    await target.ready();
    return target;
  }

  const option = () => ['--freeze-cgroup', cgroup.path];

  test.each([
    ['forker', []],
    ['spawner', ['-pthread']],
  ] as const)('%s: nothing escapes', async (name, flags) => {
    const target = await start(name, [], flags);
    for (let dump = 0; dump < DUMPS; dump++) {
      target.clearImages();
      must(target.dump('--leave-running', ...option()));
      expect(cgroup.isFrozen).toBe(false);
    }
    target.clearImages();
    must(target.dump(...option()));
    await target.gone();
    expect(cgroup.processes).toEqual([]);
    must(target.restore());
    await target.finish();
  });

  test('a pre-dump, and a dump on top of it', async () => {
    const target = await start('busy', ['integer']);
    must(crts('pre-dump', '-t', String(target.pid), '-D', target.images, ...option()));
    expect(cgroup.isFrozen).toBe(false);
    must(crts('dump', '-t', String(target.pid), '-D', target.directory, '--prev-images-dir', 'images', ...option()));
    await target.gone();
    must(crts('restore', '-d', '-D', target.directory));
    target.adoptRestored();
    await target.finish();
  });

  test.each(['--leave-running', '--leave-stopped'])(
    'a frozen cgroup stays so, its program in it: %s',
    async (final) => {
      const target = await start('crowd', ['10'], ['-pthread']);
      await cgroup.freeze();
      must(target.dump(final, ...option()));
      expect(cgroup.isFrozen).toBe(true);
      await cgroup.freeze();
      expect(target.proc('status')).toMatch(/^TracerPid:\s+0$/m);
      cgroup.thaw();
      if (final === '--leave-stopped') {
        await until('the program to be stopped', () => /^State:\s+T/m.test(target.proc('status')));
        process.kill(target.pid, 'SIGCONT');
      }
      await target.finish();
    },
  );

  test('a frozen program is dumped, and restored', async () => {
    const target = await start('crowd', ['10'], ['-pthread']);
    await cgroup.freeze();
    must(target.dump(...option()));
    await target.gone();
    expect(cgroup.processes).toEqual([]);
    must(target.restore());
    await target.finish();
  });

  // Before the agent is in, and with it in.
  test.each(['keyring', 'lock'])('a dump that fails leaves the cgroup as it was: %s', async (what) => {
    const target = await start('refused', [what, 'DIR'], ['-pthread']);
    for (const isFrozen of [false, true]) {
      if (isFrozen) await cgroup.freeze();
      expect(target.dump(...option()).status).toBe(1);
      expect(cgroup.isFrozen).toBe(isFrozen);
      expect(target.proc('status')).toMatch(/^TracerPid:\s+0$/m);
    }
    cgroup.thaw();
    await target.finish();
  });

  test('a stopped program, and a stopped one beside it', async () => {
    const target = await start('busy', ['integer']);
    const other = spawn(...cgroup.around('sleep', ['100']), { stdio: 'ignore' });
    await until('both to be in the cgroup', () => cgroup.processes.includes(other.pid!));
    const isStopped = (pid: number) => /^State:\s+T/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
    for (const pid of [target.pid, other.pid!]) process.kill(pid, 'SIGSTOP');
    await until('both to stop', () => isStopped(target.pid) && isStopped(other.pid!));
    must(target.dump('--leave-running', ...option()));
    expect([target.pid, other.pid!].map(isStopped)).toEqual([true, true]);
    target.clearImages();
    must(target.dump(...option()));
    await target.gone();
    expect(isStopped(other.pid!)).toBe(true);
    must(target.restore());
    expect(isStopped(target.pid)).toBe(true);
    process.kill(target.pid, 'SIGCONT');
    await target.finish();
  });

  test('a stop that only some threads have come to: the others are in vfork(2)', async () => {
    const target = await start('vfork', ['thread'], ['-pthread']);
    const thread = readdirSync(`/proc/${target.pid}/task`).find((tid) => tid !== String(target.pid))!;
    rawSyscall('tgkill', target.pid, Number(thread), constants.signals.SIGSTOP);
    await until('the thread to be stopped', () => /^State:\s+T/m.test(target.proc(`task/${thread}/status`)));
    const { status, stderr } = target.dump('--timeout', '1', ...option());
    expect([status, stderr]).toEqual([1, expect.stringContaining('[CRTS_VFORK]')]);
    expect(cgroup.isFrozen).toBe(false);
    expect(target.proc('status')).toMatch(/^TracerPid:\s+0$/m);
    process.kill(target.pid, 'SIGCONT');
    await target.finish();
  });

  test('others in the cgroup stand still during the dump, and go on after it', async () => {
    const target = await start('busy', ['integer']);
    const other = await start('busy', ['float']);
    must(target.dump('--leave-running', ...option()));
    expect(readFileSync(join(target.images, 'dump.log'), 'utf8')).toContain(
      '1 threads of the cgroup are not of the tree',
    );
    expect(other.proc('status')).toMatch(/^TracerPid:\s+0$/m);
    target.clearImages();
    must(target.dump(...option()));
    await target.gone();
    expect(cgroup.processes).toEqual([other.pid]);
    await other.finish();
    must(target.restore());
    await target.finish();
  });

  test.each([false, true])('crts is killed: the cgroup is as it was (frozen before: %s)', async (wasFrozen) => {
    const target = await start('crowd', ['10'], ['-pthread']);
    if (wasFrozen) await cgroup.freeze();
    for (let kill = 0; kill < 12; kill++) {
      target.clearImages();
      const child = spawn(crtsBinary, ['dump', '-t', String(target.pid), '-D', target.images, '-R', ...option()], {
        stdio: 'ignore',
      });
      const ended = new Promise((resolve) => child.once('exit', resolve));
      await until('the cgroup to change', () => cgroup.isFrozen !== wasFrozen || child.exitCode !== null);
      child.kill('SIGKILL');
      await ended;
      await until('the cgroup to be as it was', () => cgroup.isFrozen === wasFrozen);
    }
    cgroup.thaw();
    await target.finish();
  });

  test('a tree that is partly outside is refused', async () => {
    const target = await start('busy', ['integer']);
    const inner = new FreezerCgroup(version);
    try {
      const { status, stderr } = target.dump('--freeze-cgroup', inner.path);
      expect(status).toBe(1);
      expect(stderr).toContain('[CRTS_FREEZE_CGROUP]');
      expect(stderr).toContain(`thread ${target.pid}`);
      expect(inner.isFrozen).toBe(false);
    } finally {
      await inner.remove();
    }
    await target.finish();
  });

  test('crts in the cgroup itself is refused', async () => {
    const target = await start('busy', ['integer']);
    const args = ['dump', '-t', String(target.pid), '-D', target.images, ...option()];
    const script = `echo $$ > ${cgroup.path}/cgroup.procs && exec "$0" "$@"`;
    const { status, stderr } = spawnSync('/bin/sh', ['-c', script, crtsBinary, ...args], { encoding: 'utf8' });
    expect(status).toBe(1);
    expect(stderr).toContain('crts itself is in this cgroup');
    expect(cgroup.isFrozen).toBe(false);
    await target.finish();
  });
});

test('what is no cgroup is refused', async () => {
  const target = await Target.program('busy', ['integer']);
  for (const path of ['/tmp', '/nowhere']) {
    const { status, stderr } = target.dump('--freeze-cgroup', path);
    expect(status).toBe(1);
    expect(stderr).toContain('[CRTS_FREEZE_CGROUP]');
  }
  await target.finish();
});
