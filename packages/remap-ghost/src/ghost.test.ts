import {
  chmodSync,
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  futimesSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statfsSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeImage, type GhostFileEntry, ImageReader, ImageWriter, imageKind } from '@crts/image-io';
import { ProgramBuilder } from '@crts/native-syscalls';
import {
  CrtsError,
  type Effect,
  type FdFacts,
  type FileRecord,
  type ImageContents,
  type LateFd,
  type NamedFile,
  type RemapDumpContext,
  type RemapPlanContext,
} from '@crts/plugin-api';
import { linkFd } from './calls';
import { O_PATH, O_TMPFILE, TMPFILE_BIT } from './constants';
import { ghostHandler } from './ghost';
import { readGhost } from './image';
import { linkedHandler } from './linked';

let directory: string;
let images: string;
const opened: number[] = [];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'crts-ghost-'));
  images = mkdtempSync(join(tmpdir(), 'crts-ghost-images-'));
});
afterEach(() => {
  for (const fd of opened.splice(0)) closeSync(fd);
  rmSync(directory, { recursive: true, force: true });
  rmSync(images, { recursive: true, force: true });
});

const path = (name: string) => join(directory, name);

function open(name: string, flags: number): number {
  const fd = openSync(name, flags, 0o640);
  opened.push(fd);
  return fd;
}

function named(fd: number, more: Partial<NamedFile> = {}): NamedFile {
  const { mode, dev, ino, nlink, size } = fstatSync(fd, { bigint: true });
  const link = readlinkSync(`/proc/self/fd/${fd}`).replace(/ \(deleted\)$/, '');
  const fsType = statfsSync(`/proc/self/fd/${fd}`, { bigint: true }).type;
  const facts = { local: fd, link, mode: Number(mode), dev, ino, nlink, sizeBytes: size, fsType } as FdFacts;
  return { facts, name: link, isDeleted: true, leads: 'nowhere', ...more };
}

const told: string[] = [];
const log = { debug: () => undefined, info: () => undefined, warn: (_f: object, text: string) => told.push(text) };

interface Dumped {
  readonly records: Map<number, FileRecord>;
  readonly effects: Effect[];
  readonly context: RemapDumpContext;
  commit(): ImageReader;
}

function dumping(options: object = {}): Dumped {
  const writer = ImageWriter.open(images);
  const records = new Map<number, FileRecord>();
  const effects: Effect[] = [];
  const context = {
    task: { tree: {} },
    options: { ghostLimitBytes: 1n << 20n, ...options },
    log,
    sink: writer,
    addRecord: (make: (id: number) => FileRecord) => {
      records.set(99, make(99));
      return 99;
    },
    addEffect: (effect: Effect) => effects.push(effect),
  } as unknown as RemapDumpContext;
  const commit = () => {
    writer.write('inventory', undefined, [{ img_version: 2 }]);
    writer.commit(false);
    writer.close();
    return ImageReader.open(images);
  };
  return { records, effects, context, commit };
}

/** Does what the engine does around a restore; `during` sees the files opened with `flags`. */
function restoring(
  handler: typeof ghostHandler,
  entries: readonly { orig_id: number; remap_id: number }[],
  records: ReadonlyMap<number, FileRecord>,
  reader: ImageReader,
  flags: readonly number[],
  during: (fds: number[]) => void,
): void {
  const steps: { make(): void; undo?(): void; done?(): void; close?(): void }[] = [];
  const context = {
    log,
    record: (id: number) => records.get(id),
    image: (kind: string, id: number) => reader.contents(kind, id),
    prepare: (step: (typeof steps)[number]) => steps.push(step),
  } as unknown as RemapPlanContext;
  const type = handler === ghostHandler ? 1 : 0;
  const files = handler.plan(
    entries.map((entry) => ({ ...entry, remap_type: type })),
    context,
  );
  const program = new ProgramBuilder();
  entries.forEach(({ orig_id }, index) => void files.get(orig_id)!.open(program, flags[index]!, {}));
  for (const step of steps) step.make();
  const late = program.instructions.map(({ sendFds }) => sendFds![0] as LateFd);
  try {
    during(late.map((one) => one.take()));
    for (const one of late) one.sent();
    for (const step of steps) step.done?.();
  } finally {
    for (const step of steps) step.close?.();
    reader.close();
  }
}

