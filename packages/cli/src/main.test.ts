import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { dumpTree, explainRestore, restoreTree } from '@crts/core-pstree';
import { waitPid } from '@crts/native-syscalls';
import { CrtsError } from '@crts/plugin-api';
import { main } from './main';
import { print, tell } from './output';

// The engine has its own tests; here it is a record of what the command line asked of it.
jest.mock('@crts/core-pstree', () => ({ dumpTree: jest.fn(), restoreTree: jest.fn(), explainRestore: jest.fn() }));
jest.mock('@crts/native-syscalls', () => ({
  ...jest.requireActual('@crts/native-syscalls'),
  waitPid: jest.fn(),
}));

jest.mock('./output', () => ({ ...jest.requireActual('./output'), print: jest.fn(), tell: jest.fn() }));

const DUMPED = {
  freezingTimeUs: 1,
  frozenTimeUs: 2,
  memdumpTimeUs: 3,
  memwriteTimeUs: 4,
  pagesScanned: 5,
  pagesWritten: 6,
};
const RESTORED = {
  pid: 4312,
  forkingTimeUs: 8,
  restoreTimeUs: 9,
  pagesCompared: 12,
  pagesSkippedCow: 11,
  pagesRestored: 10,
};
const host = { version: '1.2.3', importModule: () => Promise.reject(new Error('no import')) };

let directory: string;
let out = '';
let err = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'crts-main-'));
  out = '';
  err = '';
  jest.mocked(print).mockImplementation((text) => {
    out += text;
  });
  jest.mocked(tell).mockImplementation((text) => {
    err += text;
  });
  jest.mocked(dumpTree).mockReset().mockReturnValue(DUMPED);
  jest.mocked(restoreTree).mockReset().mockReturnValue(RESTORED);
  jest.mocked(waitPid).mockReset();
});
afterEach(() => {
  jest.restoreAllMocks();
  rmSync(directory, { recursive: true });
});

const run = (...argv: string[]) => main(argv, host);
const failure = new CrtsError({
  code: 'CRTS_TEST',
  kind: 'refused',
  pid: 4312,
  fd: 3,
  what: 'does not go',
  hint: 'Do it otherwise.',
});

describe('dump', () => {
  test('asks the engine, writes statistics, says nothing', async () => {
    expect(await run('dump', '-t', '12', '-D', directory, '-j', '--sync')).toBe(0);
    expect(dumpTree).toHaveBeenCalledWith(
      expect.objectContaining({
        pid: 12,
        imagesDir: directory,
        finalState: 'kill',
        sync: true,
        shellJob: true,
        fileLocks: false,
        allowUprobes: false,
      }),
    );
    expect(readdirSync(directory)).toEqual(['stats-dump']);
    expect([out, err]).toEqual(['', '']);
  });

  test.each([
    [['-R'], 'leave-running'],
    [['-s'], 'leave-stopped'],
    [[], 'kill'],
  ])('%j: %s', async (options, finalState) => {
    await run('dump', '-t', '12', '-D', directory, ...options);
    expect(dumpTree).toHaveBeenCalledWith(expect.objectContaining({ finalState }));
  });

  test.each(['0', '-3', 'x', '12x', '99999999'])('--tree=%s is no pid', async (pid) => {
    expect(await run('dump', `--tree=${pid}`, '-D', directory)).toBe(1);
    expect(err).toContain('[CRTS_OPTION_VALUE]');
    expect(dumpTree).not.toHaveBeenCalled();
  });

  test('without --tree', async () => {
    expect(await run('dump', '-D', directory)).toBe(1);
    expect(err).toContain('[CRTS_OPTION_MISSING]');
  });

  test('--display-stats goes to stdout', async () => {
    await run('dump', '-t', '12', '-D', directory, '--display-stats');
    expect(out).toContain('frozen time: 2 us');
  });
});

