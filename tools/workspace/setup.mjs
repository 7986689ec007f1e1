// Installs and builds, from a fresh clone or after a change; does nothing that is done. Needs only Node and npm.
import { spawnSync } from 'node:child_process';
import { existsSync, statSync, utimesSync } from 'node:fs';
import { join } from 'node:path';

export const root = join(import.meta.dirname, '../..');
const NODE_MAJOR = 20;
// No daemon, no cloud, no telemetry: the commands must leave nothing running and call nobody.
export const env = {
  ...process.env,
  NX_DAEMON: 'false',
  NX_NO_CLOUD: 'true',
  NX_TUI: 'false',
  NX_SKIP_LOG_GROUPING: 'true',
  DO_NOT_TRACK: '1',
};

export function setup() {
  demand();
  install();
  run('npx', ['nx', 'run-many', '-t', 'build', '--parallel=2', '--outputStyle=static']);
}

/** Says at once what would fail obscurely later. */
export function demandRoot(what) {
  if (process.getuid() !== 0) fail(`${what} dumps and restores processes, which takes root (sudo npm ...)`);
}

function demand() {
  if (Number(process.versions.node.split('.')[0]) < NODE_MAJOR)
    fail(`crts needs Node ${NODE_MAJOR} or later, this is ${process.version}`);
  if (process.platform !== 'linux' || process.arch !== 'x64') fail('crts is for Linux on x86-64');
  const missing = ['cc', 'c++', 'make', 'python3'].filter((tool) => spawnSync(tool, ['--version']).error !== undefined);
  if (missing.length > 0)
    fail(`the native part needs ${missing.join(', ')}: apt-get install build-essential python3 (Debian)`);
}

function install() {
  const lock = join(root, 'package-lock.json');
  const installed = join(root, 'node_modules/.package-lock.json');
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(lock).mtimeMs) return;
  // `npm ci` of npm 11 refuses a lock whose optional packages are for other platforms (npm/cli issue 9846).
  run('npm', ['install', '--no-save', '--no-audit', '--no-fund']);
  // npm leaves the file alone when there was nothing to do.
  const now = new Date();
  utimesSync(installed, now, now);
}

function run(command, args) {
  const { status, error } = spawnSync(command, args, { cwd: root, env, stdio: 'inherit' });
  if (status !== 0) fail(`${command} ${args.join(' ')} failed${error === undefined ? '' : `: ${error.message}`}`);
}

function fail(text) {
  console.error(`\n${text}`);
  process.exit(1);
}

if (process.argv[1] === import.meta.filename) setup();
