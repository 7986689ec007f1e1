/** Facts of a failure. Texts are built from them; tests match them, never prose. */
export interface ErrorFacts {
  /** Stable code, `CRTS_...`, documented in docs/errors.md. */
  readonly code: string;
  /**
   * `refused`: crts does not carry this, said while nothing was touched.
   * `failed`: the kernel or the disk said no; what was done is undone.
   * `bug`: an invariant of crts broke.
   */
  readonly kind?: 'refused' | 'failed' | 'bug' | undefined;
  /** What failed, in one sentence without the subject (pid, fd, path are added from the fields). */
  readonly what: string;
  readonly plugin?: string | undefined;
  readonly stage?: string | undefined;
  readonly pid?: number | undefined;
  readonly fd?: number | undefined;
  readonly path?: string | undefined;
  /** System call with the arguments that matter, e.g. `openat("/srv/data", O_RDWR)`. */
  readonly call?: string | undefined;
  /** errno by name, e.g. `ENOENT`. */
  readonly errno?: string | undefined;
  /** What the reader can do next. */
  readonly hint?: string | undefined;
  readonly cause?: unknown;
}

const MARK: unique symbol = Symbol.for('crts/error/1') as never;

/**
 * The one error class of crts. Its message is one line:
 *
 *     fd-regular: pid 4312 fd 5 (/srv/app/data): what failed: openat(...): ENOENT [CRTS_FILE_GONE]
 *
 * Errors met while cleaning up after it are listed in `cleanup`; the first cause stays the error.
 */
export class CrtsError extends Error {
  /** Plugins may bring a copy of this package: their errors are told by a mark, as their tokens are. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    // biome-ignore lint/complexity/noThisInStatic: subclasses inherit this
    if (this !== CrtsError) return Function.prototype[Symbol.hasInstance].call(this, value);
    return typeof value === 'object' && value !== null && MARK in value;
  }

  readonly [MARK] = true;
  readonly code: string;
  readonly kind: 'refused' | 'failed' | 'bug';
  readonly what: string;
  readonly plugin: string | undefined;
  readonly stage: string | undefined;
  readonly pid: number | undefined;
  readonly fd: number | undefined;
  readonly path: string | undefined;
  readonly call: string | undefined;
  readonly errno: string | undefined;
  readonly hint: string | undefined;
  readonly cleanup: unknown[] = [];

  constructor(facts: ErrorFacts) {
    super(describe(facts), facts.cause === undefined ? undefined : { cause: facts.cause });
    this.name = 'CrtsError';
    this.code = facts.code;
    this.kind = facts.kind ?? 'failed';
    this.what = facts.what;
    this.plugin = facts.plugin;
    this.stage = facts.stage;
    this.pid = facts.pid;
    this.fd = facts.fd;
    this.path = facts.path;
    this.call = facts.call;
    this.errno = facts.errno;
    this.hint = facts.hint;
  }

  /** The same failure with facts that a caller further up knows; what is already set stays. */
  with(more: Partial<ErrorFacts>): CrtsError {
    const merged: Record<string, unknown> = { ...more };
    for (const key of FACT_KEYS) if (this[key] !== undefined) merged[key] = this[key];
    const error = new CrtsError(merged as unknown as ErrorFacts);
    error.cleanup.push(...this.cleanup);
    return error;
  }
}

/**
 * What a call of Node's own (`readFileSync`) says, as an error of crts; undefined where the error is none of the system's. A path
 * below /proc names the process.
 */
export function systemError(error: unknown): CrtsError | undefined {
  const { code, syscall, path } = (error ?? {}) as { code?: unknown; syscall?: unknown; path?: string };
  if (typeof code !== 'string' || typeof syscall !== 'string' || !/^E[A-Z0-9]+$/.test(code)) return undefined;
  const pid = /^\/proc\/(\d+)\//.exec(path ?? '')?.[1];
  return new CrtsError({
    code: 'CRTS_SYSCALL',
    what: 'system call failed',
    pid: pid === undefined ? undefined : Number(pid),
    path,
    call: syscall,
    errno: code,
    cause: error,
  });
}

const FACT_KEYS = [
  'code',
  'kind',
  'what',
  'plugin',
  'stage',
  'pid',
  'fd',
  'path',
  'call',
  'errno',
  'hint',
  'cause',
] as const satisfies readonly (keyof ErrorFacts)[];

function describe(facts: ErrorFacts): string {
  const subject = [
    facts.pid === undefined ? '' : `pid ${facts.pid}`,
    facts.fd === undefined ? '' : `fd ${facts.fd}`,
    facts.path === undefined ? '' : facts.pid === undefined && facts.fd === undefined ? facts.path : `(${facts.path})`,
  ]
    .filter(Boolean)
    .join(' ');
  const failure = [facts.what, facts.call, facts.errno].filter(Boolean).join(': ');
  return `${[facts.plugin ?? facts.stage, subject, failure].filter(Boolean).join(': ')} [${facts.code}]`;
}
