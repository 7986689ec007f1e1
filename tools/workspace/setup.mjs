// Installs and builds, from a fresh clone or after a change; does nothing that is done. Needs only Node and npm.
import { execFileSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';

export const root = join(import.meta.dirname, '../..');
// No daemon, no cloud, no telemetry: the commands must leave nothing running and call nobody.
export const env = {
  ...process.env,
  NX_DAEMON: 'false',
  NX_NO_CLOUD: 'true',
  NX_TUI: 'false',
  NX_SKIP_LOG_GROUPING: 'true',
};

export function run(command, args) {
  execFileSync(command, args, { cwd: root, env, stdio: 'inherit' });
}

export function setup() {
  const lock = join(root, 'package-lock.json');
  const installed = join(root, 'node_modules/.package-lock.json');
  // `npm ci` of npm 11 refuses a lock whose optional packages are for other platforms (npm/cli issue 9846).
  if (!existsSync(installed) || statSync(installed).mtimeMs < statSync(lock).mtimeMs)
    run('npm', ['install', '--no-save']);
  run('npx', ['nx', 'run-many', '-t', 'build', '--parallel=2', '--outputStyle=static']);
}

if (process.argv[1] === import.meta.filename) setup();
