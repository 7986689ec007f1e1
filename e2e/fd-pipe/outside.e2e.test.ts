// A pipe of which a process outside the dump (this one) has the other end.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { rawSyscall, syscall } from '@crts/native-syscalls';
import { must } from '../harness/checkpointer';
import { Target } from '../harness/target';

const O_CLOEXEC = 0o2000000;
const O_NONBLOCK = 0o4000;

interface Scene {
  readonly target: Target;
  /** The end of this process. */
  readonly ours: number;
  /** What the dump calls the pipe. */
  readonly inode: string;
}

async function withProgram(does: 'read' | 'write', body: (scene: Scene) => Promise<void>): Promise<void> {
  const pair = new Int32Array(2);
  syscall('pipe2', pair, O_CLOEXEC | O_NONBLOCK);
  const [reader, writer] = pair as unknown as [number, number];
  const [its, ours] = does === 'read' ? [reader, writer] : [writer, reader];
  let target: Target;
  try {
    try {
      target = await Target.program('pipe-outside', [`/proc/${process.pid}/fd/${its}`, does]);
    } finally {
      rawSyscall('close', its);
    }
    const inode = /^ino:\s*(\d+)/m.exec(target.proc('fdinfo/3'))![1]!;
    await body({ target, ours, inode });
  } finally {
    rawSyscall('close', ours);
  }
}

test.each([
  ['read', /a process outside the dump writes this pipe/],
  ['write', /a process outside the dump reads this pipe/],
] as const)('the dump warns where the program can only %s, and the restore wants one handed back', (does, text) =>
  withProgram(does, async ({ target, ours, inode }) => {
    must(target.dump());
    await target.gone();
    const log = readFileSync(join(target.images, 'dump.log'), 'utf8');
    expect(log).toMatch(text);
    expect(log).toContain(`--inherit-fd 'fd[N]:pipe:[${inode}]'`);
    const { status, stderr } = target.restore();
    expect([status, stderr]).toEqual([1, expect.stringContaining('[CRTS_PIPE_FOREIGN]')]);
    expect(stderr).toMatch(text);
    expect(stderr).toContain(`--inherit-fd 'fd[N]:pipe:[${inode}]'`);
    must(target.restoreInheriting([ours], '--inherit-fd', `fd[3]:pipe:[${inode}]`));
    if (does === 'read') syscall('write', ours, Buffer.from('hello'), 5);
    await target.finish();
  }),
);

test.each(['read', 'write'] as const)('left outside, and handed back where the program can %s', (does) =>
  withProgram(does, async ({ target, ours, inode }) => {
    must(target.dump('--external', `pipe[${inode}]`));
    await target.gone();
    must(target.restoreInheriting([ours], '--inherit-fd', `fd[3]:pipe:[${inode}]`));
    if (does === 'read') syscall('write', ours, Buffer.from('hello'), 5);
    await target.finish();
    if (does === 'write') {
      const text = Buffer.alloc(16);
      expect([syscall('read', ours, text, 16), text.toString('latin1', 0, 5)]).toEqual([5, 'world']);
    }
  }),
);