describe('restore', () => {
  test('waits for the program unless detached', async () => {
    expect(await run('restore', '-D', directory)).toBe(0);
    expect(waitPid).toHaveBeenCalledWith(4312);
    jest.mocked(waitPid).mockReset();
    expect(await run('restore', '-d', '-D', directory)).toBe(0);
    expect(waitPid).not.toHaveBeenCalled();
  });

  test('the pidfile is in the work directory, new, without newline', async () => {
    expect(await run('restore', '-d', '-D', 'elsewhere', '-W', directory, '--pidfile', 'pid')).toBe(0);
    expect(readFileSync(join(directory, 'pid'), 'utf8')).toBe('4312');
  });

  test('a pidfile that is there stops the restore before it begins', async () => {
    writeFileSync(join(directory, 'pid'), 'old');
    expect(await run('restore', '-d', '-D', directory, '--pidfile', 'pid')).toBe(1);
    expect(err).toContain('[CRTS_FILE_WRITE]');
    expect(err).toContain('EEXIST');
    expect(restoreTree).not.toHaveBeenCalled();
    expect(readFileSync(join(directory, 'pid'), 'utf8')).toBe('old');
  });

  test('a failed restore leaves no pidfile', async () => {
    jest.mocked(restoreTree).mockImplementation(() => {
      throw failure;
    });
    expect(await run('restore', '-d', '-D', directory, '--pidfile', 'pid')).toBe(1);
    expect(existsSync(join(directory, 'pid'))).toBe(false);
  });

  test('--restore-sibling needs --restore-detached', async () => {
    expect(await run('restore', '-S', '-D', directory)).toBe(1);
    expect(err).toContain('[CRTS_OPTION_MISSING]');
    expect(await run('restore', '-S', '-d', '-D', directory)).toBe(0);
    expect(restoreTree).toHaveBeenCalledWith(expect.objectContaining({ sibling: true, detached: true }));
  });

  test('--dry-run prints the plan and restores nothing; --explain alone is a mistake', async () => {
    jest.mocked(explainRestore).mockReturnValue({ lines: ['one', 'two'] });
    expect(await run('restore', '-D', directory, '--dry-run', '--explain')).toBe(0);
    expect(explainRestore).toHaveBeenCalledWith(expect.anything(), true);
    expect(out).toBe('one\ntwo\n');
    expect(restoreTree).not.toHaveBeenCalled();
    expect(await run('restore', '-D', directory, '--explain')).toBe(1);
  });
});

describe('errors and the log', () => {
  test('one line on stderr, the hint under it; every field in the log', async () => {
    jest.mocked(dumpTree).mockImplementation((request) => {
      request.log.info({ pid: 4312 }, 'frozen');
      throw failure;
    });
    expect(await run('dump', '-t', '12', '-D', directory, '-o', 'log', '-v4', '--log-format', 'json')).toBe(1);
    expect(err).toBe('crts: pid 4312 fd 3: does not go [CRTS_TEST]\n  Do it otherwise.\n');
    const records = readFileSync(join(directory, 'log'), 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(records.map((record) => record.msg)).toEqual(['crts 1.2.3', 'frozen', failure.message]);
    expect(records[2]).toMatchObject({ code: 'CRTS_TEST', kind: 'refused', pid: 4312, fd: 3 });
  });

  test('a bug is named as one, its stack is in the log', async () => {
    jest.mocked(dumpTree).mockImplementation(() => {
      throw new TypeError('no such thing');
    });
    expect(await run('dump', '-t', '12', '-D', directory, '-o', 'log')).toBe(1);
    expect(err).toMatch(/^crts: no such thing \[CRTS_BUG\]\n {2}.*report/);
    expect(readFileSync(join(directory, 'log'), 'utf8')).toContain('main.test.ts');
  });

  test('an absolute log name stays absolute; a log that cannot be made stops everything', async () => {
    await run('dump', '-t', '12', '-D', directory, '-o', join(directory, 'absolute'));
    expect(existsSync(join(directory, 'absolute'))).toBe(true);
    jest.mocked(dumpTree).mockClear();
    expect(await run('dump', '-t', '12', '-D', directory, '-o', 'none/log')).toBe(1);
    expect(dumpTree).not.toHaveBeenCalled();
  });

  test('--file-validation and --skip-file-rwx-check reach the engine', async () => {
    await run('restore', '-d', '-D', directory, '--file-validation', 'filesize', '--skip-file-rwx-check');
    expect(restoreTree).toHaveBeenCalledWith(
      expect.objectContaining({ fileValidation: 'filesize', skipFileRwxCheck: true }),
    );
    expect(await run('restore', '-d', '-D', directory, '--file-validation', 'crc')).toBe(1);
    expect(err).toContain('[CRTS_OPTION_VALUE]');
  });

  test('--log-format', async () => {
    expect(await run('dump', '-t', '12', '-D', directory, '--log-format', 'xml')).toBe(1);
    expect(err).toContain('[CRTS_OPTION_VALUE]');
  });
});

test('help and version', async () => {
  expect(await run('--help')).toBe(0);
  expect(out).toContain('crts dump -t PID');
  expect(await run('-V')).toBe(0);
  expect(out).toContain('Version: crts 1.2.3');
});
