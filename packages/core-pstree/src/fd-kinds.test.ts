import { noFdHandler } from './errors';
import { fdKind } from './fd-kinds';

const device = (major: bigint, minor: bigint) => (major << 8n) | (minor & 0xffn) | ((minor & ~0xffn) << 12n);

test.each([
  ['anon_inode:[io_uring]', 0o600, 0n, 'io_uring', undefined],
  ['anon_inode:[perf_event]', 0o600, 0n, 'performance event', undefined],
  ['anon_inode:[userfaultfd]', 0o600, 0n, 'userfaultfd', undefined],
  ['anon_inode:bpf-map', 0o600, 0n, 'BPF map', undefined],
  ['anon_inode:bpf-prog', 0o600, 0n, 'BPF program', undefined],
  ['anon_inode:kvm-vm', 0o600, 0n, 'KVM virtual machine', undefined],
  ['anon_inode:[timerfd]', 0o600, 0n, 'timer', 'fd-timerfd'],
  ['anon_inode:[brand-new]', 0o600, 0n, 'anonymous inode brand-new', undefined],
  ['/memfd:x', 0o100777, 0n, 'memfd', 'fd-memfd'],
  ['pipe:[12]', 0o010600, 0n, 'pipe', 'fd-pipe'],
  ['/tmp/fifo', 0o010600, 0n, 'FIFO', undefined],
  ['socket:[12]', 0o140777, 0n, 'socket', 'fd-unix'],
  ['net:[4026531840]', 0o100444, 0n, 'namespace', undefined],
  ['/dev/dri/card0', 0o020660, device(226n, 0n), 'GPU (DRI)', undefined],
  ['/dev/kvm', 0o020660, device(10n, 232n), 'KVM', undefined],
  ['/dev/other', 0o020660, device(240n, 700n), 'character device 240:700', undefined],
  ['/dev/sda', 0o060660, device(8n, 0n), 'block device', undefined],
])('%s', (link, mode, rdev, name, plugin) => {
  expect(fdKind({ link, mode, rdev })).toEqual(plugin === undefined ? { name } : { name, plugin });
});

test.each([
  [0x5345434dn, '/secretmem (deleted)', 'secret memory'],
  [0x19800202n, '/jobs', 'POSIX message queue'],
])('a file of file system %s', (fsType, link, name) => {
  expect(fdKind({ link, mode: 0o100600, rdev: 0n, fsType })).toEqual({ name });
});

test('the error names the kind, the descriptor, and a plugin that is left out', () => {
  const facts = { pid: 12, fd: 3, link: 'anon_inode:[io_uring]', mode: 0o600, rdev: 0n };
  expect(noFdHandler(facts)).toMatchObject({ code: 'CRTS_FD_KIND', kind: 'refused', pid: 12, fd: 3, path: facts.link });
  expect(noFdHandler(facts).message).toContain('(io_uring)');
  expect(noFdHandler({ ...facts, link: 'anon_inode:[timerfd]' }).hint).toContain('@crts/fd-timerfd');
  expect(noFdHandler(facts).hint).toContain('kernel.io_uring_disabled');
});
