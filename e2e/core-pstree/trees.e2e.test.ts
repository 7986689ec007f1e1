// Trees of real processes, each of which checks from inside that it is who it was (e2e/programs/process-tree.c).
import { KernelModel, ModelError } from '../../packages/core-pstree/src/forks/kernel-model';
import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

async function grown(steps: readonly string[]): Promise<Target> {
  const target = await Target.program('process-tree', ['DIR/table', ...steps]);
  expect(target.text()).not.toContain('FAIL');
  return target;
}

/** Dumped and restored twice: the second dump sees what the first restore made. */
async function survives(steps: readonly string[]): Promise<void> {
  const target = await grown(steps);
  await target.cycle();
  target.clearImages();
  await target.cycle();
  await target.finish();
}

const SHAPES: Record<string, string[]> = {
  'a plain tree': ['fork 0 1', 'fork 1 2', 'fork 1 3', 'fork 0 4'],
  'a daemon that forked twice': [
    'subreaper 0 1',
    'fork 0 1',
    'fork 1 2',
    'setsid 2',
    'fork 2 3',
    'exit 1',
    'reap 0 1',
    'exit 2',
    'reap 0 2',
    'fork 3 4',
  ],
  'jobs of a shell': [
    'fork 0 1',
    'setpgid 1 1',
    'fork 0 2',
    'setpgid 2 1',
    'fork 0 3',
    'setpgid 3 3',
    'fork 3 4',
    'fork 4 5',
  ],
  'a pipeline whose first process is gone': [
    'fork 0 1',
    'setpgid 1 1',
    'fork 0 2',
    'setpgid 2 1',
    'fork 0 3',
    'setpgid 3 1',
    'exit 1',
    'reap 0 1',
  ],
  'zombies with status and signal, one a group leader, one a session leader': [
    'fork 0 1',
    'setpgid 1 1',
    'fork 0 2',
    'setpgid 2 1',
    'fork 0 3',
    'setsid 3',
    'sibling 3 4',
    'exit 1 7',
    'see 0 1',
    'kill 3 9',
    'see 0 3',
    'fork 2 5',
    'kill 5 15',
    'see 2 5',
  ],
  'orphans adopted by subreapers at several depths': [
    'subreaper 0 1',
    'fork 0 1',
    'subreaper 1 1',
    'fork 1 2',
    'fork 2 3',
    'setsid 3',
    'fork 3 4',
    'fork 4 5',
    'exit 4',
    'reap 3 4',
    'fork 3 6',
    'fork 6 7',
    'subreaper 1 0',
    'exit 6',
    'reap 3 6',
    'subreaper 1 1',
  ],
  'a child older than the sessions of several leaders above it': [
    'fork 0 1',
    'fork 1 2',
    'fork 2 3',
    'fork 3 4',
    'setsid 1',
    'setsid 2',
    'setsid 3',
    'fork 1 5',
    'fork 2 6',
  ],
  'a leader born in the session of an uncle': [
    'fork 0 1',
    'setsid 1',
    'sibling 1 2',
    'fork 2 3',
    'fork 3 4',
    'setsid 3',
  ],
  'founders of groups that changed places': [
    'fork 0 1',
    'fork 0 2',
    'setpgid 1 1',
    'setpgid 2 2',
    'fork 1 3',
    'setpgid 1 2',
    'setpgid 2 1',
    'exit 3',
    'reap 1 3',
  ],
  'depth 60': Array.from({ length: 60 }, (_, i) => `fork ${i} ${i + 1}`),
};

for (const [title, steps] of Object.entries(SHAPES)) test(title, () => survives(steps));

flavours('sessions, groups and a zombie', {
  start: () =>
    grown([
      'fork 0 1',
      'setsid 1',
      'fork 1 2',
      'setpgid 2 2',
      'fork 2 3',
      'fork 0 4',
      'exit 4 9',
      'see 0 4',
      'fork 0 5',
    ]),
});

flavours('sessions, groups, a zombie and an orphan', {
  notWithCriu: 'it restores the orphan as a child of init: seen with CRIU 4.2, which then dumps the tree without it',
  start: () =>
    grown([
      'subreaper 0 1',
      'fork 0 1',
      'setsid 1',
      'fork 1 2',
      'setpgid 2 2',
      'fork 2 3',
      'fork 0 6',
      'exit 6 9',
      'see 0 6',
      // Adopted last: a restore hands orphans up when all children are made, and /proc lists children in that order.
      'fork 1 4',
      'fork 4 5',
      'exit 4 3',
      'reap 1 4',
    ]),
});

test('200 processes of four generations', () => {
  const steps: string[] = [];
  for (let child = 1; child <= 200; child++) steps.push(`fork ${Math.floor((child - 1) / 5)} ${child}`);
  for (let leader = 10; leader < 40; leader += 3) steps.push(`setsid ${leader}`);
  return survives(steps);
});

const CALLS = ['fork', 'fork', 'fork', 'sibling', 'setsid', 'setpgid', 'setpgid', 'subreaper', 'exit', 'kill'] as const;
const ROOT = 1;
const SIGKILL = 9;

/** The steps that the model of the kernel allows; processes are numbered by their order, in the model one higher. */
function randomSteps(seed: number, count: number, processes: number): string[] {
  let state = seed;
  const random = (below: number) => {
    // Lehmer's generator: fixed seeds, so that a failure can be looked at.
    state = (state * 48271) % 0x7fff_ffff;
    return state % below;
  };
  const model = new KernelModel({ pid: ROOT, pgid: -1, sid: -1 });
  model.setsid(ROOT);
  model.setSubreaper(ROOT, true);
  const steps = ['subreaper 0 1'];
  let next = ROOT;
  while (steps.length < count) {
    const living = model.pids.filter((pid) => !model.get(pid)!.dead);
    const pid = living[random(living.length)]!;
    const call = CALLS[random(CALLS.length)]!;
    const { sid, parent } = model.get(pid)!;
    const actor = pid - 1;
    try {
      if (call === 'fork' || call === 'sibling') {
        if (living.length >= processes) continue;
        model.fork(pid, next + 1, call === 'sibling');
        steps.push(`${call} ${actor} ${next++}`);
      } else if (call === 'setsid') {
        model.setsid(pid);
        steps.push(`setsid ${actor}`);
      } else if (call === 'setpgid') {
        const groups = [pid, ...living.filter((one) => model.get(one)!.sid === sid).map((one) => model.get(one)!.pgid)];
        const pgid = groups[random(groups.length)]!;
        model.setpgid(pid, pgid);
        steps.push(`setpgid ${actor} ${pgid - 1}`);
      } else if (call === 'subreaper') {
        const on = random(3) > 0;
        if (pid === ROOT) continue;
        model.setSubreaper(pid, on);
        steps.push(`subreaper ${actor} ${on ? 1 : 0}`);
      } else if (pid !== ROOT) {
        model.exit(pid);
        steps.push(call === 'exit' ? `exit ${actor} ${random(256)}` : `kill ${actor} ${SIGKILL}`);
        const reaped = random(3) > 0;
        if (reaped) model.reap(parent, pid);
        steps.push(`${reaped ? 'reap' : 'see'} ${parent - 1} ${actor}`);
      }
    } catch (error) {
      if (!(error instanceof ModelError)) throw error;
    }
  }
  return steps;
}

test.each([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])('random tree %i', (seed) =>
  survives(randomSteps(seed * 7919, 80, 14)),
);
