/** For every test of every file: what it started is ended, and nothing is left behind. */
import { rmSync } from 'node:fs';
import { temporaryDirectory } from './checkpointer';
import { leftBehind, traces } from './leaks';
import { cleanUp } from './target';
import { until } from './until';

// Programs of the system and a busy machine have moods of their own: with CRTS_RETRIES a test that fails is run again, its first
// failure is printed, and the test-suite names it in the end.
jest.retryTimes(Number(process.env.CRTS_RETRIES ?? 0), { logErrorsBeforeRetry: true });

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