const reg = (id: number, name: string, mode = 0o100640): [number, FileRecord] => [
  id,
  { type: 1, field: 'reg', value: { id, name, mode } },
];
const text = (fd: number) => readFileSync(`/proc/self/fd/${fd}`, 'utf8');
const link = (fd: number) => readlinkSync(`/proc/self/fd/${fd}`);

describe('a ghost, dumped and made again', () => {
  test('contents in chunks with holes, mode, times; its old name, which is taken, is left alone', () => {
    const fd = open(path('data'), constants.O_RDWR | constants.O_CREAT);
    writeSync(fd, 'begin', 0);
    writeSync(fd, 'end', 512 * 1024);
    ftruncateSync(fd, 1 << 20);
    chmodSync(path('data'), 0o2751);
    futimesSync(fd, 1_000_000_001.25, 1_000_000_002.5);
    unlinkSync(path('data'));
    const { context, commit } = dumping();
    expect(ghostHandler.match(named(fd), context)).toBe(10);
    expect(ghostHandler.dump(named(fd), context)).toEqual({ name: path('data'), remap: { id: 1, type: 1 } });
    // A second description of it has no image of its own.
    expect(ghostHandler.dump(named(fd), context).remap).toEqual({ id: 1, type: 1 });
    writeFileSync(path('data'), 'somebody else');
    const reader = commit();
    const { entries } = reader.contents('ghost-file', 1);
    expect(entries[0]!.value).toMatchObject({
      chunks: true,
      size: 1n << 20n,
      ino: fstatSync(fd, { bigint: true }).ino,
    });
    expect(entries.slice(1).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)).toBeLessThan(64 * 1024);
    const records = new Map([reg(7, path('data')), reg(8, path('data'))]);
    const both = [7, 8].map((orig_id) => ({ orig_id, remap_id: 1 }));
    restoring(ghostHandler, both, records, reader, [constants.O_RDWR, O_PATH], ([again, opath]) => {
      const stat = fstatSync(again!, { bigint: true });
      expect(stat).toMatchObject({ nlink: 0n, size: 1n << 20n, mode: 0o102751n });
      expect([stat.atimeNs, stat.mtimeNs]).toEqual([1_000_000_001_250_000_000n, 1_000_000_002_500_000_000n]);
      expect(stat.ino).toBe(fstatSync(opath!, { bigint: true }).ino);
      expect(stat.blocks * 512n).toBeLessThan(64n * 1024n);
      const content = readFileSync(`/proc/self/fd/${again}`);
      expect(content.toString('latin1', 0, 5)).toBe('begin');
      expect(content.toString('latin1', 512 * 1024, 512 * 1024 + 3)).toBe('end');
      expect(link(again!)).toBe(`${path('data')}.crts-1 (deleted)`);
      expect(readdirSync(directory)).toEqual(['data']);
    });
    expect(readFileSync(path('data'), 'utf8')).toBe('somebody else');
  });

  test('two names; both directories are gone', () => {
    mkdirSync(path('a'));
    mkdirSync(path('b'));
    const first = open(path('a/x'), constants.O_RDWR | constants.O_CREAT);
    writeSync(first, 'x');
    linkSync(path('a/x'), path('b/y'));
    const second = open(path('b/y'), constants.O_RDONLY);
    rmSync(path('a'), { recursive: true });
    rmSync(path('b'), { recursive: true });
    const { context, commit } = dumping();
    ghostHandler.dump(named(first), context);
    ghostHandler.dump(named(second), context);
    const records = new Map([reg(7, path('a/x')), reg(8, path('b/y'))]);
    const both = [7, 8].map((orig_id) => ({ orig_id, remap_id: 1 }));
    restoring(ghostHandler, both, records, commit(), [constants.O_RDONLY, constants.O_RDONLY], ([x, y]) => {
      expect([link(x!), link(y!)]).toEqual([`${path('a/x')} (deleted)`, `${path('b/y')} (deleted)`]);
      expect(text(y!)).toBe('x');
      expect(fstatSync(x!).ino).toBe(fstatSync(y!).ino);
      expect(readdirSync(directory)).toEqual([]);
    });
  });

  test('opened with O_TMPFILE: it can be given a name', () => {
    const fd = open(directory, O_TMPFILE | constants.O_RDWR);
    writeSync(fd, 'nameless');
    const { context, commit } = dumping();
    const { name } = ghostHandler.dump(named(fd), context);
    const one = [{ orig_id: 7, remap_id: 1 }];
    restoring(ghostHandler, one, new Map([reg(7, name)]), commit(), [TMPFILE_BIT | constants.O_RDWR], ([again]) => {
      expect(text(again!)).toBe('nameless');
      linkFd(again!, path('published'));
      expect(readFileSync(path('published'), 'utf8')).toBe('nameless');
    });
  });

  test('a directory', () => {
    mkdirSync(path('d'), 0o750);
    const fd = open(path('d'), constants.O_DIRECTORY);
    rmSync(path('d'), { recursive: true });
    const { context, commit } = dumping();
    ghostHandler.dump(named(fd), context);
    const one = [{ orig_id: 7, remap_id: 1 }];
    const records = new Map([reg(7, path('d'), 0o040750)]);
    restoring(ghostHandler, one, records, commit(), [constants.O_DIRECTORY], ([again]) => {
      expect(fstatSync(again!).mode).toBe(fstatSync(fd).mode);
      expect(link(again!)).toBe(`${path('d')} (deleted)`);
      expect(() => mkdirSync(`/proc/self/fd/${again}/x`)).toThrow('ENOENT');
    });
  });
});

