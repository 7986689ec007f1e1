import type { PassHead } from '@crts/plugin-api';
import { apart, madeElsewhere } from './borrowed';
import type { TaskSet } from './image-set';

function task(pid: number, owners: Partial<TaskSet['owners']> = {}): TaskSet {
  return { pid, owners: { vm: pid, files: pid, fs: pid, sighand: pid, ...owners } } as TaskSet;
}

const head = (plugin: string, stage: PassHead['stage'], ...provides: string[]) => ({
  plugin,
  stage,
  what: '',
  provides,
});

test('passes that make what another task makes are left out', () => {
  expect(madeElsewhere(task(2))).toBeUndefined();
  const directories = madeElsewhere(task(2, { fs: 1 }))!;
  expect(directories.isMade(head('task-fs', 'sigchld', 'fs'))).toBe(true);
  expect(directories.isMade(head('mm-anon', 'memory', 'vmas'))).toBe(false);
  expect(directories.given).toEqual(['fs']);
  const memory = madeElsewhere(task(2, { vm: 1, sighand: 1 }))!;
  expect(memory.isMade(head('mm-layout', 'memory'))).toBe(true);
  expect(memory.isMade(head('engine', 'memory'))).toBe(false);
  expect(memory.isMade(head('task-signals', 'sigchld', 'sigactions'))).toBe(true);
  expect(memory.isMade(head('task-fs', 'sigchld', 'fs'))).toBe(false);
});

test('tasks that share run one after the other, who makes it last', () => {
  const waves = (...sets: TaskSet[]) =>
    apart(sets.map((set) => ({ set }))).map((wave) => wave.map(({ set }) => set.pid));
  expect(waves(task(1), task(2), task(3))).toEqual([[3, 2, 1]]);
  expect(waves(task(1), task(2, { fs: 1 }), task(3), task(4, { files: 1 }))).toEqual([[4, 3, 2], [1]]);
  expect(waves(task(1), task(2, { vm: 1 }), task(3, { vm: 1 }))).toEqual([[3], [2], [1]]);
});
