import { readFileSync } from 'node:fs';
import type { EventpollFileEntry, EventpollTfdEntry } from '@crts/image-io';
import { closeFd, ProgramBuilder, syscall } from '@crts/native-syscalls';
import type { FdDumpContext, FdFacts, FdFinishContext, FdPlanContext, FileRecord, FrozenTask } from '@crts/plugin-api';
import { parseWatched } from './fdinfo';
import { epollHandler } from './handler';

const fown = { uid: 0, euid: 0, signum: 0, pid_type: 0, pid: 0 };
const EPOLLIN = 1;
const EPOLLONESHOT = 0x4000_0000;

test('registrations as fdinfo prints them', () => {
  const text = `pos:\t0
flags:\t02
mnt_id:\t15
ino:\t1062
tfd:        4 events:       19 data:                4  pos:0 ino:2f3 sdev:f
tfd:        5 events: c0000000 data: ffffffffffffffff  pos:10 ino:426 sdev:10
tfd:        4 events: 80000019 data:               7f  pos:-1 ino:426 sdev:800001
`;
  const common = { pos: 0n, ino: 0x2f3n, dev: 0xf };
  expect(parseWatched(text)).toEqual([
    { number: 4, events: 0x19, data: 4n, ...common, rank: 0 },
    { number: 5, events: 0xc0000000, data: 2n ** 64n - 1n, pos: 10n, ino: 0x426n, dev: 0x10, rank: 0 },
    { number: 4, events: 0x80000019, data: 0x7fn, pos: -1n, ino: 0x426n, dev: 0x800001, rank: 1 },
  ]);
  expect(parseWatched('pos:\t0\n')).toEqual([]);
});

describe('dump', () => {
  const open: number[] = [];
  const keep = (fd: number) => {
    open.push(fd);
    return fd;
  };
  const self = { hostPid: process.pid, pid: 12 } as unknown as FrozenTask;
  const add = (epoll: number, fd: number, events: number) => {
    const event = Buffer.alloc(12);
    event.writeUInt32LE(events, 0);
    event.writeBigUInt64LE(BigInt(fd), 4);
    syscall('epoll_ctl', epoll, 1, fd, event);
  };
  const facts = (fd: number): FdFacts =>
    ({
      pid: 12,
      fd,
      local: fd,
      link: 'anon_inode:[eventpoll]',
      flags: 2,
      fdinfo: readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'),
    }) as FdFacts;
  const eventfd = (count = 0) => keep(syscall('eventfd2', count, 0o2000000));
  const epollCreate = () => keep(syscall('epoll_create1', 0o2000000));
  const close = (fd: number) => closeFd(open.splice(open.indexOf(fd), 1)[0]!);

  const contextOf = (descriptors: readonly object[], after: (() => void)[]) => ({
    id: 7,
    fown,
    task: self,
    descriptors,
    inFlight: [],
    afterAll: (action: () => void) => after.push(action),
  });

  /** What this process has open, under the ids given, is the tree. */
  function dump(epoll: number, ids: Record<number, number>): EventpollFileEntry {
    const after: (() => void)[] = [];
    const descriptors = Object.entries(ids).map(([fd, id]) => ({
      task: self,
      fd: Number(fd),
      id,
      facts: facts(Number(fd)),
    }));
    const context = contextOf(descriptors, after);
    const record = epollHandler.dump(facts(epoll), context as unknown as FdDumpContext);
    for (const action of after) action();
    return record.value as unknown as EventpollFileEntry;
  }
  afterEach(() => {
    for (const fd of open.splice(0)) closeFd(fd);
  });

  test('a target under its own number', () => {
    const [epoll, target] = [epollCreate(), eventfd()];
    add(epoll, target, EPOLLIN);
    const { tfd, ...rest } = dump(epoll, { [epoll]: 7, [target]: 8 });
    expect(rest).toEqual({ id: 7, flags: 2, fown });
    expect(tfd).toEqual([expect.objectContaining({ id: 7, tfd: target, events: 0x19, data: BigInt(target), pos: 0n })]);
    expect(tfd[0]).not.toHaveProperty('crts_number');
  });

  test('one that has been moved away, while its number went to another; of two that were registered under one number', () => {
    const [epoll, first, second] = [epollCreate(), eventfd(), eventfd()];
    const third = eventfd();
    add(epoll, first, EPOLLIN);
    const moved = keep(syscall('fcntl', first, 1030, 0));
    // The number now is the second's, which is registered under it too.
    syscall('dup3', second, first, 0o2000000);
    add(epoll, first, EPOLLIN);
    const { tfd } = dump(epoll, { [epoll]: 7, [first]: 9, [second]: 9, [third]: 10, [moved]: 8 });
    const numbers = tfd.map(({ tfd: number, crts_number }) => [number, crts_number]);
    expect(numbers.sort()).toEqual(
      [
        [first, undefined],
        [moved, first],
      ].sort(),
    );
  });

  test('one that only another task has', () => {
    const [epoll, target] = [epollCreate(), eventfd()];
    add(epoll, target, EPOLLIN);
    const moved = keep(syscall('fcntl', target, 1030, 0));
    close(target);
    const after: (() => void)[] = [];
    const other = { ...self } as FrozenTask;
    const descriptors = [{ task: other, fd: moved, id: 8, facts: facts(moved) }];
    const context = contextOf(descriptors, after);
    const record = epollHandler.dump(facts(epoll), context as unknown as FdDumpContext);
    for (const action of after) action();
    expect((record.value as unknown as EventpollFileEntry).tfd).toEqual([
      expect.objectContaining({ tfd: 0xffffffff, crts_number: target, crts_file: 8 }),
    ]);
  });

  test('one that nobody has is refused', () => {
    const [epoll, target] = [epollCreate(), eventfd()];
    add(epoll, target, EPOLLIN);
    const moved = keep(syscall('fcntl', target, 1030, 0));
    close(target);
    expect(moved).not.toBe(target);
    expect(() => dump(epoll, { [epoll]: 7 })).toThrow(
      expect.objectContaining({ code: 'CRTS_EPOLL_FOREIGN', kind: 'refused', pid: 12, fd: epoll }),
    );
  });

  test('a one-shot that has fired keeps what its file is ready for', () => {
    const [epoll, ready, idle] = [epollCreate(), eventfd(1), epollCreate()];
    add(epoll, ready, EPOLLIN | EPOLLONESHOT);
    add(epoll, idle, EPOLLIN | EPOLLONESHOT);
    expect(syscall('epoll_wait', epoll, Buffer.alloc(120), 10, 0)).toBe(1);
    const { tfd } = dump(epoll, { [epoll]: 7, [ready]: 8, [idle]: 9 });
    const fired = new Map(tfd.map((entry) => [entry.tfd, [entry.events, entry.crts_fired]]));
    expect(fired.get(ready)).toEqual([0x40000000, 0x5]);
    expect(fired.get(idle)).toEqual([0x40000019, undefined]);
  });
});

