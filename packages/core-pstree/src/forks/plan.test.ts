import { type ForkPlan, planForks, type TreeTask } from './plan';
import { opText } from './proof';

/** `pid<ppid g<pgid> s<sid>`, `Z` for a zombie, `R` for a subreaper, `e10` for an exit signal, `f=1` for descriptors that are shared (d: directories, v: memory, h: actions); group and session are the first task's where left out. */
function tree(...texts: string[]): TreeTask[] {
  let first: number | undefined;
  return texts.map((text) => {
    const [, pid, ppid] = /^(\d+)(?:<(\d+))?/.exec(text)!;
    first ??= Number(pid);
    const number = (letter: string) => Number(new RegExp(` ${letter}(\\d+)`).exec(text)?.[1] ?? -1);
    const sid = number('s') < 0 ? first : number('s');
    const shared = (letter: string, usual: number) =>
      Number(new RegExp(` [${letter}]=(\\d+)`).exec(text)?.[1] ?? -usual - Number(pid) * 10);
    return {
      pid: Number(pid),
      objects: { vm: shared('v', 1), files: shared('f', 2), fs: shared('d', 3), sighand: shared('h', 4) },
      ppid: Number(ppid ?? 0),
      pgid: number('g') < 0 ? sid : number('g'),
      sid,
      dead: / Z/.test(text),
      subreaper: / R/.test(text),
      exitSignal: number('e') < 0 ? undefined : number('e'),
    };
  });
}

function plan(tasks: TreeTask[], more: { shellJob?: boolean; helpers?: number[] } = {}): ForkPlan {
  let free = 1000;
  return planForks(tasks, { shellJob: false, freePid: () => free++, ...more });
}

const text = (rounds: ForkPlan['rounds']) => rounds.map((round) => round.map(opText).join('; '));
const rounds = (...texts: string[]) => text(plan(tree(...texts)).rounds);
const jobRounds = (...texts: string[]) => text(plan(tree(...texts), { shellJob: true }).rounds);
const refusal = (...texts: string[]) => {
  try {
    return rounds(...texts);
  } catch (error) {
    const { code, pid } = error as { code: string; pid: number };
    return `${pid}: ${code}`;
  }
};

describe('who creates whom', () => {
  test('a plain tree: every task forks its children at once', () => {
    expect(rounds('1', '2<1', '3<1', '4<2')).toEqual(['1: setsid; 1: fork 2; 1: fork 3', '2: fork 4']);
  });

  test('a daemon that an init adopted leads its session', () => {
    expect(rounds('1 R', '5<1 s5', '6<5 s5')).toEqual(['1: setsid; 1: fork 5', '5: setsid; 5: fork 6']);
  });

  test('a daemon that forked twice: a helper of the number of the gone leader makes it', () => {
    expect(rounds('1', '5<1 s4', '6<5 s4')).toEqual([
      '1: setsid; 1: fork helper 4',
      '4: setsid; 4: fork (CLONE_PARENT) 5',
      '5: fork 6',
      '4: exit',
      '1: reap 4',
    ]);
  });

  test('a child that is older than the session of its parent', () => {
    expect(rounds('1', '2<1 s2', '3<2', '4<2 s2')).toEqual(['1: setsid; 1: fork 2', '2: fork 3; 2: setsid; 2: fork 4']);
  });

  test('a child that is older than several leaders above it', () => {
    expect(rounds('1', '2<1 s2', '3<2 s3', '4<3 s4', '5<4')).toEqual([
      '1: setsid; 1: fork 2',
      '2: fork 3; 2: setsid',
      '3: fork 4; 3: setsid',
      '4: fork 5; 4: setsid',
    ]);
  });

  test('an orphan in the session of a leader further down is handed up', () => {
    expect(rounds('1', '2<1', '3<2 s3', '4<1 s3')).toEqual([
      '1: setsid; 1: fork 2',
      '2: fork 3',
      '3: setsid; 3: fork helper 1000',
      '1000: fork 4',
      '1: subreaper on',
      '1000: exit',
      '3: reap 1000',
      '1: subreaper off',
    ]);
  });

  test('a chain of subreapers, each with an orphan: the lowest gets its own first', () => {
    const ops = rounds('1 R', '2<1 R', '3<2 R', '4<3 s4', '5<1 s4', '6<2 s4', '7<3 s4');
    expect(ops.slice(-7)).toEqual([
      '2: subreaper on',
      '1001: exit',
      '4: reap 1001',
      '2: subreaper off; 1: subreaper on',
      '1000: exit',
      '4: reap 1000',
      '1: subreaper off',
    ]);
  });

  test('a leader born in the session of an uncle', () => {
    expect(rounds('1', '2<1 s2', '3<1 s2', '4<3 s4', '5<4 s2')).toEqual([
      '1: setsid; 1: fork 2',
      '2: setsid; 2: fork (CLONE_PARENT) 3',
      '3: fork 4',
      '4: fork 5; 4: setsid',
    ]);
  });

  test('two sessions that both have to be above a third: one leader is born below the other and handed up', () => {
    const ops = rounds('1', '10<1 s10', '11<10 s10', '20<1 s20', '21<20 s20', '31<11 s30', '32<21 s30');
    expect(ops.flatMap((round) => round.split('; '))).toContain('1: subreaper on');
  });

  test('a thousand children of one parent take one round, a chain of a thousand as many', () => {
    const wide = Array.from({ length: 1000 }, (_, i) => `${i + 2}<1`);
    const deep = Array.from({ length: 1000 }, (_, i) => `${i + 2}<${i + 1}`);
    expect(rounds('1', ...wide)).toHaveLength(1);
    expect(rounds('1', ...deep)).toHaveLength(1000);
  });

  test('a thousand sessions of gone leaders take as many rounds as one', () => {
    const daemons = Array.from({ length: 1000 }, (_, i) => `${2 * i + 2}<1 s${2 * i + 3}`);
    expect(rounds('1', ...daemons)).toHaveLength(rounds('1', ...daemons.slice(0, 1)).length);
  });
});

