// Whom a dump cannot take hold of, what a plugin does wrong, and output that nobody reads: one line that says what to do.
import { spawn, spawnSync } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { crts, crtsBinary } from '../harness/checkpointer';
import { snapshot } from '../harness/snapshot';
import { Target } from '../harness/target';
import { until } from '../harness/until';

/** Two lines: what failed, and what to do. */
const EXPLAINED = /^crts: .* \[CRTS_\w+\]\n {2}\S.*\n$/;

test('a zombie, a thread, a thread of the kernel', async () => {
  const target = await Target.program('crowd', ['3'], { flags: ['-pthread'] });
  const thread = readdirSync(`/proc/${target.pid}/task`)
    .map(Number)
    .find((tid) => tid !== target.pid)!;
  const parent = spawn('sh', ['-c', 'true & exec sleep 60']);
  const children = () =>
    spawnSync('ps', ['-o', 'pid=', '--ppid', String(parent.pid)])
      .stdout.toString()
      .trim();
  await until('a dead child', () => /^\d+$/.test(children()) && isDead(children()));
  try {
    for (const [pid, code, text] of [
      [Number(children()), 'CRTS_ZOMBIE', 'dead already'],
      [
        thread,
        'CRTS_NO_TASK',
        `a thread of process ${target.pid} [CRTS_NO_TASK]\n  Dump the process: -t ${target.pid}.`,
      ],
      [2, 'CRTS_KERNEL_THREAD', 'of the kernel'],
    ] as const) {
      const { status, stderr } = crts('dump', '-t', String(pid), '-D', target.images);
      expect(status).toBe(1);
      expect(stderr).toMatch(EXPLAINED);
      expect(stderr).toContain(`[${code}]`);
      expect(stderr).toContain(text);
      expect(readdirSync(target.images)).toEqual([]);
    }
  } finally {
    parent.kill('SIGKILL');
    await new Promise((resolve) => parent.once('exit', resolve));
  }
  await target.finish();
});

function isDead(pid: string): boolean {
  return spawnSync('ps', ['-o', 'state=', '-p', pid]).stdout.toString().trim() === 'Z';
}

test('a user that may not', async () => {
  const target = await Target.program('busy', ['integer']);
  const before = snapshot(target.pid);
  const nobody = ['--reuid=65534', '--regid=65534', '--clear-groups', crtsBinary];
  const { status, stderr } = spawnSync('setpriv', [...nobody, 'dump', '-t', String(target.pid), '-D', '/tmp'], {
    encoding: 'utf8',
  });
  expect(status).toBe(1);
  expect(stderr).toMatch(EXPLAINED);
  expect(stderr).toContain('EACCES [CRTS_SEIZE]\n  crts needs root');
  expect(snapshot(target.pid)).toEqual(before);
  await target.finish();
});

const HANDLER = `{ name: 'x', match: (fd) => (fd.fd === 1 ? 100 : 0), dump() {}, owns: () => false, plan() {} }`;

test.each([
  ['dump() { throw new TypeError("x is undefined"); }', 'x is undefined [CRTS_PLUGIN_MISTAKE]'],
  ['match() { throw new RangeError("y"); }', 'y [CRTS_PLUGIN_MISTAKE]'],
  ['async dump() {}', 'returned no entry: { type, field, value } [CRTS_PLUGIN_MISTAKE]'],
  ['dump() { process.exit(0); }', '(process.exit) [CRTS_PLUGIN_MISTAKE]'],
  ['dump: 3', 'without dump() [CRTS_PLUGIN_SHAPE]'],
])('a plugin with %s', async (method, text) => {
  const target = await Target.program('busy', ['integer']);
  const before = snapshot(target.pid);
  const file = join(target.directory, 'plugin.js');
  const register = `c.register(Symbol.for('crts/fd-handler/1'), { useValue: { ...${HANDLER}, ${method} } })`;
  writeFileSync(file, `exports.plugin = { name: 'x', register(c) { ${register}; } };`);
  const { status, stderr } = target.dump('--plugin', file);
  expect(status).toBe(1);
  expect(stderr).toMatch(EXPLAINED);
  expect(stderr).toContain(text);
  expect(readdirSync(target.images)).toEqual(['dump.log']);
  await until('the program to be as before', () => JSON.stringify(snapshot(target.pid)) === JSON.stringify(before));
  await target.finish();
});

test('the log has no reader any more: the dump is complete all the same', async () => {
  const target = await Target.program('busy', ['integer']);
  const command = `${crtsBinary} dump -t ${target.pid} -D ${target.images} -v4 2>&1 | true; echo \${PIPESTATUS[0]}`;
  expect(spawnSync('bash', ['-c', command], { encoding: 'utf8' }).stdout).toBe('0\n');
  await target.gone();
  expect(target.restore().status).toBe(0);
  await target.finish();
});

test('a full disk for what was asked for is told', () => {
  const { stdout, stderr } = spawnSync('bash', ['-c', `${crtsBinary} --help > /dev/full; echo $?`], {
    encoding: 'utf8',
  });
  expect(stdout).toBe('1\n');
  expect(stderr).toContain('stdout: the output cannot be written: ENOSPC [CRTS_FILE_WRITE]');
});
