/** Freezer cgroups for a test, of both versions, where the machine mounts them. */
import { mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { until } from './until';

export type FreezerVersion = 'v1' | 'v2';

const FILES = {
  v1: { control: 'freezer.state', frozen: 'FROZEN', thawed: 'THAWED' },
  v2: { control: 'cgroup.freeze', frozen: '1', thawed: '0' },
} as const;

/** Where freezer cgroups can be made; undefined where this machine has none mounted. */
export function freezerMount(version: FreezerVersion): string | undefined {
  for (const line of readFileSync('/proc/self/mountinfo', 'utf8').split('\n')) {
    const [mount = '', kind = ''] = line.split(' - ');
    const [type, , options = ''] = kind.split(' ');
    const fits = version === 'v2' ? type === 'cgroup2' : type === 'cgroup' && options.split(',').includes('freezer');
    if (fits) return mount.split(' ')[4];
  }
  return undefined;
}

/** A new cgroup with one below it. Gone when the test ends, with whatever still runs in it. */
export class FreezerCgroup {
  readonly path: string;
  readonly below: string;
  readonly #files: (typeof FILES)[FreezerVersion];

  constructor(version: FreezerVersion) {
    this.#files = FILES[version];
    this.path = join(freezerMount(version)!, `crts-e2e-${process.pid}-${Date.now()}`);
    this.below = join(this.path, 'below');
    mkdirSync(this.path);
    mkdirSync(this.below);
  }

  /** Command and arguments that start `command` in the cgroup: in that below it. */
  around(command: string, args: readonly string[]): [string, string[]] {
    return ['/bin/sh', ['-c', `echo $$ > ${this.below}/cgroup.procs && exec "$0" "$@"`, command, ...args]];
  }

  /** Processes in it, at any depth. */
  get processes(): number[] {
    return [this.path, this.below].flatMap((path) =>
      readFileSync(join(path, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean).map(Number),
    );
  }

  get isFrozen(): boolean {
    return readFileSync(join(this.path, this.#files.control), 'utf8').trim() === this.#files.frozen;
  }

  async freeze(): Promise<void> {
    writeFileSync(join(this.path, this.#files.control), this.#files.frozen);
    const events = () => readFileSync(join(this.path, 'cgroup.events'), 'utf8');
    await until('the cgroup to be frozen', () =>
      this.#files === FILES.v1 ? this.isFrozen : /^frozen 1$/m.test(events()),
    );
  }

  thaw(): void {
    writeFileSync(join(this.path, this.#files.control), this.#files.thawed);
  }

  async remove(): Promise<void> {
    // Frozen, so that nothing is born between a look and its death.
    await this.freeze();
    for (const pid of this.processes) process.kill(pid, 'SIGKILL');
    this.thaw();
    await until('the cgroup to be empty', () => this.processes.length === 0);
    for (const name of readdirSync(this.path, { withFileTypes: true }))
      if (name.isDirectory()) rmdirSync(join(this.path, name.name));
    rmdirSync(this.path);
  }
}
