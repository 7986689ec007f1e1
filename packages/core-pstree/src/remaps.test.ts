import {
  closeSync,
  constants,
  fstatSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  rmSync,
  statfsSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ImageReader, ImageWriter } from '@crts/image-io';
import { CrtsError, type FdFacts, type FileRecord, type RemapHandler, type RunOptions } from '@crts/plugin-api';
import { DumpRemaps, RestoreRemaps, whereItLeads } from './remaps';

const O_TMPFILE = 0o20200000;
let directory: string;
const opened: number[] = [];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'crts-remaps-'));
});
afterEach(() => {
  for (const fd of opened.splice(0)) closeSync(fd);
  rmSync(directory, { recursive: true, force: true });
});
const path = (name: string) => join(directory, name);

function open(name: string, flags: number = constants.O_RDONLY): number {
  const fd = openSync(name, flags, 0o600);
  opened.push(fd);
  return fd;
}

function file(name: string): string {
  writeFileSync(path(name), name);
  return path(name);
}

function facts(fd: number): FdFacts {
  const { mode, dev, ino, nlink } = fstatSync(fd, { bigint: true });
  const text = readlinkSync(`/proc/self/fd/${fd}`);
  const deleted = nlink === 0n && text.endsWith(' (deleted)');
  const link = deleted ? text.slice(0, -' (deleted)'.length) : text;
  const fsType = statfsSync(`/proc/self/fd/${fd}`, { bigint: true }).type;
  return { pid: 4312, fd: 5, local: fd, link, deleted, mode: Number(mode), dev, ino, nlink, fsType } as FdFacts;
}

describe('where a name leads', () => {
  test('to the file', () => {
    expect(whereItLeads(facts(open(file('x (deleted)'))))).toMatchObject({
      name: path('x (deleted)'),
      leads: 'here',
      isDeleted: false,
    });
  });

  test('nowhere, since the file has no name', () => {
    const fd = open(file('data'));
    unlinkSync(path('data'));
    file('data');
    expect(whereItLeads(facts(fd))).toMatchObject({ name: path('data'), leads: 'nowhere', isDeleted: true });
    mkdirSync(path('directory'));
    const gone = open(path('directory'));
    rmdirSync(path('directory'));
    expect(whereItLeads(facts(gone))).toMatchObject({ name: path('directory'), isDeleted: true });
    expect(whereItLeads(facts(open(directory, O_TMPFILE | constants.O_RDWR)))).toMatchObject({ isDeleted: true });
  });

  test('nowhere, while the file has another name; and here again when it was put back', () => {
    const fd = open(file('data'));
    linkSync(path('data'), path('other'));
    unlinkSync(path('data'));
    expect(whereItLeads(facts(fd))).toMatchObject({ name: path('data'), leads: 'nowhere', isDeleted: true });
    file('data');
    expect(whereItLeads(facts(fd))).toMatchObject({ leads: 'elsewhere', isDeleted: true });
    renameSync(path('other'), path('data'));
    expect(whereItLeads(facts(fd))).toMatchObject({ name: path('data'), leads: 'here' });
  });
});

function dumpContext(entries: unknown[]) {
  return {
    id: 7,
    addItem: (kind: string, { value }: { value: unknown }) => entries.push([kind, value]),
  } as unknown as Parameters<DumpRemaps['nameOf']>[1];
}

const ghost = (score: number): RemapHandler => ({
  name: 'ghost',
  match: ({ facts: { nlink } }) => (nlink === 0n ? score : 0),
  dump: ({ name }) => ({ name, remap: { id: 3, type: 1 } }),
  owns: ({ remap_type }) => remap_type === 1,
  plan: (entries) => new Map(entries.map(({ orig_id }) => [orig_id, { open: () => 0 }])),
});

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof CrtsError) return error.code;
    throw error;
  }
  return 'none';
}

describe('the name of a file in the images', () => {
  test('its own needs no remap; a handler writes the entry of one that has none', () => {
    const entries: unknown[] = [];
    const remaps = new DumpRemaps([ghost(10)], {} as never);
    const fd = open(file('data'));
    expect(remaps.nameOf(facts(fd), dumpContext(entries))).toBe(path('data'));
    expect(entries).toEqual([]);
    unlinkSync(path('data'));
    expect(remaps.nameOf(facts(fd), dumpContext(entries))).toBe(path('data'));
    expect(entries).toEqual([['remap-fpath', { orig_id: 7, remap_id: 3, remap_type: 1 }]]);
  });

  test('what nobody takes is refused by what is the matter', () => {
    const remaps = new DumpRemaps([], {} as never);
    const fd = open(file('data'));
    const code = () => codeOf(() => remaps.nameOf(facts(fd), dumpContext([])));
    unlinkSync(path('data'));
    expect(code()).toBe('CRTS_FILE_UNLINKED');
    const lost = (link: string) => ({ ...facts(open(file('data'))), link });
    expect(codeOf(() => remaps.nameOf(lost('/no such file'), dumpContext([])))).toBe('CRTS_FILE_UNREACHABLE');
    expect(codeOf(() => remaps.nameOf(lost('/etc/passwd'), dumpContext([])))).toBe('CRTS_FILE_REPLACED');
  });

  test('two handlers for one file are a conflict', () => {
    const remaps = new DumpRemaps([ghost(10), ghost(10)], {} as never);
    const fd = facts(open(directory, O_TMPFILE | constants.O_RDWR));
    expect(codeOf(() => remaps.nameOf(fd, dumpContext([])))).toBe('CRTS_PLUGIN_CONFLICT');
  });
});

