/** For every test of every file: what it started is ended, and nothing is left behind. */
import { rmSync } from 'node:fs';
import { temporaryDirectory } from './checkpointer';
import { leftBehind, traces } from './leaks';
import { cleanUp } from './target';
import { until } from './until';

let before: readonly string[];

beforeAll(() => {
  before = traces();
});

afterEach(async () => {
  const isFailed = (globalThis as { crtsTestFailed?: boolean }).crtsTestFailed === true;
  await cleanUp(isFailed);
  if (isFailed) return;
  // What was just told to end needs a moment; what stays is shown.
  await until('nothing to be left', () => leftBehind(before, traces()).length === 0, 2).catch(() => undefined);
  expect(leftBehind(before, traces())).toEqual([]);
});

afterAll(() => rmSync(temporaryDirectory, { recursive: true, force: true }));
