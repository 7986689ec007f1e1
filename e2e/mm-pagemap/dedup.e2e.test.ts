// Pages that a later set supersedes are taken out of the older ones; what can be restored comes back as it was. Beside criu.
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { encodeImage, ImageReader, imageKind, type PagemapEntry } from '@crts/image-io';
import { rawSyscall } from '@crts/native-syscalls';
import type { ImageRecord } from '@crts/plugin-api';
import { criu, criuBinary, crts, must } from '../harness/checkpointer';
import { Target } from '../harness/target';

const MEBIBYTES = 16;
/** PE_PARENT of the format. */
const IN_PARENT = 1;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;

function set(target: Target, name: string): string {
  const directory = join(target.directory, name);
  mkdirSync(directory);
  return directory;
}

function make(target: Target, action: 'pre-dump' | 'dump', directory: string, ...options: string[]) {
  return crts(action, '-t', String(target.pid), '-D', directory, '-o', `${action}.log`, '-v4', ...options);
}

function makeWithCriu(target: Target, directory: string, ...options: string[]) {
  return criu('dump', '-t', String(target.pid), '-D', directory, '-o', 'criu-dump.log', '-v4', ...options);
}

function restoreFrom(target: Target, directory: string, ...options: string[]): void {
  must(crts('restore', '-d', '-D', directory, '-o', 'restore.log', '-v4', ...options));
  target.adoptRestored();
}

/** Stretches of the pages images of a set that hold data, and their sizes. */
function dataOf(directory: string): Record<string, string[]> {
  const names = readdirSync(directory).filter((name) => /^pages-\d+\.img$/.test(name));
  return Object.fromEntries(names.map((name) => [name, extents(join(directory, name))]));
}

function extents(path: string): string[] {
  const found = [`${statSync(path).size} bytes`];
  const fd = openSync(path, 'r');
  for (let at = 0; ; ) {
    const start = rawSyscall('lseek', fd, at, SEEK_DATA);
    if (start < 0) break;
    at = rawSyscall('lseek', fd, start, SEEK_HOLE);
    found.push(`${start}-${at}`);
  }
  closeSync(fd);
  return found;
}

/** Data of all pages images of a set. */
function bytesOf(directory: string): number {
  const spans = Object.values(dataOf(directory)).flatMap(([, ...one]) => one);
  return spans.reduce((sum, span) => sum - Number(span.split('-')[0]) + Number(span.split('-')[1]), 0);
}

/** A chain of two pre-dumps and a dump; the program is gone. */
async function chain(target: Target, ...options: string[]): Promise<string[]> {
  const sets = [0, 1, 2].map((number) => set(target, `set-${number}`));
  must(make(target, 'pre-dump', sets[0]!, '--track-mem'));
  must(make(target, 'pre-dump', sets[1]!, '--track-mem', '--prev-images-dir', '../set-0', ...options));
  must(make(target, 'dump', sets[2]!, '--prev-images-dir', '../set-1', ...options));
  await target.gone();
  return sets;
}

const start = () => Target.program('increments', [String(MEBIBYTES)]);

test('a chain is deduplicated and restored', async () => {
  const target = await start();
  const sets = await chain(target);
  const before = sets.map(bytesOf);
  must(crts('dedup', '-D', sets[2]!));
  const after = sets.map(bytesOf);
  expect(after[0]).toBeLessThan(before[0]!);
  expect(after[1]).toBeLessThan(before[1]!);
  expect(after[2]).toBe(before[2]!);
  restoreFrom(target, sets[2]!);
  await target.finish();
});

test('each dump deduplicates on its own; nothing is left for dedup', async () => {
  const target = await start();
  const sets = await chain(target, '--auto-dedup');
  const after = sets.map(dataOf);
  expect(readdirSync(sets[0]!)).toContain('crts-deduplicated');
  must(crts('dedup', '-D', sets[2]!));
  expect(sets.map(dataOf)).toEqual(after);
  restoreFrom(target, sets[2]!);
  await target.finish();
});

test('a restore with --auto-dedup leaves holes, and is the last one', async () => {
  const target = await start();
  const sets = await chain(target);
  restoreFrom(target, sets[2]!, '--auto-dedup');
  expect(bytesOf(sets[2]!)).toBe(0);
  expect(crts('restore', '-d', '-D', sets[2]!).stderr).toContain('[CRTS_IMAGES_DEDUPLICATED]');
  await target.finish();
});

