// Transfers that agent and engine make together: how they are cut, and on the real kernel that nothing is left out or written twice.
import { closeSync, fstatSync, ftruncateSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PageRun } from '@crts/plugin-api';
import fc from 'fast-check';
import { preadFull, preallocate } from '../files';
import { cPath, rawSyscall, syscall } from '../syscall';
import { waitPid } from '../wait';
import { encodeBatch } from './encoder';
import { boundsOf, cutRuns, PIECE_BYTES } from './pieces';
import { ProgramBuilder } from './program-builder';
import { type Run, runTogether } from './remote-task';
import { launchStub, type StubTask, stubAreaSize } from './stub';

// One run is like the other: what a new seed finds belongs into a named test.
fc.configureGlobal({ seed: 20261126 });

const PAGE = 4096n;
const SIGCONT = 18;
const SIGSTOP = 19;
const START = 0x2000_0000_0000n;
const area = { start: START, end: START + stubAreaSize(256 * 1024) };
/** Three pages behind a piece's boundary. */
const MEMORY = 0x3000_0000_3000n;
const PAGES = 6000;
const SIZE = PAGES * Number(PAGE);
const file = join(tmpdir(), `crts-pieces-${process.pid}`);

const anyRuns = fc
  .array(fc.tuple(fc.integer({ min: 0, max: 3000 }), fc.integer({ min: 1, max: 3000 })), { maxLength: 12 })
  .map((parts) => {
    let addr = MEMORY;
    let fileOffset = 0n;
    return parts.map(([gap, pages]) => {
      addr += BigInt(gap) * PAGE;
      const run = { addr, lengthBytes: BigInt(pages) * PAGE, fileOffset };
      addr += run.lengthBytes;
      fileOffset += run.lengthBytes;
      return run;
    });
  });

test('cut runs are the same pages; no piece goes over a boundary or is larger than one', () => {
  fc.assert(
    fc.property(anyRuns, (runs) => {
      const cut = cutRuns(runs);
      const bounds = [...boundsOf(cut)];
      const joined: PageRun[] = [];
      for (const run of cut) {
        expect(run.addr / PIECE_BYTES).toBe((run.addr + run.lengthBytes - 1n) / PIECE_BYTES);
        const last = joined.at(-1);
        const isNext = last !== undefined && last.addr + last.lengthBytes === run.addr;
        if (isNext) joined[joined.length - 1] = { ...last, lengthBytes: last.lengthBytes + run.lengthBytes };
        else joined.push(run);
      }
      const whole: PageRun[] = [];
      for (const run of runs) {
        const last = whole.at(-1);
        if (last !== undefined && last.addr + last.lengthBytes === run.addr)
          whole[whole.length - 1] = { ...last, lengthBytes: last.lengthBytes + run.lengthBytes };
        else whole.push(run);
      }
      expect(joined).toEqual(whole);
      expect(bounds[0]).toBe(0);
      expect(bounds.at(-1)).toBe(cut.length);
      bounds.slice(1).forEach((end, index) => {
        const piece = cut.slice(bounds[index], end);
        expect(piece.length).toBeGreaterThan(0);
        expect(piece.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0n)).toBeLessThanOrEqual(PIECE_BYTES);
      });
      for (const { fileOffset, lengthBytes } of cutRuns(runs, 'fileOffset'))
        expect(fileOffset / PIECE_BYTES).toBe((fileOffset + lengthBytes - 1n) / PIECE_BYTES);
    }),
  );
});

