import { closeSync, openSync } from 'node:fs';
import { ProgramBuilder } from '@crts/native-syscalls';
import { CrtsError, type PageRun, type PageSource } from '@crts/plugin-api';
import { HeldObjects } from './held-objects';

const contents = (...runs: PageRun[]) =>
  new HeldObjects(
    () =>
      ({
        files: [30],
        names: ['pages-1.img'],
        lazy: [],
        lazyWithParents: [],
        runs: () => runs.map((run) => ({ ...run, file: 0 })),
        read: () => undefined,
      }) as PageSource,
  );

test('an object is made when it is first taken, and once; it is closed in the end', () => {
  const objects = contents();
  let made = 0;
  const make = () => {
    made += 1;
    return openSync('/dev/null', 'r');
  };
  const held = objects.hold('one', make);
  expect(made).toBe(0);
  const fd = held.take();
  held.sent();
  expect(objects.hold('one', make).take()).toBe(fd);
  expect(made).toBe(1);
  objects.close();
  expect(() => closeSync(fd)).toThrow(/EBADF/);
});

test('what outlives a descriptor is taken back when the restore fails, if it was made', () => {
  const objects = contents();
  const undone: string[] = [];
  const make = () => openSync('/dev/null', 'r');
  objects.hold('made', make, () => undone.push('made')).take();
  objects.hold('not made', make, () => undone.push('not made'));
  const broken = () => {
    throw new Error('this one cannot be undone');
  };
  objects.hold('broken', make, broken).take();
  objects.hold('last', make, () => undone.push('last')).take();
  const cause = new CrtsError({ code: 'CRTS_X', what: 'the first cause' });
  objects.undo(cause);
  expect(cause.cleanup).toEqual([expect.objectContaining({ message: 'this one cannot be undone' })]);
  objects.close();
  expect(undone).toEqual(['made', 'last']);
});

test('one taker: the engine has its descriptor until it is sent', () => {
  const objects = contents();
  const lent = objects.lend(() => openSync('/dev/null', 'r'));
  const fd = lent.take();
  lent.sent();
  expect(() => closeSync(fd)).toThrow(/EBADF/);
  const unsent = objects.lend(() => openSync('/dev/null', 'r')).take();
  objects.close();
  expect(() => closeSync(unsent)).toThrow(/EBADF/);
});

test('the first is told apart', () => {
  const objects = contents();
  expect([objects.first('a'), objects.first('b'), objects.first('a')]).toEqual([true, true, false]);
});

test('contents are copied run by run, large ones in pieces', () => {
  const program = new ProgramBuilder();
  const objects = contents(
    { addr: 0x1000n, lengthBytes: 4096n, fileOffset: 0n },
    { addr: 1n << 40n, lengthBytes: (1n << 30n) + 3n, fileOffset: 4096n },
  );
  objects.fill(program, 9, 7, 1n << 50n);
  expect(program.text()).toEqual([
    'receive_fd(engine fd 30)',
    'lseek(9, 0x1000, 0)',
    'lseek($0, 0, 0)',
    'sendfile(9, $0, NULL, 0x1000) = 4096',
    'lseek(9, 0x10000000000, 0)',
    'lseek($0, 0x1000, 0)',
    'sendfile(9, $0, NULL, 0x40000000) = 1073741824',
    'sendfile(9, $0, NULL, 3) = 3',
    'close($0)',
  ]);
});

test('a file of huge pages is mapped page by page, wherever there is room', () => {
  const program = new ProgramBuilder();
  const objects = contents(
    { addr: 0x1000n, lengthBytes: 4096n, fileOffset: 0n },
    { addr: 0x1ff000n, lengthBytes: 8192n, fileOffset: 4096n },
    { addr: 1n << 40n, lengthBytes: 4096n, fileOffset: 12288n },
  );
  objects.fill(program, 9, 7, 1n << 50n, 2n << 20n);
  expect(program.text()).toEqual([
    'receive_fd(engine fd 30)',
    'mmap(0, 0x400000, 3, 0x4001, 9, 0)',
    'pread64($0, $1+0x1000, 0x1000, 0) = 4096',
    'pread64($0, $1+0x1ff000, 0x2000, 0x1000) = 8192',
    'munmap($1, 0x400000)',
    'mmap(0, 0x200000, 3, 0x4001, 9, 0x10000000000)',
    'pread64($0, $5+0x0, 0x1000, 0x3000) = 4096',
    'munmap($5, 0x200000)',
    'close($0)',
  ]);
});

test('nothing is asked of an object without size or pages', () => {
  const program = new ProgramBuilder();
  contents().fill(program, 9, 7, 4096n);
  new HeldObjects(() => {
    throw new Error('asked');
  }).fill(program, 9, 7, 0n);
  expect(program.text()).toEqual([]);
});
