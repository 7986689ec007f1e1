import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CrtsError } from '@crts/plugin-api';
import { humanLine, openLog, RunLog } from './log';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'crts-log-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

const file = () => join(directory, 'log');
const lines = () => readFileSync(file(), 'utf8').trimEnd().split('\n');

function speak(log: RunLog): void {
  log.debug({}, 'd');
  log.info({ pid: 12 }, 'i');
  log.warn({ addr: 0x7f00n, nested: { a: 1 } }, 'w');
  log.error({ code: 'CRTS_X' }, 'e');
}

test.each([
  [0, []],
  [1, ['e']],
  [2, ['w', 'e']],
  [3, ['i', 'w', 'e']],
  [4, ['d', 'i', 'w', 'e']],
])('verbosity %d keeps %j', (verbosity, kept) => {
  const log = openLog({ file: file(), format: 'json', verbosity });
  speak(log);
  log.close();
  const text = readFileSync(file(), 'utf8');
  expect(
    text
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line).msg),
  ).toEqual(kept);
});

test('json has pino levels, the fields, and bigints in hex', () => {
  const log = openLog({ file: file(), format: 'json', verbosity: 2 });
  speak(log);
  log.close();
  const [warn, error] = lines().map((line) => JSON.parse(line));
  expect(warn).toEqual({ level: 40, at_us: expect.any(Number), addr: '0x7f00', nested: { a: 1 }, msg: 'w' });
  expect(error).toMatchObject({ level: 50, code: 'CRTS_X' });
});

test('the human form is one line a record', () => {
  const log = openLog({ file: file(), format: 'human', verbosity: 3 });
  speak(log);
  log.close();
  expect(lines().map((line) => line.replace(/^\(\d\d\.\d{6}\) /, ''))).toEqual([
    'info: i (pid=12)',
    'warn: w (addr=0x7f00 nested={"a":1})',
    'error: e (code=CRTS_X)',
  ]);
  expect(humanLine({ level: 30, at_us: 12_345_678, msg: 'm' })).toBe('(12.345678) info: m\n');
});

test('nothing is written before flush(), everything after; close() twice is once', () => {
  const log = openLog({ file: file(), format: 'human', verbosity: 4 });
  log.info({}, 'first');
  expect(readFileSync(file(), 'utf8')).toBe('');
  log.flush();
  expect(lines()).toHaveLength(1);
  log.info({}, 'second');
  log.close();
  log.close();
  expect(lines()).toHaveLength(2);
});

test('the buffer is bounded: at its limit it is written', () => {
  const log = openLog({ file: file(), format: 'json', verbosity: 4 });
  for (let count = 0; count < 100_000; count++) log.debug({}, 'x');
  expect(lines()).toHaveLength(100_000);
  log.close();
});

test('an error on stderr is left to the caller', () => {
  const log = new RunLog(2, 'human', 4);
  log.error({}, 'only once');
  // Were it kept, closing would print it.
  log.close();
  const fd = openSync(file(), 'w');
  const elsewhere = new RunLog(fd, 'human', 1);
  elsewhere.error({}, 'in the file');
  elsewhere.flush();
  closeSync(fd);
  expect(lines()).toHaveLength(1);
});

test('an old log is cut, a new one is for its owner alone', () => {
  const log = openLog({ file: file(), format: 'human', verbosity: 2 });
  log.close();
  expect(statSync(file()).mode & 0o777).toBe(0o600);
  writeFileSync(file(), 'old');
  openLog({ file: file(), format: 'human', verbosity: 2 }).close();
  expect(readFileSync(file(), 'utf8')).toBe('');
});

test('a log that cannot be made is an error with path and errno', () => {
  try {
    openLog({ file: join(directory, 'none/log'), format: 'human', verbosity: 2 });
    throw new Error('unreachable');
  } catch (error) {
    expect(error).toBeInstanceOf(CrtsError);
    expect(error).toMatchObject({ code: 'CRTS_FILE_WRITE', errno: 'ENOENT', path: join(directory, 'none/log') });
  }
});
