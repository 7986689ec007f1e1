// What users meet: tarballs in an empty directory, no workspace, no compiler; and a plugin that somebody else wrote.
import { spawn, spawnSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { rawSyscall, waitPid } from '@crts/native-syscalls';

const root = join(__dirname, '../..');
const NPM_MS = 120_000;
const SIGKILL = 9;
const PR_SET_CHILD_SUBREAPER = 36;

// What crts restores becomes a child of this process when crts leaves, so that it can be waited for.
rawSyscall('prctl', PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);

let directory: string;
let tarballs: string[] = [];

/** Directories on the PATH of the tests: what an installation without compiler has. */
let tools: string;
const home = () => join(directory, 'project');

function run(command: string, args: readonly string[], cwd = home()) {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    timeout: NPM_MS,
    env: {
      PATH: tools,
      HOME: directory,
      npm_config_cache: join(process.env.HOME ?? '/root', '.npm'),
      npm_config_audit: 'false',
    },
  });
  if (error !== undefined) throw error;
  return { status, stdout, stderr };
}

function must(command: string, args: readonly string[], cwd?: string): string {
  const { status, stdout, stderr } = run(command, args, cwd);
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: exit ${status}\n${stdout}${stderr}`);
  return stdout;
}

const tarball = (name: string) => tarballs.find((file) => basename(file) === `${name}-${version}.tgz`)!;
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'packed-'));
  tools = join(directory, 'bin');
  mkdirSync(tools);
  for (const tool of ['node', 'npm', 'npx', 'sh', 'env']) {
    const found = spawnSync('sh', ['-c', `command -v ${tool}`], { encoding: 'utf8' }).stdout.trim();
    symlinkSync(tool === 'node' ? process.execPath : found, join(tools, tool));
  }
  const packing = spawnSync(process.execPath, [join(root, 'tools/workspace/pack.mjs'), join(directory, 'tarballs')], {
    encoding: 'utf8',
  });
  if (packing.status !== 0) throw new Error(packing.stderr);
  tarballs = packing.stdout.trim().split('\n');
  mkdirSync(home());
  writeFileSync(join(home(), 'package.json'), '{ "private": true }');
}, NPM_MS);

afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

async function until(what: string, condition: () => boolean): Promise<void> {
  for (let tries = 0; tries < 400; tries++) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error(`waited in vain for ${what}`);
}

/** A python3 that nobody prepared, which asks for a latency; it tells what is asked for once `go` exists. */
const PROGRAM = `
import os, struct, sys, time
os.closerange(3, 1024)
wish = os.open("/dev/cpu_dma_latency", os.O_RDWR)
os.write(wish, struct.pack("i", 321))
os.write(1, b"ready %d\\n" % wish)
while not os.path.exists(sys.argv[1]): time.sleep(0.02)
os.write(1, b"%d %d\\n" % (wish, struct.unpack("i", os.pread(wish, 4, 0))[0]))
`;

function start(output: string, go: string): number {
  const fd = openSync(output, 'a');
  const child = spawn('python3', ['-S', '-c', PROGRAM, go], { detached: true, stdio: ['ignore', fd, fd] });
  closeSync(fd);
  return child.pid!;
}

test('every tarball has code, README and licence, and no sources', () => {
  expect(tarballs.length).toBeGreaterThan(15);
  for (const file of tarballs) {
    const names = spawnSync('tar', ['-tzf', file], { encoding: 'utf8' }).stdout.trim().split('\n');
    expect(names).toEqual(expect.arrayContaining(['package/package.json', 'package/LICENSE', 'package/README.md']));
    expect(names.filter((name) => /\/(src|dist\/cache)\/|\.test\.|\.tsbuildinfo$|jest\.config/.test(name))).toEqual([]);
    expect(names.some((name) => /^package\/(dist|prebuilt)\//.test(name))).toBe(true);
  }
});

test(
  'two tarballs in an empty directory: dump, restore, and a plugin of a third party',
  async () => {
    const plugin = join(root, 'e2e/packed/crts-fd-example');
    const [packed] = JSON.parse(must('npm', ['pack', '--json', '--pack-destination', home(), plugin])) as [
      { filename: string },
    ];
    must('npm', ['install', tarball('crts'), tarball('crts-native-linux-x64')]);
    must('npm', ['install', tarball('crts-plugin-api'), join(home(), packed.filename)]);

    const images = join(home(), 'images');
    const output = join(home(), 'output');
    const go = join(home(), 'go');
    const text = () => readFileSync(output, 'utf8');
    mkdirSync(images);
    const pid = start(output, go);
    // Once it is gone its pid may be anybody's.
    let alive = true;
    let restored = false;
    try {
      await until('the program', () => existsSync(output) && text().includes('ready'));

      const dump = ['crts', 'dump', '-t', String(pid), '-D', images];
      const refused = run('npx', dump);
      expect([refused.status, refused.stderr]).toEqual([1, expect.stringMatching(/\[CRTS_(FD_KIND|DEVICE)\]/)]);

      must('npx', [...dump, '--plugin', 'crts-fd-example']);
      alive = false;
      await until('the program to be gone', () => !existsSync(`/proc/${pid}`));

      const unknown = run('npx', ['crts', 'restore', '-d', '-D', images]);
      expect([unknown.status, unknown.stderr]).toEqual([1, expect.stringContaining('[CRTS_IMAGE_PLUGIN]')]);
      expect(unknown.stderr).toContain('--plugin crts-fd-example');
      expect(existsSync(`/proc/${pid}`)).toBe(false);

      writeFileSync(join(home(), 'crts.config.json'), '{ "plugins": ["crts-fd-example"] }');
      must('npx', ['crts', 'restore', '-d', '-D', images]);
      alive = true;
      restored = true;
      writeFileSync(go, '');
      await until('the wish', () => /^\d+ \d+$/m.test(text()));
      expect(text()).toBe('ready 3\n3 321\n');
    } finally {
      if (alive) rawSyscall('kill', pid, SIGKILL);
      // It is a child of this process, the subreaper, and not one that Node knows of.
      if (restored) waitPid(pid);
    }
  },
  NPM_MS,
);

test(
  'all tarballs in one directory: each package can be loaded',
  () => {
    const all = join(directory, 'all');
    mkdirSync(all);
    writeFileSync(join(all, 'package.json'), '{ "private": true }');
    must('npm', ['install', ...tarballs], all);
    for (const name of Object.keys(JSON.parse(readFileSync(join(all, 'package.json'), 'utf8')).dependencies)) {
      if (name === 'crts') expect(must('npx', ['crts', '--version'], all)).toContain(version);
      else must('node', ['-e', `require('${name}')`], all);
    }
    expect(dirname(must('node', ['-p', "require.resolve('@crts/plugin-api')"], all))).toContain(all);
  },
  NPM_MS,
);
