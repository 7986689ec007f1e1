// Images of another kernel: their vdso is not this kernel's. What was there before would not work, and must not be run.
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { ImageReader } from '@crts/image-io';
import { functionsOf } from '../../packages/mm-vdso/src/symbols';
import { must } from '../harness/checkpointer';
import { Target } from '../harness/target';

const VDSO = 8;
const PRESENT = 4;
const PAGE = 4096n;

interface Vma {
  readonly start: bigint;
  readonly end: bigint;
  readonly status: number;
}

/** Where the stored vdso lies in which file. */
function storedVdso(target: Target): { file: string; offset: number; size: number } {
  const reader = ImageReader.open(target.images);
  try {
    const [mm] = reader.read('mm', target.pid) as unknown as [{ vmas: Vma[] }];
    const vdso = mm.vmas.find(({ status }) => (status & VDSO) !== 0)!;
    const [head, ...entries] = reader.read('pagemap', target.pid) as unknown as [
      { pages_id: number },
      ...{ vaddr: bigint; nr_pages: bigint; flags: number }[],
    ];
    let offset = 0n;
    for (const { vaddr, nr_pages, flags } of entries) {
      if (vaddr <= vdso.start && vdso.start < vaddr + nr_pages * PAGE) {
        const at = Number(offset + vdso.start - vaddr);
        const file = join(target.images, `pages-${head.pages_id}.img`);
        return { file, offset: at, size: Number(vdso.end - vdso.start) };
      }
      if ((flags & PRESENT) !== 0) offset += nr_pages * PAGE;
    }
    throw new Error('the vdso is not stored');
  } finally {
    reader.close();
  }
}

function isInside(target: Target): boolean {
  const reader = ImageReader.open(target.images);
  try {
    const [mm] = reader.read('mm', target.pid) as unknown as [{ vmas: Vma[] }];
    const [core] = reader.read('core', target.pid) as unknown as [{ thread_info: { gpregs: { ip: bigint } } }];
    const { ip } = core.thread_info.gpregs;
    return mm.vmas.some(({ start, end, status }) => (status & VDSO) !== 0 && start <= ip && ip < end);
  } finally {
    reader.close();
  }
}

/** Changes the stored vdso. */
function doctor(target: Target, change: (vdso: Buffer) => void): void {
  const { file, offset, size } = storedVdso(target);
  const fd = openSync(file, 'r+');
  const vdso = Buffer.alloc(size);
  readSync(fd, vdso, 0, size, offset);
  change(vdso);
  writeSync(fd, vdso, 0, size, offset);
  closeSync(fd);
}

/** All code is instructions that end the program: only what is redirected works. */
function withoutCode(vdso: Buffer): void {
  const functions = functionsOf(vdso)!;
  expect(functions.map(({ name }) => name)).toContain('__vdso_clock_gettime');
  // The text ends the file but for the section headers, which nobody reads.
  for (let at = functions[0]!.offset; at < functions.at(-1)!.offset + 16; at += 2) vdso.writeUInt16BE(0x0f0b, at);
}

test('a vdso with other code: its functions are redirected, and dumped and restored as they are', async () => {
  const target = await Target.program('vdso', ['calm']);
  must(target.dump());
  await target.gone();
  doctor(target, withoutCode);
  must(target.restore());
  const maps = target.proc('maps');
  expect(maps.match(/\[vdso\]/g)).toHaveLength(1);
  target.clearImages();
  await target.cycle();
  target.clearImages();
  await target.cycle();
  expect(
    target
      .proc('maps')
      .split('\n')
      .filter((line) => line.includes('[v')),
  ).toEqual(maps.split('\n').filter((line) => line.includes('[v')));
  await target.finish();
});

test.each([
  ['no ELF file', (vdso: Buffer) => void vdso.fill(0x90), 'cannot be read'],
  ['symbols outside of it', (vdso: Buffer) => void vdso.fill(0xff, 64, 64 + 56 * 4), 'cannot be read'],
])('%s: refused before anything is made', async (_what, change, text) => {
  const target = await Target.program('vdso', ['calm']);
  must(target.dump());
  await target.gone();
  doctor(target, change);
  const { status, stderr } = target.restore();
  expect([status, stderr]).toEqual([1, expect.stringContaining('[CRTS_VDSO_DIFFERS]')]);
  expect(stderr).toContain(text);
});

test('a thread inside of it cannot go on: refused before anything is made', async () => {
  // It asks for the time without a pause: some dump finds it there.
  const target = await Target.program('vdso');
  for (let attempt = 0; attempt < 300; attempt++) {
    target.clearImages();
    must(target.dump());
    await target.gone();
    if (isInside(target)) break;
    must(target.restore());
  }
  expect(isInside(target)).toBe(true);
  doctor(target, withoutCode);
  const { status, stderr } = target.restore();
  expect([status, stderr]).toEqual([1, expect.stringContaining('[CRTS_VDSO_INSIDE]')]);
});
