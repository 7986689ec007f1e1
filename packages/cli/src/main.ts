import { closeSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { dumpTree, explainRestore, restoreTree } from '@crts/core-pstree';
import { waitPid } from '@crts/native-syscalls';
import { CrtsError } from '@crts/plugin-api';
import { badValue, cannotWrite, misplacedOption, missingOption } from './errors';
import { loadPlugins } from './load-plugins';
import { RunLog } from './log';
import { helpText } from './options';
import { type Parsed, parseArguments } from './parse';
import { dumpStats, restoreStats, showStats, writeStats } from './stats';

const PID_MAX = 4 * 1024 * 1024;
/** CRIU's default of --ghost-limit. */
const GHOST_LIMIT = 1024n * 1024n;

/** Runs one command line; the exit code is CRIU's: 0 done, 1 not. */
export function main(argv: readonly string[], version: string): number {
  let log: RunLog | undefined;
  try {
    const parsed = parseArguments(argv);
    if (parsed.action === 'help' || parsed.action === 'version') {
      process.stdout.write(parsed.action === 'help' ? helpText() : `Version: crts ${version} (images of CRIU 4.2)\n`);
      return 0;
    }
    const directories = directoriesOf(parsed);
    log = openLog(parsed, directories.work);
    if (parsed.action === 'dump') dump(parsed, directories, log);
    else restore(parsed, directories, log);
    return 0;
  } catch (error) {
    report(error, log);
    return 1;
  } finally {
    log?.close();
  }
}

interface Directories {
  readonly images: string;
  readonly work: string;
}

function directoriesOf(parsed: Parsed): Directories {
  const images = last(parsed, 'images-dir') ?? '.';
  return { images, work: last(parsed, 'work-dir') ?? images };
}

function openLog(parsed: Parsed, work: string): RunLog {
  const format = last(parsed, 'log-format') ?? 'human';
  if (format !== 'human' && format !== 'json') throw badValue('--log-format', format, 'human or json');
  const file = last(parsed, 'log-file');
  return new RunLog(file === undefined ? undefined : join(work, file), format, parsed.verbosity);
}

function dump(parsed: Parsed, { images, work }: Directories, log: RunLog): void {
  const text = last(parsed, 'tree');
  if (text === undefined) throw missingOption('--tree', 'it says which process to dump');
  const pid = Number(text);
  if (!/^\d+$/.test(text) || pid < 1 || pid > PID_MAX) throw badValue('--tree', text, 'a pid');
  const running = parsed.switches.has('leave-running');
  const stopped = parsed.switches.has('leave-stopped');
  if (running && stopped) throw misplacedOption('--leave-running', 'a dump with --leave-stopped');
  const outcome = dumpTree({
    pid,
    imagesDir: images,
    finalState: running ? 'leave-running' : stopped ? 'leave-stopped' : 'kill',
    sync: parsed.switches.has('sync'),
    ...runOptions(parsed, log),
  });
  const stats = dumpStats(outcome);
  writeStats('stats-dump', work, stats);
  if (parsed.switches.has('display-stats')) process.stdout.write(showStats(stats));
}

function restore(parsed: Parsed, { images, work }: Directories, log: RunLog): void {
  const detached = parsed.switches.has('restore-detached');
  const sibling = parsed.switches.has('restore-sibling');
  if (sibling && !detached)
    throw missingOption('--restore-detached', 'a sibling cannot be waited for, so --restore-sibling needs it');
  const request = {
    imagesDir: images,
    sibling,
    leaveStopped: parsed.switches.has('leave-stopped'),
    ...runOptions(parsed, log),
  };
  if (parsed.switches.has('dry-run')) {
    process.stdout.write(`${explainRestore(request, parsed.switches.has('explain')).lines.join('\n')}\n`);
    return;
  }
  if (parsed.switches.has('explain')) throw missingOption('--dry-run', '--explain explains a plan that is printed');
  const pidfile = openPidfile(parsed, work);
  try {
    const outcome = restoreTree(request);
    if (pidfile !== undefined) writeSync(pidfile.fd, String(outcome.pid));
    const stats = restoreStats(outcome);
    writeStats('stats-restore', work, stats);
    if (parsed.switches.has('display-stats')) process.stdout.write(showStats(stats));
    log.flush();
    if (!detached) waitPid(outcome.pid);
  } catch (error) {
    if (pidfile !== undefined) unlinkSync(pidfile.path);
    throw error;
  } finally {
    if (pidfile !== undefined) closeSync(pidfile.fd);
  }
}

function runOptions(parsed: Parsed, log: RunLog) {
  return {
    shellJob: parsed.switches.has('shell-job'),
    fileLocks: parsed.switches.has('file-locks'),
    ghostLimitBytes: GHOST_LIMIT,
    detached: parsed.switches.has('restore-detached'),
    log,
    plugins: loadPlugins(parsed.values.get('plugin') ?? []),
  };
}

/** Made before anything else, so that a file that is there already stops the restore and not the restored program. */
function openPidfile(parsed: Parsed, work: string): { path: string; fd: number } | undefined {
  const name = last(parsed, 'pidfile');
  if (name === undefined) return undefined;
  const path = name.startsWith('/') ? name : join(work, name);
  try {
    return { path, fd: openSync(path, 'wx', 0o644) };
  } catch (error) {
    throw cannotWrite(path, 'the pidfile cannot be written', (error as NodeJS.ErrnoException).code);
  }
}

function last(parsed: Parsed, name: string): string | undefined {
  return parsed.values.get(name)?.at(-1);
}

/** One line on stderr, a second with what to do; the log has all fields, and the stack of what is a bug. */
function report(error: unknown, log: RunLog | undefined): void {
  if (error instanceof CrtsError) {
    const { code, kind, plugin, stage, pid, fd, path, call, errno, hint } = error;
    log?.error(
      { code, kind, plugin, stage, pid, fd, path, call, errno, hint, cleanup: error.cleanup.map(String) },
      error.message,
    );
    process.stderr.write(`crts: ${error.message}\n${hint === undefined ? '' : `  ${hint}\n`}`);
    return;
  }
  const { message, stack } = error as Error;
  log?.error({ stack }, message);
  process.stderr.write(
    `crts: ${message} [CRTS_BUG]\n  This is a mistake in crts: please report it with the log (-v4 -o FILE).\n`,
  );
}
