import type { EventfdFileEntry } from '@crts/image-io';
import { ProgramBuilder } from '@crts/native-syscalls';
import type { FdDumpContext, FdFacts, FdPlanContext, FileRecord } from '@crts/plugin-api';
import { eventfdHandler } from './handler';

const fown = { uid: 0, euid: 0, signum: 0, pid_type: 0, pid: 0 };
const context = { id: 7, fown } as unknown as FdDumpContext;
/** cat /proc/PID/fdinfo/FD of eventfd(0x1f, EFD_SEMAPHORE) on Linux 6.18. */
const FDINFO = `pos:\t0
flags:\t02000002
mnt_id:\t15
ino:\t1062
eventfd-count:               1f
eventfd-id: 3
eventfd-semaphore: 1
`;
const fd = (more: Partial<FdFacts> = {}): FdFacts =>
  ({ pid: 12, fd: 3, link: 'anon_inode:[eventfd]', flags: 2, fdinfo: FDINFO, ...more }) as FdFacts;
const record = (more: Partial<EventfdFileEntry> = {}): FileRecord => ({
  type: 6,
  field: 'efd',
  value: { id: 7, flags: 2, fown, counter: 0n, ...more },
});
const plan = (more: Partial<EventfdFileEntry>): string[] => {
  const program = new ProgramBuilder();
  eventfdHandler.plan(record(more), program, {} as FdPlanContext);
  return program.text();
};

test('event counters are matched, other anonymous inodes are not', () => {
  expect(eventfdHandler.match(fd())).toBe(10);
  expect(eventfdHandler.match(fd({ link: 'anon_inode:[timerfd]' }))).toBe(0);
});

test('the counter of fdinfo, in hex, and the semaphore', () => {
  expect(eventfdHandler.dump(fd(), context)).toEqual(record({ counter: 0x1fn, crts_semaphore: true }));
  const plain = fd({ fdinfo: FDINFO.replace('semaphore: 1', 'semaphore: 0'), flags: 0o4002 });
  expect(eventfdHandler.dump(plain, context)).toEqual(record({ counter: 0x1fn, flags: 0o4002 }));
});

test('a counter at its end, or that nobody tells, is refused', () => {
  const end = fd({ fdinfo: 'eventfd-count: ffffffffffffffff\n' });
  expect(() => eventfdHandler.dump(end, context)).toThrow(
    expect.objectContaining({ code: 'CRTS_EVENTFD_OVERFLOW', kind: 'refused', pid: 12, fd: 3 }),
  );
  expect(() => eventfdHandler.dump(fd({ fdinfo: 'pos:\t0\n' }), context)).toThrow(
    expect.objectContaining({ code: 'CRTS_FDINFO', kind: 'refused' }),
  );
});

test('an image that asks for more than a counter holds is refused', () => {
  expect(() => eventfdHandler.collect!(record({ counter: 2n ** 64n - 1n }), {} as FdPlanContext)).toThrow(
    expect.objectContaining({ code: 'CRTS_IMAGE_FIELD' }),
  );
  expect(() => eventfdHandler.collect!(record({ counter: 2n ** 64n - 2n }), {} as FdPlanContext)).not.toThrow();
});

test('made with one call; larger counts are written; flags that the call does not take are set', () => {
  expect(plan({ counter: 31n, crts_semaphore: true })).toEqual(['eventfd2(31, 1)']);
  expect(plan({ flags: 0o4002 })).toEqual(['eventfd2(0, 2048)']);
  expect(plan({ counter: 2n ** 64n - 2n })).toEqual(['eventfd2(0, 0)', 'write($0, &<feffffffffffffff>, 8) = 8']);
  expect(plan({ flags: 0o6002 })).toEqual(['eventfd2(0, 2048)', 'fcntl($0, 4, 3072)']);
});
