import { statSync } from 'node:fs';
import { encodeName, type FdFacts } from '@crts/plugin-api';
import { replaced, unlinked, unreachable } from './errors';

/** Refuses a file that its name would not open again. */
export function checkReachable(fd: FdFacts): void {
  const subject = { pid: fd.pid, fd: fd.fd < 0 ? undefined : fd.fd, path: fd.link };
  if (fd.deleted || fd.nlink === 0n) throw unlinked(subject);
  let named: { dev: bigint; ino: bigint };
  try {
    named = statSync(encodeName(fd.link), { bigint: true });
  } catch (error) {
    throw unreachable(subject, (error as NodeJS.ErrnoException).code);
  }
  if (named.dev !== fd.dev || named.ino !== fd.ino) throw replaced(subject);
}
