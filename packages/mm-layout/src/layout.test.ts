import { readFileSync } from 'node:fs';
import type { MmEntry } from '@crts/image-io';
import { ProgramBuilder, prctlMmMap, rawSyscall } from '@crts/native-syscalls';
import type {
  FileRegistry,
  FrozenTask,
  PassHead,
  Program,
  RestoreContext,
  TaskImages,
  TaskPlan,
} from '@crts/plugin-api';
import { ADDRESSES, type Addresses, impossible } from './addresses';
import { layoutNotSet } from './errors';
import { layoutHandler } from './handler';

const layout: Addresses = {
  mm_start_code: 0x400000n,
  mm_end_code: 0x401000n,
  mm_start_data: 0x402000n,
  mm_end_data: 0x403000n,
  mm_start_brk: 0x500000n,
  mm_brk: 0x521000n,
  mm_start_stack: 0x7ffc_0000_1000n,
  mm_arg_start: 0x7ffc_0000_2000n,
  mm_arg_end: 0x7ffc_0000_2010n,
  mm_env_start: 0x7ffc_0000_2010n,
  mm_env_end: 0x7ffc_0000_2100n,
};
const mm = (more: Partial<MmEntry> = {}) =>
  ({
    ...layout,
    exe_file_id: 9,
    mm_saved_auxv: [6n, 4096n, 0n, 0n],
    crts_saved_auxv: [],
    vmas: [],
    aios: [],
    ...more,
  }) as unknown as MmEntry;

const bytesOf = (words: bigint[]) => Buffer.from(new BigUint64Array(words).buffer);

function plan(entry: MmEntry) {
  const program = new ProgramBuilder();
  const heads: PassHead[] = [];
  const taskPlan = {
    pid: 12,
    pass(head: PassHead, emit: (program: Program) => void) {
      heads.push(head);
      emit(program);
    },
  } as unknown as TaskPlan;
  const files = {
    open: (builder: Program, id: number) => builder.call('openat', [-100, builder.cstring(`/exe/${id}`), 0, 0]),
    pathOf: (id: number) => `/exe/${id}`,
  };
  layoutHandler.plan({ mm: entry } as unknown as TaskImages, taskPlan, { files } as unknown as RestoreContext);
  return { heads, program };
}

test('the plan: after all mappings, with the executable and the auxiliary vector', () => {
  const { heads, program } = plan(mm());
  expect(heads).toMatchObject([{ stage: 'memory', needs: ['vmas'], provides: ['mm'] }]);
  expect(program.text()).toEqual([
    'openat(AT_FDCWD, "/exe/9", 0, 0)',
    'store(&<104 bytes>+100, $0, 4)',
    `store(&<104 bytes>+88, &<${bytesOf([6n, 4096n, 0n, 0n]).toString('hex')}>, 8)`,
    'prctl(35, 14, &<104 bytes>, 104, 0)',
    'close($0)',
  ]);
  const map = program.instructions[1]!.storeAt!.data.content!;
  expect(prctlMmMap.get(map, 'start_code')).toBe(0x400000n);
  expect(prctlMmMap.get(map, 'brk')).toBe(0x521000n);
  expect(prctlMmMap.get(map, 'start_stack')).toBe(0x7ffc_0000_1000n);
  expect(prctlMmMap.get(map, 'env_end')).toBe(0x7ffc_0000_2100n);
  expect(prctlMmMap.get(map, 'auxv_size')).toBe(32);
});

test('the whole auxiliary vector is taken where the images have it', () => {
  const { program } = plan(mm({ crts_saved_auxv: Array.from({ length: 46 }, () => 1n) }));
  expect(prctlMmMap.get(program.instructions[1]!.storeAt!.data.content!, 'auxv_size')).toBe(46 * 8);
});

/** Values that the kernel refuses, whatever else is true. Those that it takes would change this very process. */
const REFUSED: [string, Partial<Addresses>][] = [
  ...ADDRESSES.map(([field]): [string, Partial<Addresses>] => [`${field} zero`, { [field]: 0n }]),
  ...ADDRESSES.map(([field]): [string, Partial<Addresses>] => [`${field} behind`, { [field]: 0x7fff_ffff_f000n }]),
  ...ADDRESSES.map(([field]): [string, Partial<Addresses>] => [`${field} all ones`, { [field]: 2n ** 64n - 1n }]),
  ['no code', { mm_start_code: 0x401000n }],
  ['code reversed', { mm_start_code: 0x401001n }],
  ['data reversed', { mm_start_data: 0x403001n }],
  ['brk reversed', { mm_start_brk: 0x521001n }],
  ['arguments reversed', { mm_arg_start: 0x7ffc_0000_2011n }],
  ['environment reversed', { mm_env_start: 0x7ffc_0000_2101n }],
];

test.each(REFUSED)('hostile images: %s is refused, by the kernel too', (_what, more) => {
  const bad = { ...layout, ...more };
  expect(() => plan(mm(more))).toThrow(/mm-12\.img: mm_entry: mm_.*CRTS_IMAGE_FIELD/);
  expect(tellKernel(bad)).toBe(-22);
});

/** PR_SET_MM_MAP on this process, without executable and vector. */
function tellKernel(addresses: Addresses): number {
  const map = Buffer.alloc(prctlMmMap.size);
  ADDRESSES.forEach(([field], index) => {
    map.writeBigUInt64LE(addresses[field], 8 * index);
  });
  map.writeUInt32LE(0xffff_ffff, prctlMmMap.offsets.exe_fd);
  return rawSyscall('prctl', 35, 14, map, map.length, 0);
}

