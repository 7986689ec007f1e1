import { Sealer } from '@crts/native-syscalls';
import type { PassHead, Program } from '@crts/plugin-api';
import { PassOrder } from './pass-order';
import { type PlannedThread, ThreadCompiler, type ThreadPass, type ThreadSealer } from './thread-compiler';

const state = { prstatus: Buffer.alloc(0), xstate: Buffer.alloc(0), sigmask: 0n };

function thread(tid: number, ...passes: ThreadPass[]): PlannedThread {
  return { tid, passes, suspendSeccomp: false, state };
}

function pass(stage: PassHead['stage'], emit: (program: Program) => void): ThreadPass {
  return { head: { plugin: 'test', stage, what: stage }, emit };
}

/** Counts the programs that were encoded whole. */
function counting() {
  const sealer = new Sealer(4096);
  const whole: number[] = [];
  const threadSealer: ThreadSealer = {
    seal: (program, index, _which, starts) => {
      whole.push(index);
      return sealer.sealThread(program, () => undefined, starts);
    },
    sealLike: (model, changes) => sealer.sealLike(model, changes, () => undefined),
  };
  return { whole, compiler: new ThreadCompiler(new PassOrder(), threadSealer) };
}

test('what the thread before has too is not emitted again', () => {
  const { whole, compiler } = counting();
  const emit = jest.fn((program: Program) => void program.call('getpid', []));
  const common = pass('credentials', emit);
  for (const tid of [1, 2, 3])
    compiler.compile(
      thread(
        tid,
        common,
        pass('resume', (program) => void program.call('close', [tid])),
      ),
    );
  expect(emit).toHaveBeenCalledTimes(1);
  expect(whole).toEqual([0]);
});

test('a thread with other passes, or with filters, is compiled whole', () => {
  const { whole, compiler } = counting();
  const common = pass('credentials', (program) => void program.call('getpid', []));
  compiler.compile(thread(1, common));
  compiler.compile(thread(2, common, common));
  compiler.compile(thread(3, pass('resume', common.emit), common));
  compiler.compile({ ...thread(4, pass('resume', common.emit), common), suspendSeccomp: true });
  expect(whole).toEqual([0, 1, 2, 3, 3]);
});
