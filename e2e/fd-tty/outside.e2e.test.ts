// A terminal whose other side a process outside the dump (this one) has: left outside, and another one handed back.
import { fstatSync } from 'node:fs';
import { rawSyscall, syscall } from '@crts/native-syscalls';
import { must } from '../harness/checkpointer';
import { testNeeding } from '../harness/needs';
import { snapshot } from '../harness/snapshot';
import { Target } from '../harness/target';

const AT_FDCWD = -100;
const O_RDWR_NOCTTY_CLOEXEC = 0o2000402;
const TIOCSPTLCK = 0x40045431;
const TIOCGPTPEER = 0x5441;

interface Terminal {
  readonly master: number;
  readonly slave: number;
}

function terminal(): Terminal {
  const master = syscall('openat', AT_FDCWD, Buffer.from('/dev/ptmx\0'), O_RDWR_NOCTTY_CLOEXEC, 0);
  syscall('ioctl', master, TIOCSPTLCK, new Int32Array(1));
  return { master, slave: syscall('ioctl', master, TIOCGPTPEER, O_RDWR_NOCTTY_CLOEXEC) };
}

function close({ master, slave }: Terminal): void {
  rawSyscall('close', slave);
  rawSyscall('close', master);
}

/** As a user finds it with stat: device of the terminal and of its node, in hex. */
function keyOf({ slave }: Terminal): string {
  const { rdev, dev } = fstatSync(slave);
  return `tty[${rdev.toString(16)}:${dev.toString(16)}]`;
}

async function withProgram(args: string[], body: (target: Target, key: string, next: Terminal) => Promise<void>) {
  const [first, next] = [terminal(), terminal()];
  try {
    const target = await Target.program('terminal-outside', [`/proc/${process.pid}/fd/${first.slave}`, ...args]);
    const key = keyOf(first);
    await body(target, key, next);
    await target.end();
  } finally {
    close(first);
    close(next);
  }
}

async function converse(target: Target, { master }: Terminal): Promise<void> {
  syscall('write', master, Buffer.from('hello'), 5);
  await target.finish();
  const text = Buffer.alloc(16);
  expect([syscall('read', master, text, 16), text.toString('latin1', 0, 5)]).toEqual([5, 'world']);
}

test('handed back: settings, controlling terminal of the leader and its child, a description for each', () =>
  withProgram([], async (target, key, next) => {
    must(target.dump('--external', key));
    await target.gone();
    must(target.restoreInheriting([next.slave], '--inherit-fd', `fd[3]:${key}`));
    await converse(target, next);
  }));

test('not named: refused, and what to pass is said', () =>
  withProgram([], async (target, key) => {
    const before = snapshot(target.pid);
    const { status, stderr } = target.dump();
    expect([status, stderr]).toEqual([1, expect.stringContaining('[CRTS_TTY_EXTERNAL]')]);
    expect(stderr).toContain("--external 'tty[RDEV:DEV]'");
    expect(snapshot(target.pid)).toEqual(before);
    must(target.dump('--external', key));
    await target.gone();
    const none = target.restore();
    expect([none.status, none.stderr]).toEqual([1, expect.stringContaining('[CRTS_TTY_EXTERNAL]')]);
    expect(none.stderr).toContain(`--inherit-fd 'fd[N]:${key}'`);
  }));

testNeeding(['CRTS_CRIU'])('criu restores it, and crts what criu dumped', () =>
  withProgram(['alone'], async (target, key, next) => {
    must(target.dump('--external', key));
    await target.gone();
    must(target.restoreInheritingWithCriu([next.slave], '--inherit-fd', `fd[3]:${key}`));
    target.clearImages();
    must(target.dumpWithCriu('--external', keyOf(next)));
    await target.gone();
    const last = terminal();
    try {
      must(target.restoreInheriting([last.slave], '--inherit-fd', `fd[3]:${keyOf(next)}`));
      await converse(target, last);
    } finally {
      close(last);
    }
  }),
);
