import type { RegFileEntry } from '@crts/image-io';
import type { FdPlanContext } from '@crts/plugin-api';
import { lateEntry } from './thread-entry';

const context = {
  items: (kind: string) => (kind === 'pstree' ? [{ value: { pid: 100, threads: [100, 101] } }] : []),
} as unknown as FdPlanContext;
const late = (name: string, more: Partial<RegFileEntry> = {}) =>
  lateEntry({ name, flags: 0, pos: 0n, ...more } as RegFileEntry, context)?.what;

test('entries of threads that are no main threads come when these are there', () => {
  expect(late('/proc/100/task/101/status')).toBe('open /proc/100/task/101/status');
  expect(late('/proc/100/task/101')).toBe('open /proc/100/task/101');
  expect(late('/proc/101/comm')).toBe('open /proc/101/comm');
});

test.each([
  '/proc/100/task/100/status',
  '/proc/100/status',
  '/proc/100/task',
  '/proc/102/task/103',
  '/proc/101x',
  '/srv/101',
])('%s comes with all others', (name) => expect(late(name)).toBeUndefined());

test('a name that leads elsewhere is none of a thread', () => {
  expect(late('/proc/100/task/101/../../../etc/shadow')).toBeUndefined();
  expect(late('/proc/100/task/101/..')).toBeUndefined();
  expect(late('/proc/100/task/101/status', { ext: true })).toBeUndefined();
});
