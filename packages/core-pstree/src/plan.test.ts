import type { PassHead, Stage } from '@crts/plugin-api';
import { STAGES } from '@crts/plugin-api';
import fc from 'fast-check';
import { LentNumbers } from './lent-numbers';
import { orderPasses, PassOrder } from './pass-order';
import { PlanBuilder, planText, ThreadPlanBuilder } from './plan';
import { ThreadCompiler } from './thread-compiler';

// One run is like the other: what a new seed finds belongs into a named test.
fc.configureGlobal({ seed: 20261126 });

const pass = (what: string, stage: Stage, needs: string[] = [], provides: string[] = []): { head: PassHead } => ({
  head: { plugin: 'p', what, stage, needs, provides },
});
const names = (passes: readonly { head: PassHead }[]) => passes.map(({ head }) => head.what);

test('passes come by stage, then after what they need', () => {
  const passes = [
    pass('creds', 'credentials', ['limits'], []),
    pass('map', 'memory', ['cleared'], ['vmas']),
    pass('limits', 'credentials', [], ['limits']),
    pass('layout', 'memory', ['vmas']),
    pass('clear', 'memory', [], ['cleared']),
    pass('late', 'resume', ['vmas']),
  ];
  expect(names(orderPasses(passes))).toEqual(['clear', 'map', 'layout', 'limits', 'creds', 'late']);
});

test('an unmet need and a cycle are errors that name the passes', () => {
  expect(() => orderPasses([pass('map', 'memory', ['cleared'])])).toThrow(/"map" needs cleared.*CRTS_PLAN_UNMET/);
  expect(() => orderPasses([pass('early', 'memory', ['x']), pass('later', 'sigchld', [], ['x'])])).toThrow(
    /CRTS_PLAN_UNMET/,
  );
  expect(() => orderPasses([pass('a', 'memory', ['b'], ['a']), pass('b', 'memory', ['a'], ['b'])])).toThrow(
    /a -> b -> a.*CRTS_PLAN_CYCLE/,
  );
});

test('one pass may provide names that it does not list', () => {
  const bulk = (stage: Stage) => {
    const { head } = pass('descriptors', stage, [], ['fds']);
    return { head: { ...head, isProvided: (name: string) => name === 'fd:3' } };
  };
  const user = pass('uses it', 'resources', ['fd:3']);
  expect(names(orderPasses([user, bulk('resources')]))).toEqual(['descriptors', 'uses it']);
  expect(names(orderPasses([pass('uses it', 'memory', ['fd:3']), bulk('resources')]))).toEqual([
    'descriptors',
    'uses it',
  ]);
  expect(() => orderPasses([pass('uses it', 'resources', ['fd:4']), bulk('resources')])).toThrow(/needs fd:4/);
  expect(() => orderPasses([user, bulk('memory')])).toThrow(/needs fd:3/);
});

test('an order that is known from a like task holds for this one, or is not used', () => {
  const order = new PassOrder();
  const bulk = (fd: number) => {
    const { head } = pass(`descriptors of ${fd}`, 'resources', [], ['fds']);
    return { head: { ...head, isProvided: (name: string) => name === `fd:${fd}` } };
  };
  const task = (id: number, need = 'fd:3') => [pass(`uses ${id}`, 'resources', [need]), pass(`plain ${id}`, 'memory')];
  expect(names(order.of([...task(1), bulk(3)]))).toEqual(['descriptors of 3', 'uses 1', 'plain 1']);
  expect(names(order.of([...task(2), bulk(3)]))).toEqual(['descriptors of 3', 'uses 2', 'plain 2']);
  // All is the same but what the bulk says.
  expect(() => order.of([...task(3), bulk(4)])).toThrow(/"uses 3" needs fd:3/);
  expect(() => order.of([...task(4, 'fd:4'), bulk(3)])).toThrow(/"uses 4" needs fd:4/);
  expect(() => order.of(task(5))).toThrow(/"uses 5" needs fd:3/);
  expect(names(order.of(task(6), ['fd:3']))).toEqual(['uses 6', 'plain 6']);
  expect(() => order.of(task(7), ['fd:4'])).toThrow(/"uses 7" needs fd:3/);
  expect(names(order.of([pass('late', 'memory'), pass('uses 8', 'resources')]))).toEqual(['uses 8', 'late']);
});

test('who emits what in one pass of many handlers is in the text', () => {
  const plan = new PlanBuilder(7);
  plan.bulk({ plugin: 'engine', stage: 'resources', what: 'open', isProvided: () => false }, (next) => {
    for (const fd of [3, 4]) {
      const program = next();
      program.origin = { plugin: `fd-${fd}`, stage: 'resources', what: `fd ${fd}` };
      program.call('dup', [fd]);
    }
  });
  plan.finalThread({ prstatus: Buffer.alloc(0), xstate: Buffer.alloc(0), sigmask: 0n });
  expect(planText(plan.compile(), 7, true)).toEqual([
    'task 7',
    '  [resources] fd-3: fd 3',
    '    $0 dup(3)',
    '  [resources] fd-4: fd 4',
    '    $1 dup(4)',
  ]);
});

