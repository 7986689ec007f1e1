import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ImageWriter } from './image-writer';

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