test('it is a batch of its own', () => {
  const program = new ProgramBuilder();
  program.call('getpid', []);
  program.pagesTogether(4, [{ addr: MEMORY, lengthBytes: PAGE, fileOffset: 0n }], 3);
  program.call('getpid', []);
  const arena = Buffer.alloc(4096);
  const counts = [0, 1, 2].map((start) => encodeBatch(program.instructions, start, arena, arena.length).count);
  expect(counts).toEqual([1, 1, 1]);
  expect(program.text()[1]).toMatch(/^pages_together\(4, /);
});

/** The file holds pages full of words that tell which page it is, in a seeded order. */
const contents = Buffer.alloc(SIZE);
for (let page = 0; page < PAGES; page++)
  contents.fill(Buffer.from(new Uint32Array([page * 2654435761]).buffer), page * 4096, (page + 1) * 4096);

function memory(pid: number): Buffer {
  const bytes = Buffer.alloc(SIZE);
  const mem = openSync(`/proc/${pid}/mem`, 'r');
  try {
    preadFull(mem, bytes, MEMORY);
  } finally {
    closeSync(mem);
  }
  return bytes;
}

function withTask(action: (stub: StubTask, descriptor: number) => void): void {
  writeFileSync(file, contents);
  const descriptor = openSync(file, 'r+');
  const stub = launchStub({ pid: 0, flags: 0n, area, doorbellNumber: 50 });
  try {
    action(stub, descriptor);
  } finally {
    rawSyscall('kill', stub.hostPid, 9);
    waitPid(stub.hostPid);
    stub.close();
    closeSync(descriptor);
    rmSync(file, { force: true });
  }
}

function transfer(stub: StubTask, descriptor: number, runs: readonly PageRun[], help: (run: Run) => void, prot = 3) {
  const program = new ProgramBuilder();
  program.call('mmap', [MEMORY, SIZE, prot, 0x10_0022, -1, 0]);
  program.moveFd(program.receiveFd(descriptor), 60, true);
  const result = program.pagesTogether(60, cutRuns(runs), descriptor);
  program.call('close', [60]);
  runTogether([{ task: stub.task, program }], ([run]) => help(run!));
  return result.value;
}

/** Every third page is left out; runs of one to seven pages. */
function scattered(): PageRun[] {
  const runs: PageRun[] = [];
  for (let page = 0, length = 1; page + length <= PAGES; page += length + 1, length = (length % 7) + 1)
    runs.push({
      addr: MEMORY + BigInt(page) * PAGE,
      lengthBytes: BigInt(length) * PAGE,
      fileOffset: BigInt(page) * PAGE,
    });
  return runs;
}

function expected(runs: readonly PageRun[]): Buffer {
  const bytes = Buffer.alloc(SIZE);
  for (const { addr, lengthBytes, fileOffset } of runs) {
    const at = Number(addr - MEMORY);
    contents.copy(bytes, at, Number(fileOffset), Number(fileOffset + lengthBytes));
  }
  return bytes;
}

const whole = [{ addr: MEMORY, lengthBytes: BigInt(SIZE), fileOffset: 0n }];
/** The file is not in the order of the memory. */
const swapped = [
  { addr: MEMORY, lengthBytes: 3000n * PAGE, fileOffset: 3000n * PAGE },
  { addr: MEMORY + 3000n * PAGE, lengthBytes: 3000n * PAGE, fileOffset: 0n },
];

test.each([
  ['in one stretch', whole],
  ['in two that the file has the other way round', swapped],
  ['scattered', scattered()],
])('memory %s is the same, byte for byte, whoever reads it', (_, runs) => {
  const bytes = runs.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0n);
  const helps: ((run: Run) => void)[] = [
    () => undefined,
    ({ transfer: shared }) => shared?.help(1, 1000),
    ({ transfer: shared }) => shared?.help(3, 2),
  ];
  for (const help of helps)
    withTask((stub, descriptor) => {
      expect(transfer(stub, descriptor, runs, help)).toBeLessThanOrEqual(bytes);
      expect(memory(stub.hostPid).equals(expected(runs))).toBe(true);
    });
});

test('the engine can do all of it while the task stands still', () => {
  withTask((stub, descriptor) => {
    const program = new ProgramBuilder();
    program.call('mmap', [MEMORY, SIZE, 3, 0x10_0022, -1, 0]);
    program.moveFd(program.receiveFd(descriptor), 60, true);
    const result = program.pagesTogether(60, cutRuns(whole), descriptor);
    const run = stub.task.begin(program);
    run.send();
    run.receive();
    rawSyscall('kill', stub.hostPid, SIGSTOP);
    while (!/^State:\s+T/m.test(readFileSync(`/proc/${stub.hostPid}/status`, 'utf8')));
    run.send();
    const shared = run.transfer!;
    const counts = [shared.count, shared.left];
    shared.help(1, 4);
    counts.push(shared.left);
    shared.help(3, 4);
    counts.push(shared.left);
    expect(counts).toEqual([6, 6, 2, 0]);
    rawSyscall('kill', stub.hostPid, SIGCONT);
    run.receive();
    expect(result.value).toBe(0n);
    expect(memory(stub.hostPid).equals(contents)).toBe(true);
  });
});

test('what the engine cannot write the agent reads', () => {
  // Not writable for anybody else, and neither for the agent.
  withTask((stub, descriptor) => {
    const attempt = () =>
      transfer(
        stub,
        descriptor,
        whole,
        ({ transfer: shared }) => {
          shared?.help(2, 1000);
        },
        1,
      );
    expect(attempt).toThrow(expect.objectContaining({ errno: 'EFAULT', pid: stub.hostPid }));
  });
  // A descriptor of the engine that is another file than the agent's: too short for the mapping, so that it fails at each piece.
  withTask((stub, descriptor) => {
    const empty = openSync('/dev/null', 'r');
    try {
      const program = new ProgramBuilder();
      program.call('mmap', [MEMORY, SIZE, 3, 0x10_0022, -1, 0]);
      program.moveFd(program.receiveFd(descriptor), 60, true);
      program.pagesTogether(60, cutRuns(whole), empty);
      let tried = 0;
      runTogether([{ task: stub.task, program }], ([run]) => {
        run!.transfer?.help(2, 1000);
        tried += run!.transfer?.leftOver.length ?? 0;
      });
      expect(tried).toBeGreaterThan(0);
      expect(memory(stub.hostPid).equals(contents)).toBe(true);
    } finally {
      closeSync(empty);
    }
  });
});

