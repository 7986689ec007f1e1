interface Mapping {
  readonly start: bigint;
  end: bigint;
  readonly offset: bigint;
  readonly isFile: boolean;
  readonly rest: string;
}

/**
 * Flags that say nothing about the mapping (man 5 proc): soft-dirty and accounted come and go with writes (a mapping that
 * was writable once stays accounted), and "guards may be inside" stays on neighbours that were split off. "Shared" is in
 * the rights too; here the kernel clears it where the file was open for reading only (do_mmap(), mm/mmap.c).
 */
const PASSING_FLAGS = /\b(sd|ac|gu|sh)\b ?/g;

/**
 * The text of /proc/PID/smaps as one line a mapping. Neighbours that differ in nothing but where they begin are one: how
 * a range came about decides whether the kernel merges it, and nobody can tell the difference.
 */
export function mappings(smaps: string): string[] {
  const merged: Mapping[] = [];
  const objects = new Map<string, number>();
  for (const block of smaps.split(/\n(?=[0-9a-f]+-[0-9a-f]+ )/)) {
    const mapping = parse(block, objects);
    const last = merged.at(-1);
    if (last !== undefined && continues(last, mapping)) last.end = mapping.end;
    else merged.push(mapping);
  }
  return merged.map(
    ({ start, end, offset, isFile, rest }) =>
      `${start.toString(16)}-${end.toString(16)} ${isFile ? offset.toString(16) : ''} ${rest}`,
  );
}

interface Without {
  readonly smaps: string;
  /** Of the mappings left out. */
  readonly arenaKb: number;
  readonly codeKb: number;
}

export function whole(smaps: string): Without {
  return { smaps, arenaKb: 0, codeKb: 0 };
}

/** smaps without agents that an engine left behind: an executable anonymous mapping, and behind it the memfd of the arena. */
export function withoutAbandoned(smaps: string): Without {
  const blocks = smaps.split(/\n(?=[0-9a-f]+-[0-9a-f]+ )/);
  const kept: string[] = [];
  let arenaKb = 0;
  let codeKb = 0;
  for (const block of blocks) {
    const mapping = parse(block, new Map());
    if (!mapping.rest.includes(' /memfd:crts (deleted) ')) {
      kept.push(block);
      continue;
    }
    arenaKb += kilobytes(mapping);
    const before = kept.at(-1) === undefined ? undefined : parse(kept.at(-1)!, new Map());
    if (before?.end !== mapping.start || before.isFile || !before.rest.startsWith('r-xp')) continue;
    codeKb += kilobytes(before);
    kept.pop();
  }
  return { smaps: kept.join('\n'), arenaKb, codeKb };
}

function kilobytes({ start, end }: Mapping): number {
  return Number((end - start) / 1024n);
}

/** Objects in memory, which are new ones after a restore: told apart by the order in which they appear. */
const OBJECT = /^\/(dev\/zero|memfd:.*|SYSV[0-9a-f]{8}|anon_hugepage) \(deleted\)$/;

function parse(block: string, objects: Map<string, number>): Mapping {
  const match = /^([0-9a-f]+)-([0-9a-f]+) (\S+) ([0-9a-f]+) (\S+ \d+) *(.*)/.exec(block);
  if (match === null) throw new Error(`smaps has a block that is none: ${block}`);
  const [, start, end, access, offset, file, name] = match;
  if (OBJECT.test(name!) && !objects.has(file!)) objects.set(file!, objects.size + 1);
  const inode = OBJECT.test(name!) ? `object ${objects.get(file!)}` : file;
  const flags = /^VmFlags: (.*)$/m.exec(block)?.[1] ?? '';
  const key = /^ProtectionKey: +(\d+)$/m.exec(block)?.[1] ?? '';
  return {
    start: BigInt(`0x${start}`),
    end: BigInt(`0x${end}`),
    offset: BigInt(`0x${offset}`),
    isFile: !inode!.endsWith(' 0'),
    // A deleted file is made again, with another inode number.
    rest: `${access} ${name!.endsWith(' (deleted)') ? inode!.replace(/ \d+$/, '') : inode} ${name} ${flags.replace(PASSING_FLAGS, '').trim()} ${key}`,
  };
}

function continues(last: Mapping, next: Mapping): boolean {
  return (
    last.end === next.start &&
    last.rest === next.rest &&
    (!last.isFile || last.offset + (last.end - last.start) === next.offset)
  );
}
