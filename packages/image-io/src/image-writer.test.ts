import { existsSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ImageWriter, type OpenAll } from './image-writer';

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'crts-writer-'));
});

afterEach(() => rmSync(directory, { recursive: true }));

const names = () => readdirSync(directory).sort();
const entry = [{ pid: 1, ppid: 0, pgid: 1, sid: 1, threads: [1] }];

test('where no set is, files have their names at once, and the inventory gets its own last', () => {
  const writer = ImageWriter.open(directory);
  writer.prepare([
    ['pstree', undefined],
    ['inventory', undefined],
  ]);
  expect(existsSync(join(directory, 'inventory.img'))).toBe(false);
  writer.write('pstree', undefined, entry);
  expect(names()).toContain('pstree.img');
  writer.write('inventory', undefined, [{ img_version: 2 }]);
  expect(existsSync(join(directory, 'inventory.img'))).toBe(false);
  writer.commit(false);
  writer.close();
  expect(names()).toEqual(['inventory.img', 'pstree.img']);
});

test('files of an older set stay until the new ones are complete', () => {
  writeFileSync(join(directory, 'inventory.img'), 'old');
  writeFileSync(join(directory, 'pstree.img'), 'old');
  const writer = ImageWriter.open(directory);
  writer.write('pstree', undefined, entry);
  writer.write('tty-info', undefined, []);
  expect(readFileSync(join(directory, 'pstree.img'), 'utf8')).toBe('old');
  expect(existsSync(join(directory, 'tty-info.img'))).toBe(false);
  writer.abort();
  expect(names()).toEqual(['inventory.img', 'pstree.img']);
  expect(readFileSync(join(directory, 'pstree.img'), 'utf8')).toBe('old');
});

test('what a killed dump left is replaced', () => {
  writeFileSync(join(directory, 'pstree.img'), 'old');
  const writer = ImageWriter.open(directory);
  writer.write('pstree', undefined, entry);
  expect(readFileSync(join(directory, 'pstree.img'), 'utf8')).toBe('old');
  writer.write('inventory', undefined, [{ img_version: 2 }]);
  writer.commit(false);
  writer.close();
  expect(readFileSync(join(directory, 'pstree.img'), 'utf8')).not.toBe('old');
  expect(names()).toEqual(['inventory.img', 'pstree.img']);
});

test('nothing is left of what was given up', () => {
  const writer = ImageWriter.open(directory);
  writer.prepare([['core', 7]]);
  writer.write('pstree', undefined, entry);
  writer.abort();
  expect(names()).toEqual([]);
});

test('files that are opened meanwhile are waited for when one is written, or given up', () => {
  const opened: string[] = [];
  const openLater: OpenAll = (_directory, names, flags, mode) => () =>
    names.map((name) => {
      opened.push(name);
      // The last one cannot be opened in this way.
      return name.startsWith('fs-') ? -1 : openSync(join(directory, name), flags, mode);
    });
  const files = [
    ['pstree', undefined],
    ['core', 7],
    ['fs', 7],
  ] as const;
  const writer = ImageWriter.open(directory);
  writer.prepare(files, openLater);
  expect(names()).toEqual([]);
  writer.write('pstree', undefined, entry);
  expect(opened).toEqual(['pstree.img', 'core-7.img', 'fs-7.img']);
  writer.commit(false);
  writer.close();
  expect(names()).toEqual(['pstree.img']);

  const other = ImageWriter.open(directory);
  other.prepare([['core', 8]], openLater);
  other.abort();
  expect(names()).toEqual(['pstree.img']);
});