describe('process groups', () => {
  test('jobs of a shell: leaders found their groups before the others join', () => {
    expect(rounds('1', '2<1 g2', '3<1 g2', '4<1 g4', '5<4 g4')).toEqual([
      '1: setsid; 1: fork 2; 1: fork 3; 1: fork 4',
      '4: fork 5',
      '2: setpgid 2; 4: setpgid 4',
      '3: setpgid 2; 5: setpgid 4',
    ]);
  });

  test('the first of a pipeline is gone: a helper founds the group', () => {
    expect(rounds('1', '3<1 g2', '4<1 g2')).toEqual([
      '1: setsid; 1: fork 3; 1: fork 4',
      '3: fork helper 2',
      '2: setpgid 2',
      '3: setpgid 2; 4: setpgid 2',
      '2: exit',
      '3: reap 2',
    ]);
  });

  test('the first of a pipeline is a zombie: it founds the group itself', () => {
    expect(rounds('1', '2<1 g2 Z', '3<1 g2')).toEqual([
      '1: setsid; 1: fork 2; 1: fork 3',
      '2: setpgid 2',
      '3: setpgid 2',
    ]);
  });

  test('a founder that went on to another group leaves when others are in the one it founded', () => {
    expect(rounds('1', '2<1 g3', '3<1 g3', '4<1 g2').slice(1)).toEqual([
      '3: setpgid 3; 2: setpgid 2',
      '4: setpgid 2',
      '2: setpgid 3',
    ]);
  });

  test('founders that changed places: a helper holds one of the groups meanwhile', () => {
    expect(rounds('1', '2<1 g3', '3<1 g2').slice(1)).toEqual([
      '3: setpgid 3; 2: setpgid 2',
      '3: fork helper 1000',
      '3: setpgid 2',
      '2: setpgid 3',
      '1000: exit',
      '3: reap 1000',
    ]);
  });

  test('the group of a session leader that is gone', () => {
    expect(rounds('1', '5<1 s4', '6<1 g6 s4').slice(2)).toEqual(['6: setpgid 6', '4: exit', '1: reap 4']);
  });
});

describe('zombies', () => {
  test('a zombie that led a session makes its members', () => {
    expect(rounds('1', '2<1 s2 Z', '3<1 s2')).toEqual(['1: setsid; 1: fork 2', '2: setsid; 2: fork (CLONE_PARENT) 3']);
  });

  test('a zombie has no children', () => {
    expect(refusal('1', '2<1 Z', '3<2')).toBe('3: CRTS_TREE_SHAPE');
  });
});

describe('jobs of a shell', () => {
  test('without --shell-job they are refused', () => {
    expect(refusal('5 g5 s4', '6<5')).toBe('5: CRTS_SESSION');
  });

  test('the root keeps the session and the group that it is born in', () => {
    const { rounds, outerPgid } = plan(tree('5 g3 s4', '6<5 g3 s4', '7<5 s7'), { shellJob: true });
    expect(outerPgid).toBe(3);
    expect(text(rounds)).toEqual(['5: fork 6; 5: fork 7', '7: setsid']);
  });

  test('the root has a group of its own', () => {
    expect(jobRounds('5 g5 s4', '6<5 g5 s4', '7<5 g7 s4')).toEqual([
      '5: fork 6; 5: fork 7',
      '5: setpgid 5; 7: setpgid 7',
      '6: setpgid 5',
    ]);
  });

  test('the shell itself is a child: its jobs are in its session', () => {
    expect(jobRounds('5 g5 s4', '6<5 s6', '7<6 g7 s6', '8<6 g7 s6')).toEqual([
      '5: fork 6',
      '6: setsid; 6: fork 7; 6: fork 8',
      '5: setpgid 5; 7: setpgid 7',
      '8: setpgid 7',
    ]);
  });
});