test('a file that has become shorter is an error, and no signal', () => {
  withTask((stub, descriptor) => {
    ftruncateSync(descriptor, SIZE / 2);
    const attempt = () => transfer(stub, descriptor, whole, ({ transfer: shared }) => shared?.help(2, 1000));
    expect(attempt).toThrow(expect.objectContaining({ errno: 'ENODATA', pid: stub.hostPid }));
  });
});

/** The task has the contents in its memory, and runs of it go to a file of zeros, which `help` may take part in. */
function store(stub: StubTask, target: number, runs: readonly PageRun[], help: (run: Run) => void): bigint {
  const descriptor = openSync(file, 'r');
  try {
    const program = new ProgramBuilder();
    program.call('mmap', [MEMORY, SIZE, 3, 0x10_0022, -1, 0]);
    program.moveFd(program.receiveFd(descriptor), 60, true);
    program.pagesFromFile(60, whole);
    program.moveFd(program.receiveFd(target), 61, true);
    const result = program.pagesToFile(61, cutRuns(runs, 'fileOffset'), {}, target);
    program.call('close', [61]);
    runTogether([{ task: stub.task, program }], ([run]) => help(run!));
    return result.value;
  } finally {
    closeSync(descriptor);
  }
}

test.each([
  ['in one stretch', whole],
  ['in two that the file has the other way round', swapped],
  ['scattered', scattered()],
])('a file has memory %s, byte for byte, and not a block more, whoever writes it', (_, runs) => {
  const bytes = runs.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0n);
  const wanted = Buffer.alloc(SIZE);
  for (const { addr, lengthBytes, fileOffset } of runs)
    contents.copy(wanted, Number(fileOffset), Number(addr - MEMORY), Number(addr - MEMORY + lengthBytes));
  const helps: [boolean, (run: Run) => void][] = [
    [false, () => undefined],
    [true, ({ transfer: shared }) => shared?.help(1, 2)],
    [true, ({ transfer: shared }) => shared?.help(3, 1000)],
  ];
  for (const [helped, help] of helps)
    withTask((stub) => {
      const path = `${file}.stored`;
      const target = openSync(path, 'w+');
      try {
        preallocate(target, BigInt(SIZE));
        const written = store(stub, target, runs, help);
        expect(helped ? written <= bytes : written === bytes).toBe(true);
        const { size, blocks } = fstatSync(target);
        expect([size, blocks * 512 < SIZE + 64 * 1024]).toEqual([SIZE, true]);
        expect(readFileSync(path).equals(wanted)).toBe(true);
      } finally {
        closeSync(target);
        rmSync(path);
      }
    });
});

test('a disk that is full, or a file that may not be mapped, is an error of the agent, and no signal', () => {
  withTask((stub) => {
    const target = onSmallDisk();
    try {
      ftruncateSync(target, SIZE);
      let failed = 0;
      const attempt = () =>
        store(stub, target, whole, ({ transfer: shared }) => {
          shared?.help(1, 1000);
          failed += shared?.leftOver.length ?? 0;
        });
      expect(attempt).toThrow(expect.objectContaining({ errno: 'ENOSPC', pid: stub.hostPid }));
      expect(failed).toBeLessThanOrEqual(1);
    } finally {
      closeSync(target);
    }
  });
  withTask((stub) => {
    const path = `${file}.stored`;
    const target = openSync(path, 'w');
    try {
      preallocate(target, BigInt(SIZE));
      expect(store(stub, target, whole, ({ transfer: shared }) => shared?.help(2, 1000))).toBeLessThan(BigInt(SIZE));
      expect(readFileSync(path).equals(contents)).toBe(true);
    } finally {
      closeSync(target);
      rmSync(path);
    }
  });
});

/** A file on a tmpfs of two pieces that is mounted nowhere. */
function onSmallDisk(): number {
  const [SET_STRING, CREATE] = [1, 6];
  const context = syscall('fsopen', cPath('tmpfs'), 0);
  syscall('fsconfig', context, SET_STRING, cPath('size'), cPath('8m'), 0);
  syscall('fsconfig', context, CREATE, null, null, 0);
  const mount = syscall('fsmount', context, 0, 0);
  syscall('close', context);
  const target = syscall('openat', mount, cPath('file'), 0o102, 0o600);
  syscall('close', mount);
  return target;
}
