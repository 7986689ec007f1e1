import { fstatSync, readlinkSync } from 'node:fs';
import { rawSyscall, syscall } from '@crts/native-syscalls';
import { must } from '../harness/checkpointer';
import { Target } from '../harness/target';

const AF_INET = 2;
const SOCK_DGRAM_CLOEXEC = 2 | 0o2000000;
const DEVICE = '/dev/loop-control';

/** A UDP socket bound to a port of 127.0.0.1, and its address. */
function bound(): { readonly fd: number; readonly address: Buffer } {
  const fd = syscall('socket', AF_INET, SOCK_DGRAM_CLOEXEC, 0);
  const address = Buffer.from([AF_INET, 0, 0, 0, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
  syscall('bind', fd, address, 16);
  syscall('getsockname', fd, address, new Int32Array([16]));
  return { fd, address };
}

test('a socket of another family, and a device', async () => {
  const { fd, address } = bound();
  try {
    const target = await Target.program('socket-outside', [DEVICE]);
    const inode = /\d+/.exec(readlinkSync(`/proc/${target.pid}/fd/3`))![0];
    const refused = target.dump('--external', 'dev[10/237]:loops');
    expect([refused.status, refused.stderr]).toEqual([1, expect.stringContaining("--external 'socket[INODE]'")]);
    const other = target.dump('--external', `socket[${inode}]`);
    expect([other.status, other.stderr]).toEqual([1, expect.stringContaining("--external 'dev[10/237]:NAME'")]);
    must(target.dump('--external', `socket[${inode}]`, '--external', 'dev[10/237]:loops'));
    await target.gone();
    // CRIU has neither: it must not make the rest.
    if (process.env.CRTS_CRIU !== undefined) expect(target.restoreWithCriu().status).not.toBe(0);
    const device = ['--external', `dev[loops]:${DEVICE}`];
    const none = target.restore(...device);
    expect([none.status, none.stderr]).toEqual([1, expect.stringContaining(`--inherit-fd 'fd[N]:socket:[${inode}]'`)]);
    must(target.restoreInheriting([fd], '--inherit-fd', `fd[3]:socket[${inode}]`, ...device));
    expect(fstatSync(fd).ino).toBe(Number(/\d+/.exec(readlinkSync(`/proc/${target.pid}/fd/3`))![0]));
    syscall('sendto', fd, Buffer.from('hello'), 5, 0, address, 16);
    await target.finish();
  } finally {
    rawSyscall('close', fd);
  }
});