describe('helpers that have to exist until the end', () => {
  test('they are children of the root and exit in the ending', () => {
    const { rounds, ending } = plan(tree('1', '2<1'), { helpers: [9] });
    expect(text(rounds)).toEqual(['1: setsid; 1: fork 2; 1: fork helper 9']);
    expect(text(ending)).toEqual(['9: exit', '1: reap 9']);
  });

  test('a pid of the tree needs none; a founder of that pid stays', () => {
    const { rounds, ending } = plan(tree('1', '5<1 s4'), { helpers: [4, 5] });
    expect(text(rounds)).toEqual(['1: setsid; 1: fork helper 4', '4: setsid; 4: fork (CLONE_PARENT) 5']);
    expect(text(ending)).toEqual(['4: exit', '1: reap 4']);
  });
});

test.each([
  ['two tasks of one pid', ['1', '2<1', '2<1'], 2],
  ['no root', ['2<1'], 2],
  ['two roots', ['1', '2 s2'], 2],
  ['a missing parent', ['1', '3<2'], 3],
  ['a ring of parents', ['1', '2<3', '3<2'], 2],
  ['a session leader in the group of another', ['1', '2<1 g1 s2'], 2],
  ['a session of a task that leads none', ['1', '2<1', '3<1 s2'], 3],
  ['a group in two sessions', ['1', '2<1 s2', '3<1 g7', '4<2 g7 s2'], 4],
  ['a group whose leader is in another session', ['1', '2<1', '3<1 s3', '4<3 g2 s3'], 4],
  ['a group that is a session elsewhere', ['1', '2<1 s9', '3<1 g9 s1'], 3],
  ['a session outside of the pid namespace', ['1', '2<1 g0 s0'], 2],
])('%s is refused', (_, texts, pid) => {
  expect(refusal(...texts)).toBe(`${pid}: CRTS_TREE_SHAPE`);
});

test('a child in a session that only starts below it is refused, and the task is named', () => {
  // 3 is in the session of the root, and its child 5 in one whose leader was born above 3.
  expect(refusal('1', '2<1 s2', '3<2', '5<3 s2')).toBe('5: CRTS_TREE_SHAPE');
});

test('a plan is wrong when the pid offered for a helper is one of the tree', () => {
  const tasks = tree('1', '2<1', '3<2 s3', '4<1 s3');
  expect(() => planForks(tasks, { shellJob: false, freePid: () => 4 })).toThrow(/CRTS_TREE_SHAPE/);
});

describe('exit signals', () => {
  test('of a child, and of a sibling that a child of the same signal makes', () => {
    expect(rounds('1', '2<1 e0', '3<1 s3 e10', '4<1 s3 e10')).toEqual([
      '1: setsid; 1: fork 2, exit signal 0; 1: fork 3, exit signal 10',
      '3: setsid; 3: fork (CLONE_PARENT) 4',
    ]);
  });

  test('a sibling has that of who makes it', () => {
    expect(rounds('1', '2<1 e10 f=1', '3<1 e10 f=1')[1]).toBe('2: fork (CLONE_PARENT) 3 with files');
    expect(refusal('1', '2<1 e10 f=1', '3<1 f=1')).toBe('3: CRTS_TREE_SHAPE');
  });

  test('a helper has SIGCHLD, and so have its siblings', () => {
    expect(refusal('1', '5<1 s4')).not.toBe('5: CRTS_TREE_SHAPE');
    expect(refusal('1', '5<1 s4 e10')).toBe('5: CRTS_TREE_SHAPE');
  });
});

describe('tasks that share', () => {
  test('children of each other', () => {
    expect(rounds('1 f=1', '2<1 f=1 d=1', '3<2 f=1 d=1', '4<1')).toEqual([
      '1: setsid; 1: fork 2 with files; 1: fork 4',
      '2: fork 3 with files, fs',
    ]);
  });

  test('siblings: the first makes the others', () => {
    expect(rounds('1', '2<1 f=1', '3<1 f=1', '4<1 f=1')).toEqual([
      '1: setsid; 1: fork 2',
      '2: fork (CLONE_PARENT) 3 with files; 2: fork (CLONE_PARENT) 4 with files',
    ]);
  });

  test('one that is a child of a sibling of who it shares with', () => {
    expect(refusal('1', '2<1 v=1', '3<1', '4<3 v=1')).toBe('4: CRTS_SHARED');
  });

  test('siblings in two sessions: before the first founds its own', () => {
    expect(rounds('1', '2<1 s2 d=1', '3<1 d=1')).toEqual([
      '1: setsid; 1: fork 2',
      '2: fork (CLONE_PARENT) 3 with fs; 2: setsid',
    ]);
  });

  test('an orphan that is adopted past one that shares: its shelter shares too', () => {
    expect(rounds('1 R', '2<1 s2 f=1', '3<1 s2 f=1', '4<3 s2')).toEqual([
      '1: setsid; 1: fork 2',
      '2: setsid; 2: fork (CLONE_PARENT) 3 with files',
      '3: fork 4',
    ]);
  });
});
