import { writeSync } from 'node:fs';
import { cannotWrite } from './errors';

const STDOUT = 1;
const STDERR = 2;
const PAUSE_MS = 5;
/** For a reader that takes nothing, where the descriptor does not wait by itself. */
const PATIENCE_MS = 10_000;

/**
 * Writes all of a text. Process.stdout would load modules, and tell of a reader that is gone when nobody can do anything about it
 * any more. @throws as writeSync() does
 */
export function writeAll(fd: number, text: string): void {
  const bytes = Buffer.from(text);
  let waitedMs = 0;
  for (let done = 0; done < bytes.length; ) {
    try {
      done += writeSync(fd, bytes, done);
    } catch (error) {
      // A pipe or terminal that others have made non-blocking.
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN' || waitedMs > PATIENCE_MS) throw error;
      waitedMs += PAUSE_MS;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS);
    }
  }
}

/** What was asked for, to stdout. @throws CrtsError CRTS_FILE_WRITE; not when the reader has read enough (`| head`) */
export function print(text: string): void {
  try {
    writeAll(STDOUT, text);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EPIPE') throw cannotWrite('stdout', 'the output cannot be written', code);
  }
}

/** To stderr: that nobody reads it is no failure of what it tells of. */
export function tell(text: string): void {
  try {
    writeAll(STDERR, text);
  } catch {
    // There is nobody left to tell.
  }
}
