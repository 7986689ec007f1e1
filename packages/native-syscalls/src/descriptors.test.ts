import { closeSync, constants, fstatSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { visitDescriptors } from './descriptors';
import { readSmallFile } from './files';
import { pidfdOpen } from './process';
import { rawSyscall, syscall } from './syscall';

const directory = mkdtempSync(join(tmpdir(), 'crts-descriptors-'));
const opened: number[] = [];
const open = (name: string, flags = constants.O_RDWR | constants.O_CREAT) => {
  const fd = openSync(join(directory, name), flags, 0o640);
  opened.push(fd);
  return fd;
};
afterAll(() => {
  for (const fd of opened) closeSync(fd);
  rmSync(directory, { recursive: true });
});

test('descriptors as fstat, readlink, fdinfo and fcntl show them', () => {
  const fd = open('file');
  writeFileSync(join(directory, 'file'), 'five5');
  syscall('lseek', fd, 3, 0);
  syscall('fcntl', fd, 8 /* F_SETOWN */, process.pid);
  syscall('fcntl', fd, 10 /* F_SETSIG */, 12);
  const path = open('file', 0o10000000 /* O_PATH */);
  const [first, second] = visitDescriptors(process.pid, undefined, [fd, path], (described) => described);
  const stat = fstatSync(fd, { bigint: true });
  expect(first).toMatchObject({
    fd,
    local: fd,
    mode: Number(stat.mode),
    ino: stat.ino,
    dev: stat.dev,
    nlink: 1n,
    sizeBytes: 5n,
    owner: { type: 1, pid: process.pid, signal: 12, uid: process.getuid!(), euid: process.geteuid!() },
  });
  expect(first!.link.toString()).toBe(join(directory, 'file'));
  expect(first!.fdinfo).toMatch(/^pos:\t3\nflags:\t\d+\nmnt_id:\t\d+\n/);
  expect(second).toMatchObject({ fd: path, ino: stat.ino, owner: { type: 0, pid: 0, signal: 0 } });
});

test('more than fit into one call, in order; duplicates are open while they are looked at and closed after', () => {
  const pidfd = pidfdOpen(process.pid);
  try {
    const fds = Array.from({ length: 200 }, (_, index) => open(`many-${index}`));
    const locals = visitDescriptors(process.pid, pidfd, fds, ({ fd, local, link }) => {
      expect(link.toString()).toBe(join(directory, `many-${fds.indexOf(fd)}`));
      expect(local).not.toBe(fd);
      expect(syscall('kcmp', process.pid, process.pid, 0, fd, local)).toBe(0);
      return local;
    });
    expect(locals).toHaveLength(200);
    for (const local of locals) expect(fds.includes(local) || rawSyscall('fcntl', local, 1) === -9).toBe(true);
  } finally {
    syscall('close', pidfd);
  }
});

test('a record that is larger than the buffer', () => {
  const epoll = syscall('epoll_create1', 0);
  opened.push(epoll);
  const event = Buffer.alloc(12);
  event.writeUInt32LE(1, 0);
  for (let count = 0; count < 4000; count++) {
    const eventfd = syscall('eventfd2', 0, 0);
    opened.push(eventfd);
    syscall('epoll_ctl', epoll, 1, eventfd, event);
  }
  const [text] = visitDescriptors(process.pid, undefined, [epoll], ({ fdinfo }) => fdinfo);
  expect(text!.match(/^tfd:/gm)).toHaveLength(4000);
  expect(readSmallFile(`/proc/self/fdinfo/${epoll}`).toString()).toBe(text);
});

test('what is not open is named, and nothing stays open', () => {
  const fd = open('named');
  const pidfd = pidfdOpen(process.pid);
  const count = () => visitDescriptors(process.pid, undefined, [pidfd], () => 0).length;
  try {
    expect(() => visitDescriptors(process.pid, pidfd, [fd, 99_999], count)).toThrow(
      expect.objectContaining({ errno: 'EBADF', path: `/proc/${process.pid}/fd/99999` }),
    );
    const next = openSync('/dev/null', 'r');
    closeSync(next);
    expect(() => visitDescriptors(process.pid, pidfd, [fd, 99_999], count)).toThrow();
    const again = openSync('/dev/null', 'r');
    closeSync(again);
    expect(again).toBe(next);
  } finally {
    syscall('close', pidfd);
  }
});

test('files of /proc whole; errors name the path', () => {
  expect(readSmallFile('/proc/self/comm').toString()).toBe(`${readSmallFile('/proc/self/comm')}`);
  expect(readSmallFile('/proc/self/stat').toString()).toMatch(new RegExp(`^${process.pid} \\(`));
  expect(() => readSmallFile('/proc/self/none')).toThrow(
    expect.objectContaining({ errno: 'ENOENT', path: '/proc/self/none' }),
  );
});

test('a limit on open files makes smaller batches', () => {
  const fds = Array.from({ length: 100 }, (_, index) => open(`few-${index}`));
  const pidfd = pidfdOpen(process.pid);
  const limit = Buffer.alloc(16);
  syscall('prlimit64', 0, 7 /* RLIMIT_NOFILE */, null, limit);
  const few = Buffer.from(limit);
  const next = openSync('/dev/null', 'r');
  closeSync(next);
  few.writeBigUInt64LE(BigInt(next + 6), 0);
  try {
    syscall('prlimit64', 0, 7, few, null);
    expect(visitDescriptors(process.pid, pidfd, fds, ({ fd }) => fd)).toEqual(fds);
  } finally {
    syscall('prlimit64', 0, 7, limit, null);
    syscall('close', pidfd);
  }
});