test('what many handlers emit goes on in a further program before one gets too long, and each is sealed when it is whole', () => {
  const plan = new PlanBuilder(7);
  plan.bulk({ plugin: 'engine', stage: 'resources', what: 'open', isProvided: () => false }, (next) => {
    for (let fd = 0; fd < 5000; fd++) next().call('dup', [fd]);
  });
  plan.hostStep({ plugin: 'p', stage: 'resources', what: 'look', why: 'because' }, () => undefined);
  plan.pass(pass('close', 'memory').head, (program) => void program.call('close', [3]));
  plan.finalThread({ prstatus: Buffer.alloc(0), xstate: Buffer.alloc(0), sigmask: 0n });
  const sealed: [number, number][] = [];
  const { steps } = plan.compile(true, undefined, (program, step) => sealed.push([program.instructions.length, step]));
  expect(steps.map(({ kind }) => kind)).toEqual(['program', 'program', 'program', 'host', 'program']);
  expect(sealed).toEqual([
    [2000, 0],
    [2000, 1],
    [1000, 2],
    [1, 4],
  ]);
});

test('any acyclic set of passes is ordered so that every need comes first', () => {
  const anyPasses = fc.array(
    fc.record({ stage: fc.constantFrom(...STAGES), needs: fc.array(fc.nat(30), { maxLength: 3 }) }),
    { maxLength: 30 },
  );
  fc.assert(
    fc.property(anyPasses, (specs) => {
      // Pass n provides n and may need smaller numbers of its own or an earlier stage only: no cycle is possible.
      const passes = specs.map(({ stage, needs }, index) =>
        pass(
          String(index),
          stage,
          needs
            .filter((need) => need < index && STAGES.indexOf(specs[need]!.stage) <= STAGES.indexOf(stage))
            .map(String),
          [String(index)],
        ),
      );
      const order = names(orderPasses(passes));
      expect([...order].sort()).toEqual(passes.map(({ head }) => head.what).sort());
      for (const { head } of passes)
        for (const need of head.needs!) expect(order.indexOf(need)).toBeLessThan(order.indexOf(head.what));
    }),
  );
});

test('a plan is readable text, and needs the whole final thread', () => {
  const plan = new PlanBuilder(12);
  plan.pass({ plugin: 'fd-x', stage: 'resources', what: 'open /x' }, (program) => {
    const fd = program.call('openat', [-100, program.cstring('/x'), 0o2, 0]);
    program.moveFd(fd, 5, true);
  });
  plan.hostStep(
    { plugin: 'task-y', stage: 'forking', what: 'write a file', why: 'only an outsider can' },
    () => undefined,
  );
  expect(() => plan.compile()).toThrow(/CRTS_PLAN_THREAD/);
  plan.finalThread({ prstatus: Buffer.alloc(1), xstate: Buffer.alloc(1) });
  plan.finalThread({ sigmask: 0n });
  expect(() => plan.finalThread({ sigmask: 0n })).toThrow(/CRTS_PLAN_THREAD/);
  expect(planText(plan.compile(), 12, true)).toEqual([
    'task 12',
    '  [forking] task-y: write a file (host step: only an outsider can)',
    '  [resources] fd-x: open /x',
    '    $0 openat(AT_FDCWD, "/x", 2, 0)',
    '    $1 move_fd($0, 5, 1)',
  ]);
});

test('tasks of a tree meet where one may need what another has made, and nowhere else', () => {
  const programs = (barriers: boolean) => {
    const plan = new PlanBuilder(12);
    for (const stage of STAGES.slice(3))
      plan.pass(pass(stage, stage).head, (program) => void program.call('getpid', []));
    plan.finalThread({ prstatus: Buffer.alloc(0), xstate: Buffer.alloc(0), sigmask: 0n });
    return plan.compile(barriers).steps.map(({ stage }) => stage);
  };
  expect(programs(false)).toEqual(['forking']);
  expect(programs(true)).toEqual(['forking', 'sharing', 'memory', 'sigchld', 'credentials']);
});

test('a thread gets its filters, and what comes after, in a program of its own', () => {
  const compiled = (isFiltered: boolean) => {
    const thread = new ThreadPlanBuilder(12, 13, true, new LentNumbers(100, 0));
    thread.pass(pass('filters', 'credentials').head, (program) => void program.call('seccomp', [1]));
    thread.pass(pass('mask', 'sigchld').head, (program) => void program.call('gettid', []));
    thread.pass(pass('name', 'resume').head, (program) => void program.call('prctl', [15]));
    thread.finalThread({ prstatus: Buffer.alloc(0), xstate: Buffer.alloc(0), sigmask: 0n });
    if (isFiltered) thread.suspendSeccomp();
    const { program, unfiltered } = new ThreadCompiler(new PassOrder()).compile(thread.planned);
    return [program.text(), unfiltered?.text()];
  };
  expect(compiled(false)).toEqual([['gettid()', 'seccomp(1)', 'prctl(15)'], undefined]);
  expect(compiled(true)).toEqual([['gettid()'], ['seccomp(1)', 'prctl(15)']]);
});
