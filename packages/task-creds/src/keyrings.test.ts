import type { FrozenTask } from '@crts/plugin-api';
import { checkSession, parseKeyrings } from './keyrings';

test('keyrings of /proc/keys', () => {
  const text = [
    '0369efba I------     1 perm 0f0b0000     0     0 keyring   .blacklist: empty',
    '2d1fd2f4 I--Q---     1 perm 3f010000     0     0 user      mark: 1',
    '00b378cb I--Q---     2 perm 3f030000  1000     0 keyring   my: ring: empty',
    '32923655 I--Q---    12 1w  1f3f0000     0 65534 keyring   _uid.0: 4',
    '',
  ].join('\n');
  expect(parseKeyrings(text.replace('1w ', 'perm'))).toEqual([
    { serial: 0x369efba, name: '.blacklist' },
    { serial: 0xb378cb, name: 'my: ring' },
    { serial: 0x32923655, name: '_uid.0' },
  ]);
});

const task = (first: boolean) => ({ pid: 12, tree: { first: () => first } }) as unknown as FrozenTask;

test('none, or one that was looked at', () => {
  expect(() => checkSession({ task: task(true), tid: 12 }, -126n, 0)).not.toThrow();
  expect(() => checkSession({ task: task(false), tid: 12 }, 7n, 0)).not.toThrow();
});

test('one that cannot be looked into is refused', () => {
  expect(() => checkSession({ task: task(true), tid: 13 }, 0x7fff_fff0n, process.geteuid?.() ?? 0)).toThrow(
    expect.objectContaining({
      code: 'CRTS_KEYRING',
      kind: 'refused',
      pid: 13,
      what: expect.stringMatching(/cannot be looked into/),
    }),
  );
});
