import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ImageRecord } from '@crts/plugin-api';
import fc from 'fast-check';
import { decodeMessage, encodeMessage } from './codec';
import { ImageError } from './errors';
import { bufferSource, detectKind, encodeImage, readItems } from './image-file';
import { imageKinds } from './kinds';

const fixtures = join(__dirname, '../fixtures');
const recorded = readdirSync(fixtures, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .flatMap(({ name }) => readdirSync(join(fixtures, name)).map((file) => join(name, file)));

const basename = (path: string) => path.split('/').at(-1)!;

function decode(bytes: Buffer, file: string) {
  const source = bufferSource(bytes);
  const kind = detectKind(source, file);
  return { kind, items: [...readItems(source, kind, file)] };
}

test.each(recorded)('%s decodes and encodes to the same bytes', (path) => {
  const bytes = readFileSync(join(fixtures, path));
  const { kind, items } = decode(bytes, basename(path));
  expect(encodeImage(kind, items).equals(bytes)).toBe(true);
});

const VMA = { start: 0n, end: 0n, pgoff: 0n, shmid: 0n, prot: 0, flags: 0, status: 0, fd: 0n };
const MM = {
  ...{
    mm_start_code: 0n,
    mm_end_code: 0n,
    mm_start_data: 0n,
    mm_end_data: 0n,
    mm_start_stack: 0n,
    mm_start_brk: 0n,
    mm_brk: 0n,
  },
  ...{
    mm_arg_start: 0n,
    mm_arg_end: 0n,
    mm_env_start: 0n,
    mm_env_end: 0n,
    exe_file_id: 1,
    mm_saved_auxv: [],
    dumpable: 1,
  },
};
const FPREGS = {
  ...{ cwd: 0, swd: 0, twd: 0, fop: 0, rip: 0n, rdp: 0n, mxcsr: 0, mxcsr_mask: 0 },
  ...{ st_space: [], xmm_space: [], padding: [] },
};

test('a frozen message of a tree is written from memory wherever it comes again', () => {
  const vmas = [1n, 2n, 3n].map((start) => Object.freeze({ ...VMA, start }));
  const plain = vmas.map((vma) => ({ ...vma }));
  const encode = (list: readonly ImageRecord[]) => encodeMessage('mm_entry', { ...MM, vmas: list });
  for (let round = 0; round < 3; round++) expect(encode(vmas)).toEqual(encode(plain));
  expect(encode([...vmas].reverse())).toEqual(encode([...plain].reverse()));
});

test('what is frozen is written from memory, what may have changed is not', () => {
  const limit = { cur: 5n, max: 2n ** 64n - 1n };
  const frozen = Object.freeze({ ...limit });
  const plain = encodeMessage('task_rlimits_entry', { rlimits: [limit, limit] });
  for (let round = 0; round < 2; round++)
    expect(encodeMessage('task_rlimits_entry', { rlimits: [frozen, limit, frozen].slice(0, 2) })).toEqual(plain);
  limit.cur = 6n;
  const [first, second] = decodeMessage(
    'task_rlimits_entry',
    encodeMessage('task_rlimits_entry', { rlimits: [frozen, limit] }),
  ).rlimits as (typeof limit)[];
  expect([first!.cur, second!.cur]).toEqual([5n, 6n]);
  const zeros = Object.freeze([0, 0, 0]);
  const words = (st_space: readonly number[]) => encodeMessage('user_x86_fpregs_entry', { ...FPREGS, st_space });
  expect(words(zeros)).toEqual(words([0, 0, 0]));
  expect(words(zeros)).toEqual(words([0, 0, 0]));
  expect(words(Object.freeze([0, 0]))).toEqual(words([0, 0]));
});

test.each([
  0n,
  1n,
  0x7fn,
  0x80n,
  0xffff_ffffn,
  0x1_0000_0000n,
  0x7fff_ffff_ffff_ffffn,
  2n ** 63n,
  2n ** 64n - 2n,
  2n ** 64n - 1n,
])('%s is written and read', (value) => {
  const decoded = decodeMessage('rlimit_entry', encodeMessage('rlimit_entry', { cur: value, max: 0n }));
  expect(decoded.cur).toBe(value);
  const signed = BigInt.asIntN(64, value);
  expect(decodeMessage('vma_entry', encodeMessage('vma_entry', { ...VMA, fd: signed })).fd).toBe(signed);
});

test('what an image has in common with the one before is decoded once', () => {
  const bytes = readFileSync(join(fixtures, 'sleep/core-6370.img'));
  const [first] = decode(Buffer.from(bytes), 'core-1.img').items;
  const [again] = decode(Buffer.from(bytes), 'core-2.img').items;
  expect(again!.value).toBe(first!.value);
  const kind = detectKind(bufferSource(bytes), 'core-1.img');
  const value = first!.value as { tc: object; thread_core: { sched_nice: number } };
  const changed = { ...value, thread_core: { ...value.thread_core, sched_nice: 5 } };
  const [other] = decode(encodeImage(kind, [{ value: changed }]), 'core-3.img').items;
  expect(other!.value).toEqual(changed);
  expect(other!.value.tc).toBe(value.tc);
});

test('the recorded images are of many kinds', () => {
  const kinds = new Set(recorded.map((path) => decode(readFileSync(join(fixtures, path)), basename(path)).kind.kind));
  expect([...kinds].sort()).toEqual(
    expect.arrayContaining(['core', 'files', 'ghost-file', 'mm', 'pipes-data', 'pstree', 'sk-queues', 'tty-info']),
  );
});

test('every kind has a name and a pattern of its own', () => {
  const kinds = imageKinds();
  expect(kinds.length).toBeGreaterThanOrEqual(80);
  expect(new Set(kinds.map((kind) => kind.kind)).size).toBe(kinds.length);
  expect(new Set(kinds.map((kind) => kind.pattern)).size).toBe(kinds.length);
});

test('damage is an ImageError that names file, place and field', () => {
  const bytes = readFileSync(join(fixtures, 'sleep/core-6370.img'));
  const error = (change: Buffer) => {
    try {
      decode(change, 'core-1.img');
    } catch (thrown) {
      return thrown as ImageError;
    }
    throw new Error('was taken');
  };
  expect(error(bytes.subarray(0, 100))).toMatchObject({
    code: 'CRTS_IMAGE_TRUNCATED',
    path: 'core-1.img',
    place: { entry: 0, offset: 8 },
  });
  expect(error(Buffer.from('00000000', 'hex')).code).toBe('CRTS_IMAGE_MAGIC');
  const huge = Buffer.from(bytes);
  huge.writeUInt32LE(0xffff_fff0, 8);
  expect(error(huge).code).toBe('CRTS_IMAGE_TRUNCATED');
  const missing = encodeImage(detectKind(bufferSource(bytes), 'core-1.img'), [{ value: { mtype: 1 } }]);
  missing.writeUInt32LE(0, 8);
  expect(error(missing.subarray(0, 12))).toMatchObject({
    code: 'CRTS_IMAGE_FIELD',
    place: { field: 'core_entry.mtype' },
  });
});

test('fields of newer versions survive', () => {
  const newer = Buffer.concat([encodeMessage('pagemap_head', { pages_id: 7 }), Buffer.from([0xf8, 0x3f, 0x05])]);
  const value = decodeMessage('pagemap_head', newer);
  expect(Object.keys(value)).toEqual(['pages_id']);
  expect(encodeMessage('pagemap_head', value).equals(newer)).toBe(true);
});

test('names that are no UTF-8 keep their bytes', () => {
  const bytes = Buffer.concat([
    Buffer.from([0x0a, 0x04]),
    Buffer.from([0x61, 0xff, 0xc3, 0xa4]),
    Buffer.from([0x12, 0x00]),
  ]);
  const value = decodeMessage('aa_policy', bytes);
  expect(value.name).toBe('a\udcff\u00e4');
  expect(encodeMessage('aa_policy', value).equals(bytes)).toBe(true);
});

test('what cannot be written exactly is refused', () => {
  const refuse = (value: Record<string, unknown>) =>
    expect(() => encodeMessage('pagemap_entry', { compat_nr_pages: 0, ...value })).toThrow(/CRTS_IMAGE_FIELD/);
  refuse({ vaddr: 5 });
  refuse({ vaddr: -1n });
  refuse({ vaddr: 2n ** 64n });
  refuse({ vaddr: 0n, flags: 2 ** 32 });
  refuse({ vaddr: 0n, flag: 1 });
  refuse({ flags: 1 });
  expect(
    decodeMessage('pagemap_entry', encodeMessage('pagemap_entry', { vaddr: 2n ** 64n - 1n, compat_nr_pages: 0 })).vaddr,
  ).toBe(2n ** 64n - 1n);
});

// A damaged image may be refused or understood; it must not crash, hang, or take memory beyond a few times its size.
test('flipped, cut and spliced images end in ImageErrors at worst', () => {
  const images = recorded.map((path) => ({ file: basename(path), bytes: readFileSync(join(fixtures, path)) }));
  const seed = Number(process.env.CRTS_SEED ?? 20261126);
  const property = fc.property(
    fc.nat(images.length - 1),
    fc.nat(images.length - 1),
    fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 6 }),
    fc.double({ min: 0, max: 1, noNaN: true }),
    fc.boolean(),
    (first, second, flips, cut, splice) => {
      const { file, bytes } = images[first]!;
      const at = Math.floor(cut * bytes.length);
      const damaged = splice
        ? Buffer.concat([bytes.subarray(0, at), images[second]!.bytes.subarray(at)])
        : Buffer.from(cut < 0.5 ? bytes.subarray(0, at) : bytes);
      for (const [position, value] of flips) if (damaged.length > 0) damaged[position % damaged.length] = value;
      const before = process.memoryUsage().arrayBuffers;
      try {
        const { kind, items } = decode(damaged, file);
        encodeImage(kind, items);
      } catch (error) {
        if (!(error instanceof ImageError)) throw error;
      }
      expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(64 * 1024 * 1024);
    },
  );
  fc.assert(property, { numRuns: 3000, seed });
}, 60_000);