test('a dump that pages were taken out of is refused: it would come back with zeroes', async () => {
  const target = await start();
  const first = set(target, 'set-0');
  must(make(target, 'dump', first, '-R', '--track-mem'));
  must(make(target, 'dump', set(target, 'set-1'), '-R', '--prev-images-dir', '../set-0', '--auto-dedup'));
  expect(crts('restore', '-d', '-D', first).stderr).toContain('[CRTS_IMAGES_DEDUPLICATED]');
  // Another dump in its place is a whole set again.
  must(make(target, 'dump', first));
  await target.gone();
  restoreFrom(target, first);
  await target.finish();
});

test('dedup of a set that builds on none is refused', async () => {
  const target = await start();
  must(target.dump('-R'));
  expect(crts('dedup', '-D', target.images).stderr).toContain('[CRTS_IMAGES_INCREMENTAL]');
  await target.finish();
});

const withCriu = criuBinary === undefined ? test.skip : test;

withCriu('criu dedup makes the same holes in the same chain, and criu restores ours', async () => {
  const target = await start();
  const sets = await chain(target);
  const copy = set(target, 'copy');
  spawnSync('cp', ['-a', ...sets, copy]);
  must(crts('dedup', '-D', sets[2]!));
  must(criu('dedup', '-D', join(copy, 'set-2')));
  for (const number of [0, 1, 2]) expect(dataOf(join(copy, `set-${number}`))).toEqual(dataOf(sets[number]!));
  must(criu('restore', '-d', '-D', sets[2]!, '-o', 'criu-restore.log', '-v4'));
  target.adoptRestored();
  await target.finish();
});

withCriu('criu restores a chain of ours that deduplicated itself', async () => {
  const target = await start();
  const sets = await chain(target, '--auto-dedup');
  must(criu('restore', '-d', '-D', sets[2]!, '-o', 'criu-restore.log', '-v4'));
  target.adoptRestored();
  await target.finish();
});

/** Moves every second stretch of pages of a set into a parent set, as an increment of criu on another kernel would have them. */
function split(target: Target, whole: string, parent: string, child: string): void {
  spawnSync('cp', ['-a', `${whole}/.`, parent]);
  spawnSync('cp', ['-a', `${whole}/.`, child]);
  symlinkSync(`../${basename(parent)}`, join(child, 'parent'));
  const reader = ImageReader.open(whole);
  const [head, ...entries] = reader.read('pagemap', target.pid) as [ImageRecord, ...PagemapEntry[]];
  const pages = readFileSync(join(whole, `pages-${head.pages_id}.img`));
  reader.close();
  const kept: Buffer[] = [];
  let at = 0;
  const halved = entries.map((entry, index) => {
    const bytes = pages.subarray(at, at + Number(entry.nr_pages) * 4096);
    at += bytes.length;
    if (index % 2 === 0) return { ...entry, flags: IN_PARENT };
    kept.push(bytes);
    return entry;
  });
  writeFileSync(join(child, `pages-${head.pages_id}.img`), Buffer.concat(kept));
  const items = [head, ...halved].map((value) => ({ value: value as ImageRecord }));
  writeFileSync(join(child, `pagemap-${target.pid}.img`), encodeImage(imageKind('pagemap'), items));
}

withCriu('a chain of criu, deduplicated by criu or by crts, is restored by the other', async () => {
  const target = await start();
  const whole = set(target, 'whole');
  must(makeWithCriu(target, whole));
  await target.gone();
  const [parent, child] = [set(target, 'set-0'), set(target, 'set-1')];
  split(target, whole, parent, child);
  const copy = set(target, 'copy');
  spawnSync('cp', ['-a', parent, child, copy]);
  must(criu('dedup', '-D', join(copy, 'set-1')));
  must(crts('dedup', '-D', child));
  expect(bytesOf(parent)).toBeLessThan(bytesOf(whole));
  for (const one of ['set-0', 'set-1']) expect(dataOf(join(copy, one))).toEqual(dataOf(join(target.directory, one)));
  must(criu('restore', '-d', '-D', child, '-o', 'criu-restore.log', '-v4'));
  target.adoptRestored();
  await target.end();
  restoreFrom(target, join(copy, 'set-1'));
  await target.finish();
});
