// A pipe of which a process outside the dump (this one) has the other end.
import { rawSyscall, syscall } from '@crts/native-syscalls';
import { must } from '../harness/checkpointer';
import { snapshot } from '../harness/snapshot';
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
] as const)('it is refused by name where the program can only %s', (does, text) =>
  withProgram(does, async ({ target, ours, inode }) => {
    const before = snapshot(target.pid);
    const { status, stderr } = target.dump();
    expect([status, stderr]).toEqual([1, expect.stringContaining('[CRTS_PIPE_FOREIGN]')]);
    expect(stderr).toMatch(text);
    expect(stderr).toContain(`fd 3 (pipe:[${inode}])`);
    expect(stderr).toContain(`--external 'pipe[${inode}]'`);
    expect(snapshot(target.pid)).toEqual(before);
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