const watch = (more: Partial<EventpollTfdEntry>): EventpollTfdEntry => ({
  id: 7,
  tfd: 4,
  events: 0x19,
  data: 4n,
  ...more,
});
const record = (tfd: EventpollTfdEntry[], more: Partial<EventpollFileEntry> = {}): FileRecord => ({
  type: 7,
  field: 'epfd',
  value: { id: 7, flags: 2, fown, tfd, ...more },
});

function finish(...tfd: EventpollTfdEntry[]): string[] {
  const program = new ProgramBuilder();
  const context = {
    numbers: new Map([
      [4, { id: 1, cloexec: true }],
      [5, { id: 2, cloexec: false }],
    ]),
    spare: 100,
    scratch: 99,
    borrow: (_program: unknown, id: number) => (id === 8 ? program.call('fcntl', [id, 1030, 100]) : undefined),
  } as unknown as FdFinishContext;
  epollHandler.collect!(record(tfd), {} as FdPlanContext);
  epollHandler.finish!(record(tfd), 3, program, context);
  return program.text();
}

test('made, with its flags and parameters', () => {
  const program = new ProgramBuilder();
  const entry = record([], { flags: 0o4002, crts_params: Buffer.from('0100000002000000', 'hex') });
  epollHandler.plan(entry, program, {} as FdPlanContext);
  expect(program.text()).toEqual([
    'epoll_create1(0x80000)',
    'ioctl($0, 0x40088a01, &<0100000002000000>)',
    'fcntl($0, 4, 2048)',
  ]);
});

test('watched under the number that it has', () => {
  expect(finish(watch({ events: 0x80000019, data: 0x1122n }))).toEqual([
    'epoll_ctl(3, 1, 4, &<190000802211000000000000>)',
  ]);
});

test('watched under the number that another has now, or nobody', () => {
  expect(finish(watch({ tfd: 5, crts_number: 4 }), watch({ tfd: 5, crts_number: 40 }))).toEqual([
    'fcntl(4, 1030, 100)',
    'dup3(5, 4, 0x80000)',
    'epoll_ctl(3, 1, 4, &<190000000400000000000000>)',
    'dup3($0, 4, 0x80000)',
    'close($0)',
    'dup3(5, 40, 0x80000)',
    'epoll_ctl(3, 1, 40, &<190000000400000000000000>)',
    'close(40)',
  ]);
  const entry = record([watch({}), watch({ tfd: 5, crts_number: 40 })]);
  expect(epollHandler.highestNumber!(entry)).toBe(40);
  expect(epollHandler.highestNumber!(record([watch({})]))).toBe(-1);
});

test('watched in another task', () => {
  expect(finish(watch({ tfd: 0xffffffff, crts_number: 40, crts_file: 8 }))).toEqual([
    'fcntl(8, 1030, 100)',
    'dup3($0, 40, 0x80000)',
    'epoll_ctl(3, 1, 40, &<190000000400000000000000>)',
    'close(40)',
    'close($0)',
  ]);
});

test('one-shots that have fired fire again before others are watched', () => {
  const fired = watch({ events: 0x40000000, crts_fired: 5 });
  expect(finish(watch({ tfd: 5 }), fired, watch({ events: 0x40000000, crts_fired: 0 }))).toEqual([
    'epoll_ctl(3, 1, 4, &<050000400400000000000000>)',
    'epoll_wait(3, &out<12>, 1, 0)',
    'epoll_ctl(3, 1, 5, &<190000000400000000000000>)',
    'epoll_ctl(3, 1, 4, &<000000400400000000000000>)',
  ]);
});

test.each([
  ['a number that none is', record([watch({ tfd: 2 ** 31 })]), 'CRTS_IMAGE_FIELD'],
  ['a registered number that none is', record([watch({ crts_number: 2 ** 31 })]), 'CRTS_IMAGE_FIELD'],
  ['parameters of another size', record([], { crts_params: Buffer.alloc(9) }), 'CRTS_IMAGE_FIELD'],
])('an image with %s is refused', (_what, entry, code) => {
  expect(() => epollHandler.collect!(entry, {} as FdPlanContext)).toThrow(expect.objectContaining({ code }));
});

test('an image that watches a file of nobody is refused', () => {
  expect(() => finish(watch({ crts_number: 40, crts_file: 9 }))).toThrow(
    expect.objectContaining({ code: 'CRTS_IMAGE_REFERENCE' }),
  );
});