test('a larger file than --ghost-limit allows is refused by size and option', () => {
  const fd = open(path('data'), constants.O_RDWR | constants.O_CREAT);
  writeSync(fd, Buffer.alloc(64 * 1024, 1));
  unlinkSync(path('data'));
  const { context, commit } = dumping({ ghostLimitBytes: 4096n });
  const error = failure(() => ghostHandler.dump(named(fd), context));
  expect(error).toMatchObject({ code: 'CRTS_GHOST_LIMIT', kind: 'refused' });
  expect(error.message).toContain('65536 bytes');
  expect(error.hint).toContain('--ghost-limit 1M');
  commit().close();
});

describe('a linked file', () => {
  const lose = () => {
    const fd = open(path('data'), constants.O_RDWR | constants.O_CREAT);
    writeSync(fd, 'linked');
    linkSync(path('data'), path('other'));
    unlinkSync(path('data'));
    return fd;
  };

  test('gets its temporary name at the end of the dump, and loses it at the end of the restore', () => {
    const fd = lose();
    const { context, commit, records, effects } = dumping({ linkRemap: true });
    expect(linkedHandler.match(named(fd), context)).toBe(10);
    expect(linkedHandler.dump(named(fd), context)).toEqual({ name: path('data'), remap: { id: 99, type: 0 } });
    expect(linkedHandler.dump(named(fd), context).remap).toEqual({ id: 99, type: 0 });
    expect(readdirSync(directory)).toEqual(['other']);
    expect(effects).toHaveLength(1);
    effects[0]!.make();
    expect(readdirSync(directory)).toEqual(['link_remap.99', 'other']);
    records.set(...reg(7, path('data')));
    const one = [{ orig_id: 7, remap_id: 99 }];
    restoring(linkedHandler, one, records, commit(), [constants.O_RDWR], ([again]) => {
      expect(link(again!)).toBe(`${path('data')} (deleted)`);
      expect(fstatSync(again!).ino).toBe(fstatSync(fd).ino);
      expect(readdirSync(directory)).toEqual(['link_remap.99', 'other']);
    });
    expect(readdirSync(directory)).toEqual(['other']);
  });

  test('the name of a dump that failed is taken back', () => {
    const fd = lose();
    const { context, commit, effects } = dumping({ linkRemap: true });
    linkedHandler.dump(named(fd), context);
    effects[0]!.make();
    effects[0]!.undo();
    expect(readdirSync(directory)).toEqual(['other']);
    commit().close();
  });

  test('needs the option; and a temporary name that is gone is told', () => {
    const fd = lose();
    const { context, commit } = dumping();
    expect(failure(() => linkedHandler.dump(named(fd), context))).toMatchObject({ code: 'CRTS_LINK_REMAP' });
    const records = new Map([reg(7, path('data')), reg(99, path('link_remap.99'))]);
    const one = [{ orig_id: 7, remap_id: 99 }];
    const run = () => restoring(linkedHandler, one, records, commit(), [0], () => undefined);
    expect(failure(run)).toMatchObject({ code: 'CRTS_LINK_REMAP', errno: 'ENOENT', path: path('link_remap.99') });
  });

  test('silly names of NFS are carried so, though they lead to the file', () => {
    const file = named(lose(), { leads: 'here', isDeleted: false, name: '/mnt/.nfs0000000000a1b2c300000001' });
    const nfs = { ...file, facts: { ...file.facts, fsType: 0x6969n } };
    const { context, commit } = dumping();
    expect(linkedHandler.match(nfs, context)).toBe(20);
    expect(linkedHandler.match({ ...nfs, name: '/mnt/.nfsrc' }, context)).toBe(0);
    expect(linkedHandler.match(file, context)).toBe(0);
    commit().close();
  });
});

