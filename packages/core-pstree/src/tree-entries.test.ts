import type { PstreeEntry } from '@crts/image-io';
import { checkThreads, checkTree } from './tree-entries';

function check(tree: readonly PstreeEntry[], dead: readonly number[] = []) {
  checkTree(tree);
  checkThreads(tree, (pid) => dead.includes(pid));
}

const entry = (pid: number, ppid: number, more: object = {}) => ({
  pid,
  ppid,
  pgid: 1,
  sid: 1,
  threads: [pid],
  ...more,
});

test('a tree with threads passes', () => {
  const tree = [entry(1, 0, { threads: [1, 4] }), entry(2, 1), entry(3, 2, { pgid: 0, sid: 0 })];
  expect(checkTree(tree)).toBe(tree);
  check(tree);
});

test('threads of a zombie are what CRIU found in its memory', () => {
  check([entry(1, 0), entry(2, 1, { threads: [2_684_898_240] })], [2]);
});

test.each([
  ['an empty tree', []],
  ['no root', [entry(1, 7)]],
  ['two roots', [entry(1, 0), entry(2, 0)]],
  ['a missing parent', [entry(1, 0), entry(3, 2)]],
  ['a ring', [entry(1, 0), entry(2, 3), entry(3, 2)]],
  ['a process that is its own parent', [entry(1, 0), entry(2, 2)]],
  ['one pid twice', [entry(1, 0), entry(2, 1), entry(2, 1)]],
  ['a thread that is listed twice', [entry(1, 0, { threads: [1, 2, 2] })]],
  ['a thread of two processes', [entry(1, 0, { threads: [1, 5] }), entry(2, 1, { threads: [2, 5] })]],
  ['a thread with the pid of a process', [entry(1, 0, { threads: [1, 2] }), entry(2, 1)]],
  ['no threads', [entry(1, 0, { threads: [] })]],
  ['a first thread that is not the process', [entry(1, 0, { threads: [2, 1] })]],
])('%s is no tree', (_, tree) => {
  expect(() => check(tree)).toThrow(expect.objectContaining({ code: 'CRTS_IMAGE_REFERENCE', path: 'pstree.img' }));
});

test.each([
  ['pid 0', entry(0, 0)],
  ['a pid above that of any kernel', entry(4_194_305, 0)],
  ['a process group above it', entry(1, 0, { pgid: 4_194_305 })],
  ['a thread above it', entry(1, 0, { threads: [1, 4_194_305] })],
  ['a session above it', entry(1, 0, { sid: 0xffff_ffff })],
])('%s is out of range', (_, first) => {
  expect(() => check([first])).toThrow(expect.objectContaining({ code: 'CRTS_IMAGE_FIELD', path: 'pstree.img' }));
});
