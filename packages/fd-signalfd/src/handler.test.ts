import type { SignalfdEntry } from '@crts/image-io';
import { ProgramBuilder } from '@crts/native-syscalls';
import type { FdDumpContext, FdFacts, FdPlanContext, FileRecord } from '@crts/plugin-api';
import { signalfdHandler } from './handler';

const fown = { uid: 0, euid: 0, signum: 0, pid_type: 0, pid: 0 };
const context = { id: 7, fown } as unknown as FdDumpContext;
/** cat /proc/PID/fdinfo/FD of a signalfd for SIGUSR1 and signal 64 on Linux 6.18. */
const FDINFO = 'pos:\t0\nflags:\t02004002\nmnt_id:\t15\nino:\t1062\nsigmask:\t8000000000000200\n';
const fd = (more: Partial<FdFacts> = {}): FdFacts =>
  ({ pid: 12, fd: 3, link: 'anon_inode:[signalfd]', flags: 0o4002, fdinfo: FDINFO, ...more }) as FdFacts;
const record = (more: Partial<SignalfdEntry> = {}): FileRecord => ({
  type: 9,
  field: 'sgfd',
  value: { id: 7, flags: 0o4002, fown, sigmask: 0x8000000000000200n, ...more },
});
const plan = (more: Partial<SignalfdEntry>): string[] => {
  const program = new ProgramBuilder();
  signalfdHandler.plan(record(more), program, {} as FdPlanContext);
  return program.text();
};

test('signalfds are matched, other anonymous inodes are not', () => {
  expect(signalfdHandler.match(fd())).toBe(10);
  expect(signalfdHandler.match(fd({ link: 'anon_inode:[eventfd]' }))).toBe(0);
});

test('the set of fdinfo', () => {
  expect(signalfdHandler.dump(fd(), context)).toEqual(record());
  expect(() => signalfdHandler.dump(fd({ fdinfo: 'pos:\t0\n' }), context)).toThrow(
    expect.objectContaining({ code: 'CRTS_FDINFO', kind: 'refused', pid: 12, fd: 3 }),
  );
});

test('made with one call; flags that it does not take are set', () => {
  expect(plan({})).toEqual(['signalfd4(-1, &<0002000000000080>, 8, 2048)']);
  expect(plan({ flags: 0o2002, sigmask: 1n })).toEqual([
    'signalfd4(-1, &<0100000000000000>, 8, 0)',
    'fcntl($0, 4, 1024)',
  ]);
});