test('effects of a dump are taken back, in order, when one fails or the end does', () => {
  const told: string[] = [];
  const effects = (failing: boolean): RemapHandler => ({
    ...ghost(10),
    dump: ({ name }, { addEffect }) => {
      const effect = (what: string) => ({
        what,
        make: () => {
          if (failing && what === 'b') throw new Error('b');
          told.push(`make ${what}`);
        },
        undo: () => told.push(`undo ${what}`),
      });
      addEffect(effect('a'));
      addEffect(effect('b'));
      return { name };
    },
  });
  const fd = facts(open(directory, O_TMPFILE | constants.O_RDWR));
  const run = (failing: boolean, end: () => void) => {
    const remaps = new DumpRemaps([effects(failing)], {} as never);
    remaps.nameOf(fd, dumpContext([]));
    return () => remaps.around(end);
  };
  expect(run(true, () => undefined)).toThrow('b');
  expect(told.splice(0)).toEqual(['make a', 'undo a']);
  const failingEnd = () => {
    throw new Error('end');
  };
  expect(run(false, failingEnd)).toThrow('end');
  expect(told.splice(0)).toEqual(['make a', 'make b', 'undo a', 'undo b']);
  run(false, () => told.push('end'))();
  expect(told).toEqual(['make a', 'make b', 'end']);
});

describe('restore', () => {
  const files = new Map<number, FileRecord>([[7, { type: 1, field: 'reg', value: { id: 7, name: '/x' } }]]);
  const log = { debug: () => undefined, info: () => undefined, warn: () => undefined };

  function plan(entries: object[], handlers: RemapHandler[]): RestoreRemaps {
    const writer = ImageWriter.open(directory);
    writer.write('remap-fpath', undefined, entries as never);
    writer.write('inventory', undefined, [{ img_version: 2 }]);
    writer.commit(false);
    writer.close();
    const reader = ImageReader.open(directory);
    try {
      const set = { tasks: [{ pid: 12, pgid: 12, sid: 11, threads: [{ tid: 15 }] }], dead: [], files } as never;
      return RestoreRemaps.plan(reader, handlers, set, { log } as unknown as RunOptions & { log: typeof log });
    } finally {
      reader.close();
    }
  }

  test('each file by the handler of its type; old images tell a ghost by a bit', () => {
    expect([...plan([{ orig_id: 7, remap_id: 3, remap_type: 1 }], [ghost(1)]).files.keys()]).toEqual([7]);
    expect([...plan([{ orig_id: 7, remap_id: 0x8000_0003 }], [ghost(1)]).files.keys()]).toEqual([7]);
  });

  test.each([
    ['of no file', [{ orig_id: 8, remap_id: 3, remap_type: 1 }], 'CRTS_IMAGE_REFERENCE'],
    ['twice', Array(2).fill({ orig_id: 7, remap_id: 3, remap_type: 1 }), 'CRTS_IMAGE_REFERENCE'],
    ['of no plugin', [{ orig_id: 7, remap_id: 3, remap_type: 2 }], 'CRTS_IMAGE_PLUGIN'],
  ])('a remap %s', (_what, entries, code) => {
    expect(codeOf(() => plan(entries, [ghost(1)]))).toBe(code);
  });

  test('a helper is added once, and not for a process of the tree', () => {
    const helper = (...pids: number[]): RemapHandler => ({
      ...ghost(1),
      plan: (_entries, context) => {
        for (const pid of pids) context.addHelper(pid);
        return new Map();
      },
    });
    const remaps = plan([{ orig_id: 7, remap_id: 3, remap_type: 1 }], [helper(12, 13, 13, 15, 11)]);
    expect([...remaps.helpers]).toEqual([13, 11]);
    // The forks make the leader of the session.
    expect(remaps.leaders).toEqual([11]);
    expect(remaps.text).toEqual(['helper process 13']);
  });

  test('what was prepared is taken back when the restore fails, finished when it does not, and closed in any case', () => {
    const told: string[] = [];
    const steps: RemapHandler = {
      ...ghost(1),
      plan: (_entries, context) => {
        for (const what of ['a', 'b']) {
          const tell = (event: string) => () => {
            told.push(`${event} ${what}`);
          };
          context.prepare({ what, make: tell('make'), undo: tell('undo'), done: tell('done'), close: tell('close') });
        }
        return new Map();
      },
    };
    const remaps = () => plan([{ orig_id: 7, remap_id: 3, remap_type: 1 }], [steps]);
    expect(remaps().around(() => told.push('restore'))).toBe(3);
    expect(told.splice(0)).toEqual(['make a', 'make b', 'restore', 'done a', 'done b', 'close a', 'close b']);
    expect(() =>
      remaps().around(() => {
        throw new Error('no');
      }),
    ).toThrow('no');
    expect(told).toEqual(['make a', 'make b', 'undo a', 'undo b', 'close a', 'close b']);
  });
});
