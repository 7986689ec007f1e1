import { type ForkPlan, planForks, type TreeTask } from './plan';
import { opText } from './proof';

/** `pid<ppid g<pgid> s<sid>`, `Z` for a zombie; what is left out is the pid of the first task. */
function tree(...texts: string[]): TreeTask[] {
  let first: number | undefined;
  return texts.map((text) => {
    const [, pid, ppid] = /^(\d+)(?:<(\d+))?/.exec(text)!;
    first ??= Number(pid);
    const number = (letter: string) => Number(new RegExp(` ${letter}(\\d+)`).exec(text)?.[1] ?? first);
    return {
      pid: Number(pid),
      ppid: Number(ppid ?? 0),
      pgid: number('g'),
      sid: number('s'),
      dead: / Z/.test(text),
      subreaper: / R/.test(text),
    };
  });
}

function plan(tasks: TreeTask[], more: { shellJob?: boolean; helpers?: number[] } = {}): ForkPlan {
  let free = 1000;
  return planForks(tasks, { shellJob: false, freePid: () => free++, ...more });
}

const text = (rounds: ForkPlan['rounds']) => rounds.map((round) => round.map(opText).join('; '));
const rounds = (...texts: string[]) => text(plan(tree(...texts)).rounds);

test('a plain tree: every task forks its children at once', () => {
  expect(rounds('1', '2<1', '3<1', '4<2')).toEqual(['1: setsid; 1: fork 2; 1: fork 3', '2: fork 4']);
});
