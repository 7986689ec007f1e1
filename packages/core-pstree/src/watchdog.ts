/** A process that outlives the engine for as long as it takes to undo one thing. */
import { closeSync, writeSync } from 'node:fs';
import { rawSyscall } from '@crts/native-syscalls';
import type { Logger } from '@crts/plugin-api';

const O_CLOEXEC = 0o2000000;
/** The word comes with a newline from an engine that needs no help, and never from one that was killed. */
const SCRIPT = 'read -r word || printf %s "$1" > "$0"';

/** Writes `text` to `file` when the engine ends without having said dismiss(). */
export class Watchdog {
  #pipe: number | undefined;

  constructor(file: string, text: string, log: Logger) {
    const ends = new Int32Array(2);
    if (Number(rawSyscall('pipe2', ends, O_CLOEXEC)) < 0) return;
    const [reading, writing] = [ends[0]!, ends[1]!];
    // Loaded by those who ask for it alone: the start of crts pays for every module.
    const { spawn } = require('node:child_process') as typeof import('node:child_process');
    const child = spawn('/bin/sh', ['-c', SCRIPT, file, text], {
      stdio: [reading, 'ignore', 'ignore'],
      detached: true,
    });
    closeSync(reading);
    child.on('error', () => undefined);
    child.unref();
    if (child.pid !== undefined) {
      this.#pipe = writing;
      return;
    }
    closeSync(writing);
    log.warn({ path: file }, 'no /bin/sh: if crts is killed now, the cgroup stays frozen');
  }

  dismiss(): void {
    if (this.#pipe === undefined) return;
    try {
      writeSync(this.#pipe, 'done\n');
    } catch {
      // It was killed: it will not write.
    }
    closeSync(this.#pipe);
    this.#pipe = undefined;
  }
}
