/** Device nodes that stay outside: `--external dev[MAJOR/MINOR]:NAME` at dump, `dev[NAME]:PATH` or `--inherit-fd fd[N]:dev[NAME]` at restore. */
import { type BigIntStats, statSync } from 'node:fs';
import { type Arg, encodeName, type FdHandler, type FdPlanContext } from '@crts/plugin-api';
import { notHandedBack, notOpened, otherDevice } from './errors';
import { isOfKind, keptIn, recordOf } from './image';

const KIND = 'dev';
const S_IFMT = 0o170000;
const S_IFCHR = 0o020000;
const S_IFBLK = 0o060000;
const O_PATH = 0o10000000;
/** Flags that act while a file is opened: O_CREAT O_EXCL O_NOCTTY O_TRUNC O_TMPFILE's own bit, and O_CLOEXEC. */
const NOT_PASSED = 0o100 | 0o200 | 0o400 | 0o1000 | 0o20000000 | 0o2000000;
const O_NOCTTY = 0o400;
const SEEK_SET = 0;
const SHAPE = { name: 'string', format: 'number', flags: 'number', pos: 'string' } as const;

export const deviceHandler: FdHandler = {
  name: 'fd-external',
  external: ['dev'],

  match(fd, options) {
    const format = fd.mode & S_IFMT;
    if ((format !== S_IFCHR && format !== S_IFBLK) || (fd.flags & O_PATH) !== 0) return 0;
    return options?.external?.has('dev', numbersOf(fd.rdev)) === true ? 40 : 0;
  },

  dump(fd, context) {
    const numbers = numbersOf(fd.rdev);
    const name = context.options.external?.valueOf('dev', numbers);
    return recordOf(context, KIND, {
      name: name === undefined || name === '' ? numbers : name,
      ...{ format: fd.mode & S_IFMT, flags: fd.flags, pos: String(fd.pos) },
    });
  },

  owns: (record) => isOfKind(record, KIND),

  collect(record, context): void {
    const { name, format } = keptIn(record, SHAPE);
    const path = pathOf(name, context);
    const found = formatOf(path);
    if (found !== format) throw otherDevice(path, format === S_IFBLK ? 'block' : 'character', found);
  },

  plan(record, program, context): Arg {
    const { name, format, flags, pos } = keptIn(record, SHAPE);
    const path = pathOf(name, context);
    // What is handed back by number is opened by the engine, whose /proc/self/fd it is in.
    const isInherited = context.options.inherit?.fdFor(keyOf(name)) !== undefined;
    const fd = context.openFile(
      program,
      { id: record.value.id as number, name: isInherited ? keyOf(name) : path, ext: isInherited },
      (flags & ~NOT_PASSED) | O_NOCTTY,
      { what: `open ${path}`, fail: (errno) => notOpened(path, errno) },
    );
    if (format === S_IFBLK && BigInt(pos) > 0n)
      program.call('lseek', [fd, BigInt(pos), SEEK_SET], { expect: BigInt(pos), what: 'go to the offset that it had' });
    return fd;
  },
};

function keyOf(name: string): string {
  return `dev[${name}]`;
}

function pathOf(name: string, { options }: FdPlanContext): string {
  const path = options.external?.valueOf('dev', name);
  if (path?.startsWith('/') === true) return path;
  const fd = options.inherit?.fdFor(keyOf(name));
  if (fd !== undefined) return `/proc/self/fd/${fd}`;
  throw notHandedBack(keyOf(name), 'the device', `Pass --external '${keyOf(name)}:/dev/...', or open it`);
}

/** As CRIU's `dev[]` writes numbers; Linux encodes them in 64 bits as glibc's makedev does. */
function numbersOf(rdev: bigint): string {
  const major = ((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & 0xfffff000n);
  const minor = (rdev & 0xffn) | ((rdev >> 12n) & 0xffffff00n);
  return `${major}/${minor}`;
}

/** Format bits of st_mode; 0 where there is nothing. */
function formatOf(path: string): number {
  const stat: BigIntStats | undefined = statSync(encodeName(path), { bigint: true, throwIfNoEntry: false });
  return Number(stat?.mode ?? 0n) & S_IFMT;
}
