import type { ImageReader } from '@crts/image-io';
import { readImageSet } from './image-set';

const PID = 10;
const CHILD = 11;

/** A root with one mapping, and a child, dead unless it has ids of its own. */
function images({ exitCode = 0, start = 0x1000n, end = 0x2000n, childIds = {} }): ImageReader {
  const lives = Object.keys(childIds).length > 0;
  const core = (task_state: number, exit_code: number) => ({ tc: { task_state, exit_code, comm: 'x' } });
  const single: Record<string, unknown> = {
    inventory: { img_version: 2 },
    [`core${PID}`]: core(1, 0),
    [`core${CHILD}`]: core(lives ? 1 : 2, exitCode),
    [`ids${PID}`]: { files_id: 1, vm_id: 1, fs_id: 1, sighand_id: 1 },
    [`ids${CHILD}`]: childIds,
    [`mm${CHILD}`]: { vmas: [] },
    [`fs${CHILD}`]: {},
    [`mm${PID}`]: { vmas: [{ start, end, status: 1 }] },
    [`fs${PID}`]: {},
  };
  const entry = (pid: number, ppid: number) => ({ pid, ppid, pgid: PID, sid: PID, threads: [pid] });
  const lists: Record<string, unknown[]> = { pstree: [entry(PID, 0), entry(CHILD, PID)] };
  return {
    has: (kind: string) => kind in lists,
    read: (kind: string) => lists[kind] ?? [],
    items: (kind: string) => (lists[kind] ?? []).map((value) => ({ value })),
    readOne: (kind: string, id?: number) => single[`${kind}${id ?? ''}`],
  } as unknown as ImageReader;
}

test.each([0, 0x0300, 0xff00, 9, 13, 0x8b, 34, 64])('a zombie with the status 0x%p', (exitCode) => {
  expect(readImageSet(images({ exitCode })).dead[0]!.exitCode).toBe(exitCode);
});

test.each([
  ['signal 65', 65],
  ['the mark of a stop', 0x7f],
  ['SIGSTOP, which would hold up the restore', 19],
  ['SIGCHLD, which ends nothing', 17],
  ['a signal and a code', 0x0109],
  ['a core dump without a signal', 0x80],
  ['more than 16 bits', 0x10000],
])('no process ends with %s', (_, exitCode) => {
  expect(() => readImageSet(images({ exitCode }))).toThrow(expect.objectContaining({ code: 'CRTS_IMAGE_FIELD' }));
});

test.each([
  ['empty', { start: 0x1000n, end: 0x1000n }],
  ['upside down', { start: 0x3000n, end: 0x1000n }],
  ['between pages', { start: 0x1000n, end: 0x1800n }],
])('a mapping that is %s', (_, range) => {
  expect(() => readImageSet(images(range))).toThrow(expect.objectContaining({ code: 'CRTS_IMAGE_FIELD' }));
});

const APART = { files_id: 2, vm_id: 2, fs_id: 2, sighand_id: 2 };

test('processes that share nothing', () => {
  expect(readImageSet(images({ childIds: APART })).tasks).toHaveLength(2);
});

const owners = (childIds: object) => readImageSet(images({ childIds })).tasks.map((task) => task.owners);

test('each kind is made by the first task that has it', () => {
  const own = (pid: number) => ({ vm: pid, files: pid, fs: pid, sighand: pid });
  expect(owners(APART)).toEqual([own(PID), own(CHILD)]);
  expect(owners({ ...APART, files_id: 1 })).toEqual([own(PID), { ...own(CHILD), files: PID }]);
  expect(owners({ ...APART, fs_id: 1, vm_id: 1 })[1]).toEqual({ ...own(CHILD), fs: PID, vm: PID });
});

test('who shares memory has the mappings of the other', () => {
  const { tasks } = readImageSet(images({ childIds: { ...APART, vm_id: 1 } }));
  expect(tasks[1]!.images.mm).toBe(tasks[0]!.images.mm);
});

test('signal actions are shared only with memory', () => {
  expect(() => owners({ ...APART, sighand_id: 1 })).toThrow(
    expect.objectContaining({ code: 'CRTS_IMAGE_REFERENCE', path: `ids-${CHILD}.img` }),
  );
});
