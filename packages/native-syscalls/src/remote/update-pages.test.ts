// Pages that a child has from its parent, compared with a file by the child's agent.
import { closeSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { preadFull } from '../files';
import { waitPid } from '../wait';
import { ProgramBuilder } from './program-builder';
import { type StubTask, StubYard, stubAreaSize } from './stub';

const START = 0x3000_0000_0000n;
const MEMORY = 0x2000_0000_0000n;
const PAGE = 4096;
const PAGES = 100;
const area = { start: START, end: START + stubAreaSize(256 * 1024) };
const file = join(tmpdir(), `crts-update-pages-${process.pid}`);

afterEach(() => rmSync(file, { force: true }));

/** A word of each page; the page is full of it. */
function contents(word: (page: number) => number): Buffer {
  const bytes = Buffer.alloc(PAGES * PAGE);
  for (let page = 0; page < PAGES; page++) bytes.fill(word(page), page * PAGE, (page + 1) * PAGE);
  return bytes;
}

const run = (from: number, to: number) => ({
  addr: MEMORY + BigInt(from * PAGE),
  lengthBytes: BigInt((to - from) * PAGE),
  fileOffset: BigInt(from * PAGE),
});

/** `action` gets a parent whose memory is full of ones, and a child of it. */
function withFamily(own: Buffer, action: (child: StubTask, descriptor: number) => void): void {
  const yard = new StubYard({ area, doorbellNumber: 50, spareNumber: 54, agents: 1 }, 2);
  const root = yard.launch(0, 0n);
  let descriptor = -1;
  try {
    writeFileSync(
      file,
      contents(() => 1),
    );
    descriptor = openSync(file, 'r');
    const unborn = yard.unborn();
    const program = new ProgramBuilder();
    program.call('mmap', [MEMORY, PAGES * PAGE, 3, 0x10_0022, -1, 0]);
    const fd = program.receiveFd(descriptor);
    program.pagesFromFile(fd, [run(0, PAGES)]);
    program.call('close', [fd]);
    const pid = program.fork(0, 0n, unborn.channel);
    root.task.run(program);
    writeFileSync(file, own);
    const child = unborn.born(Number(pid.value));
    action(child, descriptor);
    expect(memory(root.hostPid).equals(contents(() => 1))).toBe(true);
    child.close();
  } finally {
    if (descriptor >= 0) closeSync(descriptor);
    root.close();
    waitPid(root.hostPid);
    yard.close();
  }
}

function memory(pid: number): Buffer {
  const bytes = Buffer.alloc(PAGES * PAGE);
  const mem = openSync(`/proc/${pid}/mem`, 'r');
  try {
    preadFull(mem, bytes, MEMORY);
  } finally {
    closeSync(mem);
  }
  return bytes;
}

/** Pages by whether someone else has them too: man 5 proc_pid_smaps. */
function pagesOf(pid: number): { shared: number; own: number } {
  const block = readFileSync(`/proc/${pid}/smaps`, 'utf8')
    .split(/\n(?=[0-9a-f]+-[0-9a-f]+ )/)
    .find((text) => text.startsWith(MEMORY.toString(16)))!;
  const kilobytes = (name: string) => Number(new RegExp(`^${name}: +(\\d+) kB$`, 'm').exec(block)![1]);
  return {
    shared: (kilobytes('Shared_Dirty') + kilobytes('Shared_Clean')) / 4,
    own: (kilobytes('Private_Dirty') + kilobytes('Private_Clean')) / 4,
  };
}

function update(child: StubTask, descriptor: number, build: (program: ProgramBuilder, fd: never) => { value: bigint }) {
  const program = new ProgramBuilder();
  const fd = program.receiveFd(descriptor);
  const result = build(program, fd as never);
  program.call('close', [fd]);
  child.task.run(program);
  return result.value;
}

test('equal pages stay shared, others become the own ones, dropped ones are zeroes', () => {
  const own = contents((page) => (page % 10 === 3 ? 2 : 1));
  withFamily(own, (child, descriptor) => {
    const written = update(child, descriptor, (program, fd) =>
      program.updatePages(fd, [run(0, 50), run(60, PAGES)], [run(50, 60)]),
    );
    expect(written).toBe(BigInt(9 * PAGE));
    expect(pagesOf(child.hostPid)).toEqual({ shared: 81, own: 9 });
    expect(memory(child.hostPid).equals(Buffer.from(own).fill(0, 50 * PAGE, 60 * PAGE))).toBe(true);
  });
});

test('one byte is a difference, wherever in the page it is', () => {
  const own = contents(() => 1);
  for (let page = 0; page < PAGES; page += 2) own[page * PAGE + ((page * 41) % PAGE)] = 9;
  own[PAGE + PAGE - 1] = 9;
  withFamily(own, (child, descriptor) => {
    expect(update(child, descriptor, (program, fd) => program.updatePages(fd, [run(0, PAGES)], []))).toBe(
      BigInt(51 * PAGE),
    );
    expect(memory(child.hostPid).equals(own)).toBe(true);
  });
});

test('where nothing is equal it is read in place', () => {
  const own = contents((page) => page + 2);
  withFamily(own, (child, descriptor) => {
    expect(update(child, descriptor, (program, fd) => program.updatePages(fd, [run(0, PAGES)], []))).toBe(
      BigInt(PAGES * PAGE),
    );
    expect(pagesOf(child.hostPid)).toEqual({ shared: 0, own: PAGES });
    expect(memory(child.hostPid).equals(own)).toBe(true);
  });
});

test('a file that ends early is an error, and so is a run that is no pages', () => {
  withFamily(contents(() => 1).subarray(0, 70 * PAGE + 5), (child, descriptor) => {
    const tried = (runs: Parameters<ProgramBuilder['updatePages']>[1]) => () =>
      update(child, descriptor, (program, fd) => program.updatePages(fd, runs, []));
    expect(tried([run(0, PAGES)])).toThrow(expect.objectContaining({ errno: 'ENODATA' }));
    expect(tried([{ ...run(0, 1), lengthBytes: 5n }])).toThrow(expect.objectContaining({ errno: 'EINVAL' }));
  });
});