/** As stat has them; an empty argument list and the like stay possible. */
function own(): Addresses {
  const fields = readFileSync('/proc/self/stat', 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  const at = (number: number) => BigInt(fields[number - 3]!);
  return {
    mm_start_code: at(26),
    mm_end_code: at(27),
    mm_start_data: at(45),
    mm_end_data: at(46),
    mm_start_brk: at(47),
    mm_brk: BigInt(rawSyscall('brk', 0)),
    mm_start_stack: at(28),
    mm_arg_start: at(48),
    mm_arg_end: at(49),
    mm_env_start: at(50),
    mm_env_end: at(51),
  };
}

test('what the kernel takes is not refused: no capability is needed, empty ranges are possible', () => {
  const now = own();
  try {
    for (const more of [
      {},
      { mm_arg_start: now.mm_arg_end },
      { mm_env_start: now.mm_env_end },
      { mm_start_data: now.mm_end_data },
    ]) {
      expect(tellKernel({ ...now, ...more })).toBe(0);
      expect(impossible({ ...now, ...more })).toBeUndefined();
    }
  } finally {
    tellKernel(now);
  }
});

test.each([0, 65, 100_000])('an auxiliary vector of %d words is refused', (length) => {
  expect(() => plan(mm({ mm_saved_auxv: Array.from({ length }, () => 1n) }))).toThrow(
    /mm_saved_auxv.*CRTS_IMAGE_FIELD/,
  );
});

test('what the kernel says at the restore names the executable and the cure', () => {
  expect(layoutNotSet(12, '/exe', 'EACCES')).toMatchObject({ code: 'CRTS_FILE_OPEN', path: '/exe', pid: 12 });
  expect(layoutNotSet(12, '/exe', 'EPERM').hint).toMatch(/CAP_CHECKPOINT_RESTORE/);
});

const STAT: Record<string, string> = Object.fromEntries(
  ADDRESSES.flatMap(([field, stat]) => (stat === undefined ? [] : [[stat, String(layout[field])]])),
);

function frozen(more: object = {}) {
  const paths: Parameters<FileRegistry['addPath']>[1][] = [];
  const images = { mm: mm() };
  const task = {
    pid: 12,
    hostPid: process.pid,
    facts: { stat: STAT },
    images,
    files: {
      addPath: (_task: unknown, file: (typeof paths)[number]) => {
        paths.push(file);
        return 4;
      },
    },
    readLink: () => '/usr/bin/thing',
    readProcBytes: () => bytesOf([33n, 0x7000n, 6n, 4096n, 0n, 0n, 0n, 0n]),
    ...more,
  } as unknown as FrozenTask;
  return { task, images, paths };
}

/** Dumps with these answers of the task. */
function dump(task: FrozenTask, answers: { brk: bigint; modify_ldt?: bigint }) {
  const calls: string[] = [];
  const program = {
    call(name: 'brk' | 'modify_ldt') {
      calls.push(name);
      return { value: answers[name] ?? 0n };
    },
    out: () => ({}),
  } as unknown as Program;
  layoutHandler.dump(task, program)();
  return calls;
}

test('a dump takes the addresses of stat, the end of the heap of the task, the vector up to its end', () => {
  const { task, images, paths } = frozen();
  dump(task, { brk: 0x530000n });
  expect(images.mm).toMatchObject({ ...layout, mm_brk: 0x530000n, exe_file_id: 4 });
  expect(images.mm.mm_saved_auxv).toEqual([33n, 0x7000n, 6n, 4096n, 0n, 0n]);
  expect(images.mm.crts_saved_auxv).toEqual([]);
  expect(paths).toMatchObject([{ path: '/usr/bin/thing', deleted: false, via: `/proc/${process.pid}/exe` }]);
});

test('a vector longer than CRIU takes is whole in the field of our own', () => {
  const words = [...Array.from({ length: 46 }, (_, index) => BigInt(index + 1)), 0n, 0n];
  const { task, images } = frozen({ readProcBytes: () => bytesOf([...words, 7n, 7n]) });
  dump(task, { brk: 1n });
  expect(images.mm.mm_saved_auxv).toEqual(words.slice(0, 44));
  expect(images.mm.crts_saved_auxv).toEqual(words);
});

test('an executable that was deleted is told so, without the mark of the kernel', () => {
  const { task, paths } = frozen({ readLink: () => '/usr/bin/thing (deleted)' });
  dump(task, { brk: 1n });
  expect(paths).toMatchObject([{ path: '/usr/bin/thing', deleted: true }]);
});

test('a task is refused at the dump when its images could not be restored', () => {
  expect(layoutHandler.refuse!(frozen().task)).toBeUndefined();
  const strange = frozen({ facts: { stat: { ...STAT, arg_start: '0' } } });
  expect(layoutHandler.refuse!(strange.task)).toMatchObject({ code: 'CRTS_IMAGE_FIELD', kind: 'refused', pid: 12 });
  const gone = frozen({ hostPid: 'no-such-task' });
  expect(layoutHandler.refuse!(gone.task)).toMatchObject({ code: 'CRTS_FILE_OPEN', kind: 'refused', pid: 12 });
});

test('segments of its own are refused; a kernel without the call has none', () => {
  expect(() => dump(frozen().task, { brk: 1n, modify_ldt: 8n })).toThrow(/CRTS_LDT/);
  expect(() => dump(frozen().task, { brk: 1n, modify_ldt: 0xffff_ffdan })).not.toThrow();
});
