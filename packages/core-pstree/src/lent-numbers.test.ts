import { LentNumbers, mostLent } from './lent-numbers';
import { PlanBuilder } from './plan';

const ready = { prstatus: Buffer.alloc(0), xstate: Buffer.alloc(0), sigmask: 0n };
const head = { plugin: 'task-fs', what: 'open the root of thread 13' };

test('opened before the task has its own root, and closed when the threads are made', () => {
  const plan = new PlanBuilder(12);
  const lent = new LentNumbers(100, 2);
  lent.planOpening(plan);
  plan.pass({ plugin: 'task-fs', stage: 'sigchld', what: 'root', provides: ['fs'] }, (p) =>
    p.call('chroot', [p.cstring('.')]),
  );
  expect(lent.add(head, (program) => program.call('dup', [7]))).toBe(100);
  expect(lent.add(head, (program) => program.call('dup', [8]))).toBe(101);
  plan.threads({ plugin: 'engine', stage: 'sigchld', what: 'threads', needs: ['fs'], provides: ['threads'] });
  lent.planClosing(plan);
  plan.finalThread(ready);
  const [before, threads, after] = plan.compile().steps;
  const text = (step: typeof before) => (step?.kind === 'program' ? step.program.text() : step?.kind);
  expect(text(before)).toEqual(['dup(7)', 'move_fd($0, 100, 1)', 'dup(8)', 'move_fd($2, 101, 1)', 'chroot(".")']);
  expect(text(threads)).toBe('threads');
  expect(text(after)).toEqual(['close(100)', 'close(101)']);
});

test('no more than there are numbers for', () => {
  const lent = new LentNumbers(100, 1);
  lent.add(head, (program) => program.call('dup', [7]));
  expect(() => lent.add(head, (program) => program.call('dup', [8]))).toThrow(RangeError);
});

test('two for each thread that has its own directories, as many as any task has', () => {
  const thread = (fs?: object) => ({ tid: 13, core: { thread_core: { crts: { fs } } } });
  const tasks = [{ threads: [thread(), thread({})] }, { threads: [thread({}), thread({}), { tid: 14, core: {} }] }];
  expect(mostLent({ tasks } as never)).toBe(4);
  expect(mostLent({ tasks: [] })).toBe(0);
});
