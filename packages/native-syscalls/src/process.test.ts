// pidfds, kcmp, affinity and spawn on the real kernel.
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { closeFd } from './files';
import {
  currentCpu,
  getAffinity,
  kcmpFile,
  pidfdGetfd,
  pidfdOpen,
  pidfdSendSignal,
  type SpawnRequest,
  setAffinity,
  spawn,
} from './process';
import { seqpacketPair } from './socket';
import { waitPid, waitStatus } from './wait';

const DOORBELL = 50;

/** Spawns /bin/sleep (50 seconds: argv[1] is the doorbell's number), kills and reaps it in the end. */
function spawned(request: Partial<SpawnRequest>, use: (pid: number, pidfd: number) => void): void {
  const [near, far] = seqpacketPair();
  const pid = spawn({ path: '/bin/sleep', doorbell: far, doorbellNumber: DOORBELL, pid: 0, flags: 0n, ...request });
  const pidfd = pidfdOpen(pid);
  try {
    use(pid, pidfd);
  } finally {
    pidfdSendSignal(pidfd, 9);
    expect(waitStatus.termSignal(waitPid(pid)!.status)).toBe(9);
    for (const fd of [near, far, pidfd]) closeFd(fd);
  }
}

function signals(pid: number, field: string): bigint {
  return BigInt(`0x${new RegExp(`^${field}:\\s+(\\w+)`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]}`);
}

/** A pid that nothing uses: far from what the kernel gives next. */
function freePid(): number {
  const used = new Set(readdirSync('/proc'));
  const max = Number(readFileSync('/proc/sys/kernel/pid_max', 'utf8'));
  for (let pid = max - 1; pid > 300; pid--) if (!used.has(`${pid}`)) return pid;
  throw new Error('no pid is free');
}

test('a spawned program has its doorbell and nothing else', () => {
  const unrelated = openSync('/dev/null', 'r');
  spawned({}, (pid) => {
    // The loader opens its cache and libc for a moment each: what was inherited stays, so that looking again tells the two apart.
    const end = Date.now() + 30_000;
    const open = () => readdirSync(`/proc/${pid}/fd`).map(Number);
    let fds = open();
    while (fds.length > 1 && Date.now() < end) fds = open();
    expect(fds).toEqual([DOORBELL]);
  });
  closeSync(unrelated);
});

test('every signal is blocked and none is ignored, though Node ignores SIGPIPE', () => {
  expect(signals(process.pid, 'SigIgn')).not.toBe(0n);
  spawned({}, (pid) => {
    expect(signals(pid, 'SigIgn')).toBe(0n);
    expect(signals(pid, 'SigCgt')).toBe(0n);
    // SIGKILL and SIGSTOP cannot be blocked.
    expect(signals(pid, 'SigBlk')).toBe((2n ** 64n - 1n) & ~(1n << 8n) & ~(1n << 18n));
  });
  expect(signals(process.pid, 'SigIgn')).not.toBe(0n);
  expect(signals(process.pid, 'SigBlk')).toBe(0n);
});

test('a chosen pid is given, or refused with EEXIST', () => {
  const wanted = freePid();
  spawned({ pid: wanted }, (pid) => expect(pid).toBe(wanted));
  expect(() => spawned({ pid: process.pid }, () => {})).toThrow(
    expect.objectContaining({ errno: 'EEXIST', call: `clone3(set_tid=${process.pid})` }),
  );
});

test('a program that cannot be executed is an error here and leaves no zombie', () => {
  expect(() => spawned({ path: '/nonexistent' }, () => {})).toThrow(
    expect.objectContaining({ errno: 'ENOENT', path: '/nonexistent' }),
  );
  expect(() => waitPid(-1)).toThrow(expect.objectContaining({ errno: 'ECHILD' }));
});

test('a borrowed descriptor is the same description', () => {
  const [near, far] = seqpacketPair();
  spawned({ doorbell: far }, (pid, pidfd) => {
    const borrowed = pidfdGetfd(pidfd, DOORBELL);
    expect(kcmpFile(process.pid, pid, borrowed, DOORBELL)).toBe(0);
    expect(kcmpFile(process.pid, pid, far, DOORBELL)).toBe(0);
    expect(kcmpFile(process.pid, pid, near, DOORBELL)).not.toBe(0);
    closeFd(borrowed);
    expect(() => pidfdGetfd(pidfd, DOORBELL + 1)).toThrow(expect.objectContaining({ errno: 'EBADF' }));
  });
  closeFd(near);
  closeFd(far);
});

test('the affinity of a task is its own', () => {
  const cpu = currentCpu();
  const own = getAffinity(0);
  expect(own[cpu >> 3]! & (1 << (cpu & 7))).not.toBe(0);
  spawned({}, (pid) => {
    const one = Buffer.alloc(own.length);
    one[cpu >> 3] = 1 << (cpu & 7);
    setAffinity(pid, one);
    expect(getAffinity(pid)).toEqual(one);
  });
  expect(getAffinity(0)).toEqual(own);
});
