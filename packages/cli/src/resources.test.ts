import { closeSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CrtsError } from '@crts/plugin-api';
import { parseArguments } from './parse';
import { externalResources, ghostLimit, inheritedFds } from './resources';

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof CrtsError) return error.code;
    throw error;
  }
  return 'none';
}

test.each([
  [undefined, 1n << 20n],
  ['0', 0n],
  ['4096', 4096n],
  ['64K', 65536n],
  ['3m', 3n << 20n],
  ['2G', 2n << 30n],
])('--ghost-limit %s', (text, size) => {
  expect(ghostLimit(text)).toBe(size);
});

test.each(['', '-1', '1T', 'K', '99999999999G', '1.5M'])('--ghost-limit "%s" is none', (text) => {
  expect(codeOf(() => ghostLimit(text))).toBe('CRTS_OPTION_VALUE');
});

const external = (...words: string[]) => externalResources(parseArguments(['dump', ...words]));

test('external resources and unix sockets are one list', () => {
  const list = external('--external', 'file[a:B]', '--external=mnt[/x]:y', '-x12,13', '-x');
  expect(list.all.map(({ kind, id, value }) => [kind, id, value])).toEqual([
    ['file', 'a:b', undefined],
    ['mnt', '/x', 'y'],
    ['unix', '12', undefined],
    ['unix', '13', undefined],
  ]);
  expect(codeOf(() => external('--external', 'file[x]'))).toBe('CRTS_OPTION_VALUE');
  expect(codeOf(() => external('--ext-unix-sk=12,a'))).toBe('CRTS_OPTION_VALUE');
});

test('inherited descriptors must be open, and not of node itself', () => {
  const path = join(tmpdir(), `crts-inherit-${process.pid}`);
  const fd = openSync(path, 'w');
  try {
    expect(inheritedFds([`fd[${fd}]:file[1:2]`]).fdFor('file[1:2]')).toBe(fd);
    expect(codeOf(() => inheritedFds(['fd[1000000]:x']))).toBe('CRTS_INHERIT_FD');
    expect(codeOf(() => inheritedFds(['x']))).toBe('CRTS_OPTION_VALUE');
    expect(inheritedFds([`debug[${fd}]:mark\n`]).unused).toEqual([]);
    expect(readFileSync(path, 'utf8')).toBe('mark\n');
  } finally {
    closeSync(fd);
    rmSync(path);
  }
});
