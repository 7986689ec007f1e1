/** What stays outside a dump on purpose (`--external`), and what is handed back for it at restore (`--inherit-fd`). */

/** One `--external TYPE[ID]` or `TYPE[ID]:VALUE`. */
export interface ExternalResource {
  /** `file`, `unix`, `mnt`. */
  readonly kind: string;
  /** What stands between the brackets; numbers as the kind writes them: hex in lower case, decimal without zeros in front. */
  readonly id: string;
  /** What follows the colon; empty when only the colon is there. */
  readonly value: string | undefined;
}

const hexPair: IdForm = { pattern: /^[0-9a-f]+:[0-9a-f]+$/i, normal: (id) => words(id, ':', 16) };
const inode: IdForm = { pattern: /^\d+$/, normal: (id) => words(id, ':', 10) };
const any: IdForm = { pattern: /./s, normal: (id) => id };

interface IdForm {
  readonly pattern: RegExp;
  normal(id: string): string;
}

/** Forms of CRIU's man page. A kind that is not listed is some plugin's own. */
const FORMS: ReadonlyMap<string, IdForm> = new Map<string, IdForm>([
  ['file', hexPair],
  ['tty', hexPair],
  ['pipe', inode],
  ['socket', inode],
  ['unix', inode],
  ['net', inode],
  ['pid', inode],
  // A device by its numbers at dump, by the name that stands for it at restore.
  ['dev', { pattern: /^(?!\d+:\d+$)./s, normal: (id) => (/^\d+\/\d+$/.test(id) ? words(id, '/', 10) : id) }],
  // `mnt[]` and `mnt[]:ms` stand for every external mount.
  ['mnt', { pattern: /^/, normal: (id) => id }],
]);

function words(id: string, separator: string, radix: 10 | 16): string {
  return id
    .split(separator)
    .map((word) => BigInt(radix === 16 ? `0x${word}` : word).toString(radix))
    .join(separator);
}

/** Reads the argument of `--external`; undefined when it has not the form of its kind. */
export function parseExternal(text: string): ExternalResource | undefined {
  // The id of a mount is a path, which may hold brackets: it ends at the last one that the end or a colon follows.
  const parts = /^([a-z][a-z0-9_-]*)\[(.*)\](?::(.*))?$/s.exec(text);
  if (parts === null) return undefined;
  const [, kind = '', id = '', value] = parts;
  const form = FORMS.get(kind) ?? any;
  return form.pattern.test(id) ? { kind, id: form.normal(id), value } : undefined;
}

/** The external resources of a run. */
export class ExternalResources {
  readonly #values = new Map<string, string | undefined>();
  readonly #unused = new Set<string>();

  constructor(readonly all: readonly ExternalResource[] = []) {
    for (const { kind, id, value } of all) {
      this.#values.set(`${kind}[${id}]`, value);
      this.#unused.add(`${kind}[${id}]`);
    }
  }

  /** `has('pipe', '12345')`. */
  has(kind: string, id: string): boolean {
    const key = `${kind}[${id}]`;
    this.#unused.delete(key);
    return this.#values.has(key);
  }

  /** What was given after the colon. */
  valueOf(kind: string, id: string): string | undefined {
    return this.has(kind, id) ? this.#values.get(`${kind}[${id}]`) : undefined;
  }

  /** `TYPE[ID]` of those that nobody has asked for: the program has no such resource. */
  get unused(): readonly string[] {
    return [...this.#unused];
  }
}

/** Id of an open file as `--external` and images write it: `file[3d:1a2b]` is `fileId(0x3d, 0x1a2bn)`. */
export function fileId(mntId: number, ino: bigint): string {
  return `${mntId.toString(16)}:${ino.toString(16)}`;
}

/** Name in the images of an open file that is to be left outside; undefined for all others. */
export function externalFileName(
  fd: { readonly mntId: number; readonly ino: bigint },
  options: { readonly external?: ExternalResources | undefined },
): string | undefined {
  const id = fileId(fd.mntId, fd.ino);
  return options.external?.has('file', id) === true ? `file[${id}]` : undefined;
}

/** One `--inherit-fd fd[N]:KEY`: a descriptor that crts was started with, for what the images call KEY. */
export interface InheritedFd {
  readonly fd: number;
  readonly key: string;
}

/**
 * Descriptors for what only the caller of crts has. Keys are CRIU's: `file[3d:1a2b]`, `pipe:[12]`, `socket:[12]`,
 * `tty[8803:5]`, the path of a file (with or without the slash in front), `/memfd:NAME`.
 */
export class InheritedFds {
  readonly #fds = new Map<string, number>();
  readonly #unused = new Set<string>();

  constructor(all: readonly InheritedFd[] = []) {
    for (const { fd, key } of all) {
      // Of two for one key the first counts, as with CRIU.
      if (this.#fds.has(plain(key))) continue;
      this.#fds.set(plain(key), fd);
      this.#unused.add(key);
    }
  }

  /** The descriptor in crts itself; it stays open there. Hand it over with `program.receiveFd(fd)`. */
  fdFor(key: string): number | undefined {
    const fd = this.#fds.get(plain(key));
    if (fd !== undefined) for (const one of this.#unused) if (plain(one) === plain(key)) this.#unused.delete(one);
    return fd;
  }

  /** Keys that nobody has asked for: the images hold nothing of that name. */
  get unused(): readonly string[] {
    return [...this.#unused];
  }
}

/** `pipe[12]` and `socket[12]` as `--external` writes them are good too. */
function plain(key: string): string {
  const name = key.startsWith('/') ? key.slice(1) : key;
  return name.replace(/^(pipe|socket)\[(\d+)\]$/, '$1:[$2]');
}

/** Reads the argument of `--inherit-fd`. */
export function parseInheritFd(text: string): InheritedFd | undefined {
  const parts = /^fd\[(\d{1,10})\]:(.+)$/s.exec(text);
  if (parts === null || Number(parts[1]) > 0x7fff_ffff) return undefined;
  return { fd: Number(parts[1]), key: parts[2]! };
}
