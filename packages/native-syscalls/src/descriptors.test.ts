import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  mkdtempSync,
  openSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeName } from '@crts/plugin-api';
import { descriptorNumbers, SortedFiles, visitDescriptors, visitPath } from './descriptors';
import { identifyPath, readSmallFile } from './files';
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
  expect(first!.linkText).toBe(join(directory, 'file'));
  expect([first!.pos, first!.openFlags & 3, first!.hasOwner]).toEqual([3n, constants.O_RDWR, true]);
  expect(`mnt_id:\t${first!.mntId}`).toBe(/^mnt_id:.*$/m.exec(first!.fdinfo)![0]);
  expect(first!.fdinfo).toMatch(/^pos:\t3\nflags:\t\d+\nmnt_id:\t\d+\n/);
  expect(second).toMatchObject({ fd: path, ino: stat.ino, owner: { type: 0, pid: 0, signal: 0 } });
});

test('what is behind a path, opened by path only, and closed after', () => {
  const fd = open('behind');
  writeFileSync(join(directory, 'behind'), 'five5');
  const stat = fstatSync(fd, { bigint: true });
  const fdinfo = readSmallFile(`/proc/self/fdinfo/${fd}`).toString();
  const described = visitPath(`/proc/self/fd/${fd}`, (found) => {
    expect(syscall('fcntl', found.local, 3 /* F_GETFL */) & 0o10000000).toBe(0o10000000);
    expect(found.fd).toBe(found.local);
    return found;
  });
  expect(described).toMatchObject({
    mode: Number(stat.mode),
    ino: stat.ino,
    dev: stat.dev,
    sizeBytes: 5n,
    changeNs: stat.ctimeNs,
    linkText: join(directory, 'behind'),
  });
  expect(fdinfo).toMatch(`mnt_id:\t${described.mntId}\n`);
  expect(rawSyscall('fcntl', described.local, 1)).toBe(-9);
  expect(() => visitPath(join(directory, 'nothing'), () => 0)).toThrow(/open.*ENOENT/s);
});

test('the file that a name leads to', () => {
  const { dev, ino } = fstatSync(open('named'), { bigint: true });
  const link = join(directory, 'to-named');
  symlinkSync('named', link);
  expect(identifyPath(encodeName(link), true)).toEqual({ dev, ino });
  expect(identifyPath(encodeName(link), false)).toEqual({ dev, ino: lstatSync(link, { bigint: true }).ino });
  expect(identifyPath(encodeName(join(directory, 'nothing')), true)).toBe(-2);
});

test('more than fit into one call, in order; duplicates are open while they are looked at and closed after', () => {
  const pidfd = pidfdOpen(process.pid);
  try {
    const fds = Array.from({ length: 200 }, (_, index) => open(`many-${index}`));
    const locals = visitDescriptors(process.pid, pidfd, fds, ({ fd, local, linkText }) => {
      expect(linkText).toBe(join(directory, `many-${fds.indexOf(fd)}`));
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

test('what was seen can be looked at later', () => {
  const fds = Array.from({ length: 100 }, (_, index) => open(`later-${index}`));
  const seen = visitDescriptors(process.pid, undefined, fds, (described) => described);
  visitDescriptors(process.pid, undefined, [0, 1, 2], () => 0);
  seen.forEach(({ linkText, fdinfo, likeness }, index) => {
    expect(linkText).toBe(join(directory, `later-${index}`));
    expect(fdinfo).toContain('mnt_id:');
    expect(likeness).not.toBe(seen[(index + 1) % 100]!.likeness);
  });
});

test('a name that is no UTF-8 keeps its bytes', () => {
  const name = Buffer.from(`${directory}/\xff\u20ac`, 'latin1');
  const fd = openSync(name, constants.O_RDWR | constants.O_CREAT);
  opened.push(fd);
  const [text] = visitDescriptors(process.pid, undefined, [fd], ({ linkText }) => linkText);
  expect(encodeName(text!)).toEqual(name);
});

test('numbers of a table, and those of one kind', () => {
  const fds = Array.from({ length: 600 }, () => syscall('dup', open('numbers')));
  opened.push(...fds);
  const numbers = descriptorNumbers(process.pid);
  expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
  expect(numbers).toEqual(expect.arrayContaining(fds));
  const timer = syscall('timerfd_create', 1, 0);
  opened.push(timer);
  expect(descriptorNumbers(process.pid, 'timerfd')).toEqual([timer]);
  expect(descriptorNumbers(process.pid, 'nothing like this')).toEqual([]);
  expect(() => descriptorNumbers(2 ** 22 + 1)).toThrow(expect.objectContaining({ errno: 'ENOENT' }));
});

test('descriptions are found again by any descriptor of theirs', () => {
  const files = new SortedFiles();
  const fds = Array.from({ length: 50 }, () => open('sorted'));
  for (const [index, fd] of fds.entries()) {
    const place = files.find(process.pid, fd);
    expect(place).toBeLessThan(0);
    files.add(-1 - place, process.pid, fd, index, 7);
  }
  for (const [index, fd] of fds.entries()) {
    const other = syscall('dup', fd);
    opened.push(other);
    const place = files.find(process.pid, other);
    expect([files.first(place), files.second(place)]).toEqual([index, 7]);
  }
  expect(() => files.find(process.pid, 99_999)).toThrow(expect.objectContaining({ errno: 'EBADF' }));
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
