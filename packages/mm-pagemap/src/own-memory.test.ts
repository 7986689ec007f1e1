// What the kernel says of this very process's memory. Needs no privilege: the pagemap is our own.
import { closeSync, fstatSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { preadFull, pwriteFull, syscall } from '@crts/native-syscalls';
import type {
  FrozenTask,
  ImageRecord,
  ImageSink,
  PageArea,
  PageRun,
  PageSelection,
  Program,
  Result,
} from '@crts/plugin-api';
import { collectPages, scanOf } from './collect';
import { pageStore } from './store';

const PAGE = 4096;
const MAP_PRIVATE_ANONYMOUS = 0x22;
const MADV_GUARD_INSTALL = 102;
const PROT_NONE = 0;
const PROT_READ = 1;
const PROT_RW = 3;

const directory = mkdtempSync(join(tmpdir(), 'crts-own-'));
const pagemap = openSync('/proc/self/pagemap', 'r');
const mem = openSync('/proc/self/mem', 'r+');
const file = openSync(join(directory, 'file'), 'w+');
const mapped: [bigint, number][] = [];

afterAll(() => {
  for (const [address, length] of mapped) syscall('munmap', address, length);
  for (const fd of [pagemap, mem, file]) closeSync(fd);
  rmSync(directory, { recursive: true });
});

function map(pages: number, flags = MAP_PRIVATE_ANONYMOUS, fd = -1): bigint {
  const address = BigInt(syscall('mmap', 0, pages * PAGE, PROT_RW, flags, fd, 0));
  mapped.push([address, pages * PAGE]);
  return address;
}

const at = (base: bigint, page: number) => base + BigInt(page * PAGE);
const touch = (base: bigint, page: number, text = 'x') => pwriteFull(mem, Buffer.from(text), at(base, page));
/** A read by the kernel on behalf of the process, which maps the zero page; one through /proc/self/mem would not. */
const read = (base: bigint, page: number) => syscall('pwrite64', file, at(base, page), 1, 0);

function area(start: bigint, pages: number, selection: PageSelection = 'private', readable = true): PageArea {
  return { start, end: at(start, pages), pages: selection, readable, lazy: true };
}

/** Page numbers, relative to the first area. */
function collect(...areas: PageArea[]) {
  const { stretches, guards } = collectPages(areas, scanOf(pagemap));
  const page = (address: bigint) => Number(address - areas[0]!.start) / PAGE;
  const pages = (list: readonly { start: bigint; end: bigint }[]) =>
    list.map(({ start, end }) => [page(start), page(end)]);
  return { stretches: pages(stretches), guards: pages(guards) };
}

test('written pages are stored; untouched ones, zero pages and guards are not', () => {
  const base = map(16);
  for (const page of [0, 1, 4, 5, 12]) touch(base, page);
  read(base, 8);
  syscall('madvise', at(base, 5), 2 * PAGE, MADV_GUARD_INSTALL);
  expect(collect(area(base, 16))).toEqual({
    stretches: [
      [0, 2],
      [4, 5],
      [12, 13],
    ],
    guards: [[5, 7]],
  });
});

test('of a private file mapping only the copies are stored', () => {
  pwriteFull(file, Buffer.alloc(4 * PAGE, 1), 0n);
  const base = map(4, 2, file);
  for (let page = 0; page < 4; page++) read(base, page);
  touch(base, 2);
  expect(collect(area(base, 4)).stretches).toEqual([[2, 3]]);
});

test('guards in a mapping whose contents are elsewhere are found', () => {
  pwriteFull(file, Buffer.alloc(8 * PAGE, 1), 0n);
  const base = map(8, 1, file);
  for (let page = 0; page < 8; page++) read(base, page);
  syscall('madvise', at(base, 2), 3 * PAGE, MADV_GUARD_INSTALL);
  expect(collect(area(base, 8, 'none'))).toEqual({ stretches: [], guards: [[2, 5]] });
  expect(collect(area(base, 8, 'all')).stretches).toEqual([
    [0, 2],
    [5, 8],
  ]);
});

test('the selection decides, not the contents', () => {
  const base = map(8);
  for (const page of [1, 2, 6]) touch(base, page);
  syscall('madvise', at(base, 4), PAGE, MADV_GUARD_INSTALL);
  expect(collect(area(base, 8, 'none'))).toEqual({ stretches: [], guards: [[4, 5]] });
  expect(collect(area(base, 8, 'all'))).toEqual({
    stretches: [
      [0, 4],
      [5, 8],
    ],
    guards: [[4, 5]],
  });
});

test('the vsyscall page, above user space, is left alone: the kernel answers EFAULT there', () => {
  expect(collect(area(0xffff_ffff_ff60_0000n, 1, 'none'))).toEqual({ stretches: [], guards: [] });
});

test('no page is stored twice, however many runs there are', () => {
  // More than the 512 regions of the kernel's buffer, and more than the 4096 of ours.
  for (const runs of [600, 1100, 5000]) {
    const base = map(2 * runs);
    for (let run = 0; run < runs; run++) touch(base, 2 * run);
    const { stretches } = collect(area(base, 2 * runs));
    expect(stretches).toEqual(Array.from({ length: runs }, (_, run) => [2 * run, 2 * run + 1]));
  }
});

/** A task that is this process: what it is told to write from its memory is written at once. */
function ownTask(fileSizeLimit: string) {
  const byTask: PageRun[] = [];
  const program = {
    receiveFd: (fd: number) => fd,
    pagesToFile: (fd: number, runs: readonly PageRun[]) => {
      byTask.push(...runs);
      for (const run of runs) syscall('pwrite64', fd, run.addr, run.lengthBytes, run.fileOffset);
    },
    call: () => undefined,
  } as unknown as Program;
  const task = {
    pid: 77,
    hostPid: process.pid,
    pagesId: 3,
    options: {},
    readProc: () =>
      `Limit  Soft Limit  Hard Limit  Units\nMax file size             ${fileSizeLimit}    unlimited  bytes\n`,
    run: (build: (program: Program) => void) => build(program),
  } as unknown as FrozenTask;
  return { task, byTask };
}

function store(areas: readonly PageArea[], fileSizeLimit = 'unlimited') {
  const { task, byTask } = ownTask(fileSizeLimit);
  const path = join(directory, `pages-${Math.random()}`);
  const fd = openSync(path, 'w+');
  let entries: readonly ImageRecord[] = [];
  const sink: ImageSink = {
    write: (_kind, _id, written) => {
      entries = written;
    },
    rawFd: () => fd,
  };
  const stats = pageStore.dump(task, areas, sink);
  for (const part of stats.writing?.parts ?? []) task.run((program) => part.emit(program, fd as unknown as Result));
  stats.writing?.finish();
  const pages = pageStore.open(77, {
    read: () => [...entries],
    rawFd: () => fd,
    rawSize: () => BigInt(fstatSync(fd).size),
    has: () => true,
    ids: () => [77],
    parent: () => undefined,
    markDeduplicated: () => undefined,
  });
  return { stats, entries, pages, byTask, size: fstatSync(fd).size, bytes: readFileSync(path) };
}

test('what was dumped is read back: the task writes what it can, the engine the rest', () => {
  const open = map(4);
  const hidden = map(600);
  touch(open, 1, 'seen');
  touch(hidden, 0, 'first');
  for (let page = 0; page < 600; page++) touch(hidden, page, `page ${page}`);
  syscall('mprotect', hidden, 600 * PAGE, PROT_NONE);
  const areas = [area(open, 4), area(hidden, 600, 'private', false)].sort((a, b) => (a.start < b.start ? -1 : 1));
  const { stats, entries, pages, byTask, size } = store(areas);
  expect(stats).toMatchObject({ pagesScanned: 604, pagesWritten: 601, guards: [] });
  expect(size).toBe(601 * PAGE);
  expect(byTask.map((run) => run.addr)).toEqual([at(open, 1)]);
  expect(pages.read(at(open, 1), 4)!.toString()).toBe('seen');
  expect(pages.read(at(hidden, 599), 8)!.toString()).toBe('page 599');
  expect(pages.read(open, 4)).toBeUndefined();
  expect(entries[0]).toEqual({ pages_id: 3 });
  expect(entries[1]).toMatchObject({ compat_nr_pages: 0, flags: 6 });
});

test('a task whose file size limit is too small does not write itself: SIGXFSZ would end it', () => {
  const base = map(4);
  touch(base, 1, 'limited');
  syscall('mprotect', base, 4 * PAGE, PROT_READ);
  expect(store([area(base, 4)], '4096').byTask).toHaveLength(1);
  const { byTask, pages } = store([area(base, 4)], '4095');
  expect(byTask).toEqual([]);
  expect(pages.read(at(base, 1), 7)!.toString()).toBe('limited');
});

test('memory that cannot be read is an error that says where', () => {
  const base = map(2);
  touch(base, 0);
  const unmapped: PageArea = { ...area(base, 2, 'all', false) };
  preadFull(mem, Buffer.alloc(1), base);
  syscall('munmap', base, 2 * PAGE);
  mapped.pop();
  expect(() => store([unmapped])).toThrow(`at 0x${base.toString(16)}`);
});
