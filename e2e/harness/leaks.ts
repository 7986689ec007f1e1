/** What a run of crts could leave behind on the machine. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { temporaryDirectory } from './checkpointer';

/** This process is the subreaper of all that the tests start: a process that crts forgot is a child of it. */
function children(): string[] {
  return readdirSync('/proc/self/task').flatMap((thread) =>
    readFileSync(`/proc/self/task/${thread}/children`, 'utf8')
      .split(' ')
      .filter((pid) => pid !== '' && isRunning(pid))
      .map((pid) => `child ${pid}`),
  );
}

/** The dead wait here for as long as nobody asks for them by number. */
function isRunning(pid: string): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

/** Own descriptors, by what they refer to: not those of files, which jest opens and closes as it likes. */
function descriptors(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const link = readlinkSync(`/proc/self/fd/${fd}`);
      return link.startsWith('/') ? [] : [`fd ${fd} ${link}`];
    } catch {
      return [];
    }
  });
}

function temporaryFiles(): string[] {
  return readdirSync(temporaryDirectory).map((name) => `file ${temporaryDirectory}/${name}`);
}

function mounts(): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => `mount ${line.split(' ')[4]}`);
}

export function traces(): string[] {
  return [...children(), ...descriptors(), ...temporaryFiles(), ...mounts()];
}

export function leftBehind(before: readonly string[], now: readonly string[]): string[] {
  return now.filter((trace) => !before.includes(trace));
}
