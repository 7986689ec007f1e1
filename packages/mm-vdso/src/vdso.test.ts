import type { MmEntry, VmaEntry } from '@crts/image-io';
import { ProgramBuilder } from '@crts/native-syscalls';
import type {
  FrozenTask,
  MappingHead,
  PassHead,
  PrivateMapping,
  RestoreContext,
  TaskImages,
  TaskPlan,
  VmaFacts,
} from '@crts/plugin-api';
import { vdsoMapping } from './handler';
import { findVdso, type KernelVdso, kernelVdso, misfit } from './kernel-vdso';
import { vdsoState } from './state';

/** /proc/self/maps of a program of Debian 12 on Linux 6.18, shortened; the file called [vdso] was added. */
const MAPS = `7fb2c2606000-7fb2c2608000 rw-p 00000000 00:00 0
7fb2c2611000-7fb2c2615000 r--p 00000000 00:00 0                          [vvar]
7fb2c2615000-7fb2c2617000 r--p 00000000 00:00 0                          [vvar_vclock]
7fb2c2617000-7fb2c2619000 r-xp 00000000 00:00 0                          [vdso]
7fb2c2619000-7fb2c261a000 r--p 00000000 fe:00 338944                     /tmp/[vdso]
7ffcd0a2c000-7ffcd0a4d000 rw-p 00000000 00:00 0                          [stack]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
`;
const DATA = 0x7fb2c2611000n;
const CODE = 0x7fb2c2617000n;
const END = 0x7fb2c2619000n;
const code = Buffer.alloc(0x2000, 0x90);
const kernel: KernelVdso = { dataBytes: 0x6000n, code };
const vdso = { start: CODE, end: END };
const vvar = { start: DATA, end: CODE };

const vdsoHandler = vdsoMapping(() => kernel);
const VDSO = 0x209;
const VVAR = 0x1201;
const VSYSCALL = 0x204;

function entry(start: bigint, end: bigint, status: number, prot: number, more: Partial<VmaEntry> = {}): VmaEntry {
  return { start, end, pgoff: 0n, shmid: 0n, prot, flags: 0x22, status, fd: -1n, ...more };
}
const good = [
  entry(DATA, CODE, VVAR, 1, { madv: 0x10000n }),
  entry(CODE, END, VDSO, 5),
  entry(0xffff_ffff_ff60_0000n, 0xffff_ffff_ff60_1000n, VSYSCALL, 4),
];
const images = (vmas: VmaEntry[]) => ({ mm: { vmas } as unknown as MmEntry }) as unknown as TaskImages;
const context = (stored: Buffer | undefined = code) => ({ pages: { read: () => stored } }) as unknown as RestoreContext;

/** Checks as the engine asks for them, then the passes as text. */
function plan(vmas: VmaEntry[], stored?: Buffer) {
  const passes: { head: PassHead; text: string[] }[] = [];
  const pass = (head: PassHead, emit: (program: ProgramBuilder) => void) => {
    const program = new ProgramBuilder();
    emit(program);
    passes.push({ head, text: program.text() });
  };
  const taskPlan = {
    pass,
    privateMapping: (head: MappingHead, mapping: PrivateMapping) =>
      pass({ ...head, stage: 'memory' }, (program) => {
        mapping.map(program);
        mapping.finish(program);
      }),
  } as unknown as TaskPlan;
  vdsoState(() => kernel).plan(images(vmas), taskPlan, context(stored));
  for (const vma of vmas) vdsoHandler.plan(vma as never, images(vmas), taskPlan, context(stored));
  return passes;
}

test('the parts are found by name, and a file of that name is none', () => {
  expect(findVdso(MAPS)).toEqual({
    data: [
      { start: DATA, end: 0x7fb2c2615000n },
      { start: 0x7fb2c2615000n, end: CODE },
    ],
    code: vdso,
  });
  expect(findVdso('7ffcd0a2c000-7ffcd0a4d000 rw-p 00000000 00:00 0    [stack]\n')).toEqual({
    data: [],
    code: undefined,
  });
});

test("the engine's own vdso is an ELF file and fits itself", () => {
  const own = kernelVdso()!;
  expect(own.code.subarray(1, 4).toString()).toBe('ELF');
  const range = { start: 0x10000n, end: 0x10000n + BigInt(own.code.length) };
  const data = { start: range.start - own.dataBytes, end: range.start };
  expect(misfit(own, [range], [data], () => own.code)).toBeUndefined();
});

test.each([
  ['nothing at all', [], [], undefined],
  ['as the kernel makes it', [vdso], [vvar], undefined],
  [
    'data in two mappings, in any order',
    [vdso],
    [
      { start: DATA + 0x4000n, end: CODE },
      { start: DATA, end: DATA + 0x4000n },
    ],
    undefined,
  ],
  ['no code', [], [vvar], 'has data pages and no code'],
  ['no data', [vdso], [], 'has other data pages'],
  ['code moved away', [{ start: END, end: END + 0x2000n }], [vvar], 'has its data pages elsewhere'],
  [
    'a hole in the data',
    [vdso],
    [
      { start: DATA, end: DATA + 0x1000n },
      { start: DATA + 0x2000n, end: CODE },
    ],
    'has its data pages elsewhere',
  ],
  ['less data', [vdso], [{ start: DATA, end: DATA + 0x1000n }], 'has other data pages'],
  [
    'code cut in two',
    [
      { start: CODE, end: CODE + 0x1000n },
      { start: CODE + 0x1000n, end: END },
    ],
    [vvar],
    'is in pieces',
  ],
  ['less code', [{ start: CODE, end: CODE + 0x1000n }], [vvar], 'is of another size'],
])('%s', (_what, vdsos, data, how) => {
  expect(misfit(kernel, vdsos, data, () => code)).toBe(how);
});

