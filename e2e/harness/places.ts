/** Mounts for a test. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A directory with mounts in it, which are gone when the test ends: the harness counts them then. */
export class Places {
  readonly directory = mkdtempSync(join(tmpdir(), 'crts-places-'));
  readonly #mounts: string[] = [];

  make(...names: string[]): void {
    for (const name of names) mkdirSync(join(this.directory, name));
  }

  mount(...args: string[]): string {
    const point = join(this.directory, 'mount');
    mkdirSync(point);
    execFileSync('mount', [...args, point]);
    this.#mounts.push(point);
    return point;
  }

  [Symbol.dispose](): void {
    for (const point of this.#mounts) execFileSync('umount', [point]);
    rmSync(this.directory, { recursive: true });
  }
}
