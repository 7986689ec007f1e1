import { accessSync, constants } from 'node:fs';
import { resolve } from 'node:path';
import type { Plugin, RunOptions } from '@crts/plugin-api';
import { badValue, cannotWrite, unsupportedOption } from './errors';
import type { Foreign } from './failure';
import { type ImportModule, loadPlugins } from './load-plugins';
import type { LogOptions, RunLog } from './log';
import type { Parsed } from './parse';
import { externalResources, ghostLimit, inheritedFds } from './resources';

export interface Directories {
  readonly images: string;
  /** Log, pidfile and statistics; relative names of them are meant from here (CRIU changes into it). */
  readonly work: string;
}

export interface EngineOptions extends RunOptions {
  readonly log: RunLog;
  readonly plugins: readonly Plugin[];
}

export function directoriesOf(parsed: Parsed): Directories {
  const images = last(parsed, 'images-dir') ?? '.';
  const work = last(parsed, 'work-dir');
  if (work !== undefined) needDirectory(work);
  return { images, work: work ?? images };
}

/** What goes there is written at the end, when it is too late for an answer. */
function needDirectory(path: string): void {
  try {
    accessSync(`${path}/.`, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw cannotWrite(path, 'the work directory (-W) cannot be used', (error as NodeJS.ErrnoException).code);
  }
}

export function logOptions(parsed: Parsed, work: string): LogOptions {
  const format = last(parsed, 'log-format') ?? 'human';
  if (format !== 'human' && format !== 'json') throw badValue('--log-format', format, 'human or json');
  const file = last(parsed, 'log-file');
  return {
    file: file === undefined || file === '-' ? file : resolve(work, file),
    format,
    verbosity: parsed.verbosity,
  };
}

export async function runOptions(
  parsed: Parsed,
  log: RunLog,
  importModule: ImportModule,
  foreign: Foreign[],
): Promise<EngineOptions> {
  return {
    shellJob: parsed.switches.has('shell-job'),
    fileLocks: parsed.switches.has('file-locks'),
    allowUprobes: parsed.switches.has('allow-uprobes'),
    ghostLimitBytes: ghostLimit(last(parsed, 'ghost-limit')),
    sharePages: parsed.switches.has('share-pages'),
    linkRemap: parsed.switches.has('link-remap'),
    external: externalResources(parsed),
    externalUnixSockets: parsed.values.has('ext-unix-sk'),
    inherit: inheritedFds(parsed.values.get('inherit-fd') ?? []),
    detached: parsed.switches.has('restore-detached'),
    fileValidation: fileValidation(parsed),
    skipFileRwxCheck: parsed.switches.has('skip-file-rwx-check'),
    evasiveDevices: parsed.switches.has('evasive-devices'),
    inotifyEvents: inotifyEvents(parsed),
    manageCgroups: manageCgroups(parsed),
    forceIrmap: parsed.switches.has('force-irmap'),
    irmapScanPaths: (parsed.values.get('irmap-scan-path') ?? []).map((path) => resolve(path)),
    log,
    plugins: await loadPlugins(parsed.values.get('plugin') ?? [], importModule, foreign),
  };
}

function fileValidation(parsed: Parsed): 'filesize' | 'buildid' {
  const method = last(parsed, 'file-validation') ?? 'buildid';
  if (method !== 'filesize' && method !== 'buildid') throw badValue('--file-validation', method, 'filesize or buildid');
  return method;
}

function inotifyEvents(parsed: Parsed): 'fail' | 'drop' | 'provoke' {
  const what = last(parsed, 'inotify-events') ?? 'drop';
  if (what !== 'fail' && what !== 'drop' && what !== 'provoke')
    throw badValue('--inotify-events', what, 'fail, drop or provoke');
  return what;
}

/** CRIU's modes that set properties of cgroups are for a dump, which they mean nothing for, and refused for a restore. */
function manageCgroups(parsed: Parsed): EngineOptions['manageCgroups'] {
  const modes = parsed.values.get('manage-cgroups');
  // Without an argument: as without the option.
  const mode = modes?.at(-1) ?? 'soft';
  if (mode === 'ignore' || mode === 'none' || mode === 'soft' || mode === '') return mode === '' ? 'soft' : mode;
  if (mode !== 'props' && mode !== 'full' && mode !== 'strict')
    throw badValue('--manage-cgroups', mode, 'ignore, none, soft, props, full or strict');
  if (parsed.action === 'restore') throw unsupportedOption(`--manage-cgroups=${mode}`);
  return 'soft';
}

/** The last one given counts, as with CRIU. */
export function last(parsed: Parsed, name: string): string | undefined {
  return parsed.values.get(name)?.at(-1);
}
