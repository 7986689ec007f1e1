import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RemappedFile } from '@crts/plugin-api';
import { Finder, type WatchedObject } from './finder';
import { handleEntry, handleOfPath } from './handle';
import { resolveTarget } from './resolve';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'crts-finder-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

/** stat(2) and the kernel encode devices differently. */
function watched(path: string): WatchedObject {
  const { dev, ino } = statSync(path, { bigint: true });
  const device = Number(((dev & 0xfff00n) << 12n) | (dev & 0xffn) | ((dev >> 12n) & 0xfff00n));
  return { device, ino, handle: handleOfPath(path) };
}

function find(object: WatchedObject, options = {}) {
  const home = process.cwd();
  const finder = new Finder({ proc: '/proc/self', ...options });
  try {
    return finder.find(object);
  } finally {
    finder.close();
    expect(process.cwd()).toBe(home);
  }
}

const isRoot = process.getuid?.() === 0;
const rootTest = isRoot ? test : test.skip;

rootTest('a directory and a file are found by their handles, also under new names (needs root)', () => {
  mkdirSync(join(directory, 'one'));
  writeFileSync(join(directory, 'file'), '');
  const objects = [watched(join(directory, 'one')), watched(join(directory, 'file'))];
  renameSync(join(directory, 'one'), join(directory, 'two'));
  renameSync(join(directory, 'file'), join(directory, 'two/file \udcff'.replace('\udcff', 'x')));
  expect(find(objects[0]!)).toEqual({ kind: 'path', path: join(directory, 'two') });
  expect(find(objects[1]!)).toEqual({ kind: 'path', path: join(directory, 'two/file x') });
});

rootTest('what was unlinked and is open has no name (needs root)', () => {
  const path = join(directory, 'file');
  writeFileSync(path, '');
  const object = watched(path);
  const fd = openSync(path, 'r');
  try {
    unlinkSync(path);
    writeFileSync(path, 'another');
    expect(find(object)).toEqual({ kind: 'handle', formerPath: path, deleted: true });
  } finally {
    closeSync(fd);
  }
});

test('a handle that nobody opens: searched for where it was told to', () => {
  mkdirSync(join(directory, 'a/b'), { recursive: true });
  const path = join(directory, 'a/b/file');
  writeFileSync(path, '');
  const object = { ...watched(path), handle: undefined };
  expect(find(object, { proc: '/proc/self', scanPaths: [directory] })).toEqual({ kind: 'path', path });
});

describe('at restore', () => {
  const resolve = (path: string, object: WatchedObject, ghost?: RemappedFile) => {
    const entry = { ...handleEntry(object.handle), path };
    const finder = new Finder({ proc: '/proc/self' });
    try {
      return resolveTarget({ device: object.device, ino: object.ino, entry }, finder, () => ghost);
    } finally {
      finder.close();
    }
  };

  test('the same object is taken by its path; an unlinked one of the images comes first', () => {
    const path = join(directory, 'file');
    writeFileSync(path, '');
    expect(resolve(path, watched(path))).toEqual({ kind: 'path', path, isReplaced: false });
    const ghost: RemappedFile = { open: () => 3 };
    expect(resolve(path, watched(path), ghost)).toEqual({ kind: 'ghost', file: ghost });
  });

  rootTest('what was renamed is followed; a replaced one is told; nothing at all is none (needs root)', () => {
    const path = join(directory, 'file');
    writeFileSync(path, '');
    const object = watched(path);
    renameSync(path, join(directory, 'other'));
    expect(resolve(path, object)).toEqual({ kind: 'object', object });
    writeFileSync(path, '');
    expect(resolve(path, object)).toEqual({ kind: 'object', object });
    const gone = { ...object, handle: { type: 1, bytes: Buffer.alloc(8, 0xee) } };
    expect(resolve(path, gone)).toEqual({ kind: 'path', path, isReplaced: true });
    unlinkSync(path);
    expect(resolve(path, gone)).toBeUndefined();
  });
});
