import { closeSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { resolve } from 'node:path';
import { explainRestore, type RestoreOutcome, type RestoreRequest, restoreTree } from '@crts/core-pstree';
import type { PlainPages } from '@crts/image-io';
import { waitPid } from '@crts/native-syscalls';
import type { CrtsError } from '@crts/plugin-api';
import { progressOf } from './dump';
import { cannotWrite, missingOption, pidfileAfterRestore } from './errors';
import { lazyLink } from './lazy-pages';
import { print } from './output';
import type { Parsed } from './parse';
import { type Directories, type EngineOptions, last } from './run';
import { reportStats, restoreStats } from './stats';

interface Pidfile {
  readonly path: string;
  readonly fd: number;
}

export function restore(
  parsed: Parsed,
  { images, work }: Directories,
  options: EngineOptions,
  plain?: PlainPages,
): void {
  const { log, detached } = options;
  const sibling = parsed.switches.has('restore-sibling');
  if (sibling && !detached)
    throw missingOption('--restore-detached', 'a sibling cannot be waited for, so --restore-sibling needs it');
  const request = {
    imagesDir: images,
    sibling,
    leaveStopped: parsed.switches.has('leave-stopped'),
    plainPages: plain,
    verify: parsed.switches.has('verify'),
    autoDedup: parsed.switches.has('auto-dedup'),
    progress: progressOf('restored'),
    ...options,
  };
  if (parsed.switches.has('dry-run')) {
    print(`${explainRestore(request, parsed.switches.has('explain')).lines.join('\n')}\n`);
    return;
  }
  if (parsed.switches.has('explain')) throw missingOption('--dry-run', '--explain explains a plan that is printed');
  const pidfile = openPidfile(parsed, work);
  const outcome = parsed.switches.has('lazy-pages')
    ? restoreLazily(parsed, { images, work }, request, pidfile)
    : restoreOrUndo(request, pidfile);
  // Before the program is waited for: their room is given back.
  plain?.close();
  // The program runs from here on: what fails now is reported, and harms it no more.
  if (pidfile !== undefined) writePid(pidfile, outcome.pid);
  reportStats('stats-restore', work, restoreStats(outcome), parsed.switches.has('display-stats'), log);
  log.flush();
  // As with CRIU, what the program ends with is not what crts ends with.
  if (!detached) waitPid(outcome.pid);
}

function restoreLazily(
  parsed: Parsed,
  directories: Directories,
  request: RestoreRequest,
  pidfile: Pidfile | undefined,
): RestoreOutcome {
  const lazy = lazyLink(parsed, directories);
  try {
    return restoreOrUndo({ ...request, lazy }, pidfile);
  } catch (error) {
    // The guard of the server ends the tree, also while it is built.
    throw (error as Partial<CrtsError>).code === 'CRTS_TASK_GONE' ? lazy.explain(error as CrtsError) : error;
  } finally {
    lazy.close();
  }
}

function restoreOrUndo(request: Parameters<typeof restoreTree>[0], pidfile: Pidfile | undefined) {
  try {
    return restoreTree(request);
  } catch (error) {
    if (pidfile !== undefined) {
      closeSync(pidfile.fd);
      unlinkSync(pidfile.path);
    }
    throw error;
  }
}

/**
 * Made before anything else, so that a file that is there already stops the restore and not the restored program.
 * New, 0600 and without newline, as CRIU's.
 */
function openPidfile(parsed: Parsed, work: string): Pidfile | undefined {
  const name = last(parsed, 'pidfile');
  if (name === undefined) return undefined;
  const path = resolve(work, name);
  try {
    return { path, fd: openSync(path, 'wx', 0o600) };
  } catch (error) {
    throw cannotWrite(path, 'the pidfile cannot be written', (error as NodeJS.ErrnoException).code);
  }
}

function writePid({ path, fd }: Pidfile, pid: number): void {
  try {
    writeSync(fd, String(pid));
  } catch (error) {
    throw pidfileAfterRestore(path, pid, (error as NodeJS.ErrnoException).code);
  } finally {
    closeSync(fd);
  }
}
