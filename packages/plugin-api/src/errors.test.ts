import { readFileSync } from 'node:fs';
import { errnoHint } from './errno-hints';
import { CrtsError, systemError } from './errors';

test('an error of another copy of this package is one of crts, and of no class below', () => {
  let other: typeof import('./errors') | undefined;
  jest.isolateModules(() => {
    other = require('./errors');
  });
  class Special extends CrtsError {}
  const foreign = new other!.CrtsError({ code: 'CRTS_X', what: 'x' });
  expect(other!.CrtsError).not.toBe(CrtsError);
  expect(foreign instanceof CrtsError).toBe(true);
  expect(foreign instanceof Special).toBe(false);
  expect(new Special({ code: 'CRTS_X', what: 'x' }) instanceof Special).toBe(true);
  for (const other of [undefined, null, 'CRTS_X', {}, new Error('x')]) expect(other instanceof CrtsError).toBe(false);
});

test('what a call of Node says keeps its facts', () => {
  let error: unknown;
  try {
    readFileSync('/proc/999999999/status');
  } catch (thrown) {
    error = thrown;
  }
  expect(systemError(error)).toMatchObject({
    code: 'CRTS_SYSCALL',
    pid: 999999999,
    path: '/proc/999999999/status',
    call: 'open',
    errno: 'ENOENT',
  });
  expect(systemError(new TypeError('x'))).toBeUndefined();
  expect(systemError(Object.assign(new Error('x'), { code: 'ERR_INVALID_ARG_TYPE' }))).toBeUndefined();
  expect(systemError('x')).toBeUndefined();
});

test.each([
  [{ errno: 'ENOSPC', call: 'write' }, 'Free space'],
  [{ errno: 'ENOSPC', call: 'inotify_add_watch(3, "/srv")' }, 'fs.inotify.max_user_watches'],
  [{ errno: 'EDQUOT', call: 'write' }, 'disk quota'],
  [{ errno: 'EROFS', call: 'open' }, 'read-only'],
  [{ errno: 'EACCES', call: 'open', path: '/srv/data' }, 'permissions of the path'],
  [{ errno: 'EACCES', call: 'open', path: '/proc/12/mem' }, 'CAP_SYS_PTRACE'],
  [{ errno: 'EPERM', call: 'openat', path: '/proc/12/map_files/1000-2000' }, 'CAP_CHECKPOINT_RESTORE'],
  [{ errno: 'EPERM', call: 'clone3(set_tid=12)' }, 'CAP_CHECKPOINT_RESTORE'],
  [{ errno: 'EPERM', call: 'kcmp(1, 2)' }, 'CAP_SYS_PTRACE'],
  [{ errno: 'EPERM', call: 'setgroups(0, &<00>)' }, 'CAP_SETGID'],
  [{ errno: 'EPERM', call: 'setresuid(1, 1, 1)' }, 'CAP_SETUID'],
  [{ errno: 'EPERM', call: 'setrlimit(7, x)' }, 'CAP_SYS_RESOURCE'],
  [{ errno: 'EPERM', call: 'unheard_of()' }, 'root'],
  [{ errno: 'EMFILE', call: 'open' }, 'ulimit -n'],
  [{ errno: 'ENFILE', call: 'open' }, 'fs.file-max'],
  [{ errno: 'ENOMEM', call: 'mmap(0, 4096)' }, 'vm.max_map_count'],
  [{ errno: 'ENOMEM', call: 'read' }, 'memory.max'],
  [{ errno: 'EMSGSIZE', call: 'sendmsg' }, 'net.core.wmem_max'],
  [{ errno: 'EAGAIN', call: 'clone3(x)' }, 'pids.max'],
  [{ errno: 'ESRCH', call: 'kill' }, 'ended meanwhile'],
  [{ errno: 'ENOSYS', call: 'clone3' }, 'crts check'],
  [{ errno: 'EIO', call: 'read' }, 'dmesg'],
  [{ errno: 'EFBIG', call: 'write' }, 'ulimit -f'],
  [{ errno: 'ETXTBSY', call: 'open' }, 'end that first'],
])('%j has a way on', (failure, text) => {
  expect(errnoHint(failure)).toContain(text);
});

test('nothing is said where nothing is known', () => {
  for (const failure of [
    {},
    { errno: 'EINVAL', call: 'ioctl' },
    { errno: 'EAGAIN', call: 'read' },
    { errno: 'result 3' },
  ])
    expect(errnoHint(failure)).toBeUndefined();
});