test('other code, and code that was not stored', () => {
  const patched = Buffer.from(code);
  patched[100] = 0xcc;
  expect(misfit(kernel, [vdso], [vvar], () => patched)).toBe('has other code');
  expect(misfit(kernel, [vdso], [vvar], () => undefined)).toBe('has other code');
  expect(misfit(undefined, [vdso], [vvar], () => code)).toBe('exists, while this kernel has none');
});

test('the plan: tried, mapped, checked; before every other mapping', () => {
  const data = DATA;
  const [pass, ...others] = plan(good);
  expect(others).toEqual([]);
  expect(pass!.head.needs).toEqual(['mm:cleared']);
  expect(pass!.head.provides).toEqual(['mm:cleared', 'vma:7fb2c2617000', 'vmas']);
  const at = `0x${data.toString(16)}`;
  const length = `0x${(END - data).toString(16)}`;
  expect(pass!.text).toEqual([
    `mmap(${at}, ${length}, 0, 0x100022, -1, 0) = ${data}`,
    `munmap(${at}, ${length})`,
    `arch_prctl(0x2003, ${at})`,
    `mprotect(${at}, 0x1000, 1)`,
  ]);
});

test('protection and advice that differ from the kernel’s are set again', () => {
  const changed = [
    { ...good[0]!, madv: 0x10400n },
    { ...good[1]!, prot: 1 },
  ];
  expect(plan(changed)[0]!.text.slice(4)).toEqual([
    `mprotect(0x7fb2c2617000, 0x2000, 1)`,
    `madvise(0x7fb2c2611000, 0x6000, 10)`,
  ]);
});

test('a task without vdso gets none', () => {
  expect(plan([good[2]!])).toEqual([]);
});

test.each([
  ['CRTS_VDSO_DIFFERS', 'two vdsos', [...good, entry(END, END + 0x2000n, VDSO, 5)]],
  ['CRTS_VDSO_DIFFERS', 'vvar alone', [good[0]!]],
  ['CRTS_VDSO_DIFFERS', 'vvar in another place', [entry(0x1000n, 0x7000n, VVAR, 1), good[1]!]],
  ['CRTS_VDSO_DIFFERS', 'a vdso of vast size', [good[0]!, entry(CODE, CODE + (1n << 40n), VDSO, 5)]],
  ['CRTS_VDSO_DIFFERS', 'both at once', [entry(CODE, END, VDSO | VVAR, 5)]],
  ['CRTS_IMAGE_FIELD', 'an unknown protection', [good[0]!, entry(CODE, END, VDSO, 0x107)]],
  ['CRTS_IMAGE_FIELD', 'an unknown protection of the data', [entry(DATA, CODE, VVAR, 0x101), good[1]!]],
  ['CRTS_IMAGE_FIELD', 'vdso and vsyscall page in one', [good[0]!, entry(CODE, END, VDSO | VSYSCALL, 5)]],
  ['CRTS_IMAGE_FIELD', 'a vsyscall page elsewhere', [entry(0x1000n, 0x2000n, VSYSCALL, 4)]],
])('%s: %s', (code, _what, vmas) => {
  expect(() => plan(vmas)).toThrow(expect.objectContaining({ code }));
});

test('images with other code are refused', () => {
  expect(() => plan(good, Buffer.alloc(0x2000))).toThrow(/CRTS_VDSO_DIFFERS/);
});

test('a task that changed its vdso is refused at the dump', () => {
  const facts = (start: bigint, end: bigint, name: string) => ({ start, end, name }) as VmaFacts;
  const task = (vmas: VmaFacts[], memory = code) =>
    ({ pid: 5, facts: { vmas }, readMemory: () => memory }) as unknown as FrozenTask;
  const { refuse } = vdsoState(() => kernel);
  const whole = [facts(DATA, CODE, '[vvar]'), facts(CODE, END, '[vdso]')];
  expect(refuse!(task(whole))).toBeUndefined();
  expect(refuse!(task(whole, Buffer.alloc(0x2000)))).toMatchObject({ code: 'CRTS_VMA_KIND', kind: 'refused', pid: 5 });
  expect(refuse!(task([whole[0]!]))).toMatchObject({ code: 'CRTS_VMA_KIND' });
  expect(refuse!(task([whole[0]!, facts(END, END + 0x2000n, '[vdso]')]))).toMatchObject({ code: 'CRTS_VMA_KIND' });
});

test('entries are as CRIU writes them', () => {
  const facts = (name: string, prot: string, flags: string[]) =>
    ({
      start: CODE,
      end: END,
      read: prot.includes('r'),
      write: false,
      exec: prot.includes('x'),
      shared: false,
      offset: 0n,
      name,
      vmFlags: new Set(flags),
    }) as unknown as VmaFacts;
  const dump = (vma: VmaFacts) => vdsoHandler.dump(vma, {} as FrozenTask);
  expect(dump(facts('[vvar]', 'r', ['rd', 'mr', 'pf', 'io', 'de', 'dd', 'sd']))).toEqual({
    entry: entry(CODE, END, VVAR, 1, { madv: 0x10000n }),
    pages: 'none',
  });
  expect(dump(facts('[vdso]', 'rx', ['rd', 'ex', 'mr', 'mw', 'me', 'de']))).toEqual({
    entry: entry(CODE, END, VDSO, 5),
    pages: 'all',
  });
  expect(vdsoHandler.match(facts('[vvar]', 'r', []))).toBe(100);
  expect(vdsoHandler.match(facts('[heap]', 'r', []))).toBe(0);
});
