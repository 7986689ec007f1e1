// A task that sits in a system call: the call goes on after the restore and ends as if nothing had happened.
import { must } from '../harness/checkpointer';
import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

const ENDS_EARLY = 'CRIU 4.2 lets a call end with EINTR where the rest to wait is kept in the task';

for (const [call, notWithCriu] of [
  ['nanosleep', ENDS_EARLY],
  ['clock_nanosleep'],
  ['poll', ENDS_EARLY],
  ['select'],
  ['futex', ENDS_EARLY],
  ['sigtimedwait', ENDS_EARLY],
  ['epoll_wait', ENDS_EARLY],
  ['read'],
  ['wait4'],
] as const)
  flavours(call, {
    start: () => Target.program('blocked', [call]),
    notWithCriu,
    // What it returns and when is what counts; the call takes a second, too short for more.
    only: ['once', 'left running', 'criu and back'],
  });

// Waits that another process of the tree ends, and further ones with a timeout.
describe.each([
  ...['flock', 'setlkw', 'msgrcv', 'semop', 'accept', 'recvmsg', 'open', 'write', 'eventfd', 'waitid'],
  ...[
    'semtimedop',
    'timed recv',
    'ppoll',
    'pselect',
    'epoll_pwait2',
    'relative clock_nanosleep',
    'sleep',
    'futex until',
  ],
])('%s', (call) => {
  const start = () => Target.program('blocked', [call]);

  test('dumped and restored', async () => {
    const target = await start();
    await target.cycle('--file-locks');
    await target.finish();
  });

  test('left running', async () => {
    const target = await start();
    must(target.dump('--leave-running', '--file-locks'));
    await target.finish();
  });
});

for (const call of ['pause', 'sigsuspend'])
  flavours(`${call} still waits for its signal`, {
    start: () => Target.program('blocked', [call]),
    finish: async (target) => {
      process.kill(target.pid, 'SIGUSR1');
      await target.finish();
    },
  });