describe('hostile images', () => {
  const entry: GhostFileEntry = { uid: 0, gid: 0, mode: 0o100600 };
  const read = (more: Partial<GhostFileEntry>, chunks: object[] = []) => {
    const entries = [{ ...entry, ...more }, ...chunks].map((value) => ({ value, offset: 0, sizeBytes: 0 }));
    return readGhost(10, { fd: -1, entries } as ImageContents);
  };

  test.each<[string, Partial<GhostFileEntry>, object?]>([
    ['no kind of file', { mode: 0o600 }],
    ['bits beyond the mode', { mode: 0o1100600 }],
    ['chunks without a size', { chunks: true }],
    ['a negative size', { chunks: true, size: 1n << 63n }],
    ['a chunk beyond the end', { chunks: true, size: 10n }, { off: 8n, len: 3n }],
    ['a chunk that wraps', { chunks: true, size: 10n }, { off: (1n << 64n) - 1n, len: 2n }],
    ['a directory with contents', { mode: 0o040700, chunks: true, size: 1n }],
    ['a link without target', { mode: 0o120777 }],
    ['a link with NUL', { mode: 0o120777, symlnk_target: 'a\0b' }],
    ['no microsecond', { atim: { tv_sec: 1n, tv_usec: 1_000_000n }, mtim: { tv_sec: 1n, tv_usec: 0n } }],
    [
      'an attribute of the kernel',
      { crts: { atim_nsec: 0, mtim_nsec: 0, xattrs: [{ name: 'system.nfs4_acl', value: Buffer.alloc(1) }] } },
    ],
  ])('%s', (...[, more, chunk]) => {
    expect(failure(() => read(more, chunk === undefined ? [] : [chunk]))).toMatchObject({
      code: 'CRTS_IMAGE_FIELD',
      path: 'ghost-file-a.img',
    });
  });

  test('no entry at all', () => {
    expect(failure(() => readGhost(1, { fd: -1, entries: [] }))).toMatchObject({ code: 'CRTS_IMAGE_FIELD' });
  });

  test.each(['relative', '/a/', '/a\0b', `/${'x'.repeat(4096)}`])('a name that is none: %j', (name) => {
    const context = { record: () => reg(7, name)[1] } as unknown as RemapPlanContext;
    for (const handler of [ghostHandler, linkedHandler]) {
      const run = () => handler.plan([{ orig_id: 7, remap_id: 1, remap_type: 1 }], context);
      expect(failure(run)).toMatchObject({ code: 'CRTS_IMAGE_REFERENCE' });
    }
  });
});

test('a small file is stored in one piece, as CRIU does', () => {
  const bytes = encodeImage(imageKind('ghost-file'), [
    { value: { uid: 0, gid: 0, mode: 0o100600 }, extra: Buffer.from('abc') },
  ]);
  expect(bytes.subarray(-3).toString()).toBe('abc');
});

function failure(action: () => unknown): CrtsError {
  try {
    action();
  } catch (error) {
    if (error instanceof CrtsError) return error;
    throw error;
  }
  throw new Error('no error was thrown');
}
