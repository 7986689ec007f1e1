import { ProgramBuilder } from '@crts/native-syscalls';
import type { ImageRecord, Logger } from '@crts/plugin-api';
import { clockShift, clocksOf, enterTimeNamespace, OWN_TIME_NS, planClocks } from './clocks';

const log = { warn: () => undefined } as unknown as Logger;
const ENGINE = 5;
const DAY_NS = 86_400n * 1_000_000_000n;
type Clock = { tv_sec: bigint; tv_nsec: bigint };

/** Images of a tree whose time namespace has this number. */
function images(id: number, monotonic: Clock, boottime: Clock, more: Record<string, ImageRecord[]> = {}) {
  const timens = id === ENGINE ? 'timens 0' : `timens ${id}`;
  const known: Record<string, ImageRecord[]> = {
    'inventory undefined': [{ root_ids: { time_ns_id: ENGINE } }],
    'ids 12': [{ time_ns_id: id }],
    [timens]: [{ monotonic, boottime }],
    ...more,
  };
  return {
    read: (kind: string, number: number | undefined) => known[`${kind} ${number}`]!,
    has: (kind: string, number?: number) => known[`${kind} ${number}`] !== undefined,
  };
}

function now(ahead: bigint): Clock {
  const { monotonic } = clocksOf({ monotonic: ahead, boottime: 0n }) as { monotonic: Clock };
  return monotonic;
}

test('clocks that the machine has passed: no namespace', () => {
  const then = { tv_sec: 1n, tv_nsec: 0n };
  expect(planClocks(images(ENGINE, then, then), 12, log)).toBeUndefined();
});

test('images without clocks: no namespace', () => {
  const none = { read: () => [], has: () => false };
  expect(planClocks(none, 12, log)).toBeUndefined();
});

test('clocks ahead of the machine: a namespace where they go on from the dump', () => {
  const clocks = planClocks(images(ENGINE, now(DAY_NS), { tv_sec: 1n, tv_nsec: 0n }), 12, log)!;
  expect(clocks.text).toMatch(/^time namespace: monotonic from \d+\.\d{3} s$/);
  expect(clocks.shift.boottime).toBe(0n);
  expect(Number(DAY_NS - clocks.shift.monotonic)).toBeLessThan(60e9);
  expect(clocks.offsets).toMatch(/^monotonic 86[34]\d\d \d+\nboottime 0 0\n$/);
});

test('a tree that had a namespace gets one, also with clocks behind those of the machine', () => {
  const clocks = planClocks(images(OWN_TIME_NS, { tv_sec: 1n, tv_nsec: 5n }, now(DAY_NS)), 12, log)!;
  expect(clocks.shift.monotonic < 0n).toBe(true);
  // Of a negative offset the nanoseconds count forward.
  expect(clocks.offsets).toMatch(/^monotonic -\d+ \d{1,9}\nboottime \d+ \d+\n$/);
});

test.each([
  ['seconds', { tv_sec: 4_611_686_019n, tv_nsec: 0n }],
  ['nanoseconds', { tv_sec: 0n, tv_nsec: 1_000_000_000n }],
])('%s that no clock can have are refused', (_what, monotonic) => {
  const set = images(ENGINE, monotonic, { tv_sec: 1n, tv_nsec: 0n });
  expect(() => planClocks(set, 12, log)).toThrow(expect.objectContaining({ code: 'CRTS_IMAGE_FIELD' }));
});

test('an image without its entry is refused', () => {
  const set = images(ENGINE, now(0n), now(0n), { 'timens 0': [] });
  expect(() => planClocks(set, 12, log)).toThrow(expect.objectContaining({ code: 'CRTS_IMAGE_FIELD' }));
});

test('the root makes the namespace, sets it, and enters it', () => {
  const program = new ProgramBuilder();
  enterTimeNamespace(program, { shift: { monotonic: 1n, boottime: 0n }, offsets: 'monotonic 0 1\n', text: 'why' });
  expect(program.text().map((line) => line.replace(/\(.*/, ''))).toEqual([
    'unshare',
    'openat',
    'write',
    'close',
    'openat',
    'setns',
    'close',
  ]);
});

test('this process has its own clocks', () => {
  expect(clockShift(process.pid)).toBeUndefined();
});
