import { CrtsError } from '@crts/plugin-api';
import { blame, report } from './failure';
import type { RunLog } from './log';
import { tell } from './output';

jest.mock('./output', () => ({ tell: jest.fn() }));

let told = '';
const logged: object[] = [];
const log = { error: (fields: object) => logged.push(fields) } as unknown as RunLog;
beforeEach(() => {
  told = '';
  logged.length = 0;
  jest.mocked(tell).mockImplementation((text) => {
    told += text;
  });
});

const plugin = { name: 'crts-fd-x', directory: '/srv/node_modules/crts-fd-x/dist' };
const at = (place: string) =>
  Object.assign(new TypeError('x is undefined'), { stack: `TypeError: x\n    at f (${place})` });

test('a failure without a hint gets the one of its errno', () => {
  report(new CrtsError({ code: 'CRTS_SYSCALL', what: 'system call failed', call: 'write', errno: 'ENOSPC' }), log, []);
  expect(told).toBe(
    'crts: system call failed: write: ENOSPC [CRTS_SYSCALL]\n  Free space on that disk, or choose another directory with -D.\n',
  );
  expect(logged).toEqual([expect.objectContaining({ errno: 'ENOSPC', hint: expect.stringContaining('Free space') })]);
});

test('its own hint is the better one', () => {
  report(new CrtsError({ code: 'CRTS_X', what: 'x', errno: 'ENOSPC', hint: 'Buy one.' }), undefined, []);
  expect(told).toBe('crts: x: ENOSPC [CRTS_X]\n  Buy one.\n');
});

test('what Node says of a file is no mistake in crts', () => {
  const error = Object.assign(new Error('EACCES: ...'), { code: 'EACCES', syscall: 'open', path: '/proc/12/mem' });
  report(error, log, []);
  expect(told).toContain(
    'pid 12 (/proc/12/mem): system call failed: open: EACCES [CRTS_SYSCALL]\n  crts lacks CAP_SYS_PTRACE',
  );
});

test('a mistake says whose it is', () => {
  report(at('/srv/node_modules/crts-fd-x/dist/dump.js:3:7'), log, [plugin]);
  expect(told).toBe(
    'crts: crts-fd-x: x is undefined [CRTS_PLUGIN_MISTAKE]\n' +
      '  This is a mistake in the plugin (/srv/node_modules/crts-fd-x/dist/dump.js:3:7): report it to its author.\n',
  );
  expect(logged).toEqual([expect.objectContaining({ stack: expect.stringContaining('dump.js:3:7') })]);
  told = '';
  report(at('/usr/lib/crts.js:3:7'), log, [plugin]);
  expect(told).toContain('x is undefined [CRTS_BUG]\n  This is a mistake in crts');
});

test('files of modules are named by URL; those of crts are never a plugin’s', () => {
  expect(blame(at('file:///srv/node_modules/crts-fd-x/dist/dump.mjs:3:7'), [plugin])).toMatchObject({
    plugin: 'crts-fd-x',
  });
  expect(blame(at(`${require.resolve('./failure')}:3:7`), [{ name: 'x', directory: __dirname }])).toBeUndefined();
  expect(blame('no error', [plugin])).toBeUndefined();
});
