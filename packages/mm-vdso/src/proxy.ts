import type { MmEntry, VmaEntry } from '@crts/image-io';
import { closeFd, findFreeArea, memfd, pwriteFull } from '@crts/native-syscalls';
import { type PageSource, type RestoreContext, type TaskImages, VMA_STATUS } from '@crts/plugin-api';
import { vdsoDiffers } from './errors';
import { type KernelVdso, misfit } from './kernel-vdso';
import { redirected } from './redirect';

/** A vdso of another kernel that is kept as code of the program, and led to this kernel's. */
export interface VdsoProxy {
  readonly start: bigint;
  readonly end: bigint;
  /** Where data and code of this kernel's vdso go; undefined where it has none. */
  readonly own: { readonly start: bigint; readonly bytes: bigint } | undefined;
  readonly code: Buffer;
}

/** By the pages that have its code: both handlers ask. */
const known = new WeakMap<PageSource, { readonly proxy: VdsoProxy | undefined }>();

/**
 * What becomes of the vdso of a task: undefined where it is this kernel's own, or there is none.
 * @throws CrtsError where it is another one that cannot be redirected
 */
export function proxyOf(
  images: TaskImages,
  context: RestoreContext,
  kernel: KernelVdso | undefined,
): VdsoProxy | undefined {
  const found = known.get(context.pages) ?? { proxy: findProxy(images, context, kernel) };
  known.set(context.pages, found);
  return found.proxy;
}

function findProxy(images: TaskImages, context: RestoreContext, kernel: KernelVdso | undefined): VdsoProxy | undefined {
  const { vmas } = images.mm as MmEntry;
  const having = (status: number) => vmas.filter((vma) => (vma.status & status) !== 0);
  const vdsos = having(VMA_STATUS.vdso);
  const how = misfit(kernel, vdsos, having(VMA_STATUS.vvar), (start, length) => context.pages.read(start, length));
  if (how === undefined) return undefined;
  const [vdso, second] = vdsos;
  if (vdso === undefined || second !== undefined) throw vdsoDiffers(how);
  const size = vdso.end - vdso.start;
  const old = size > VDSO_MAX ? undefined : context.pages.read(vdso.start, Number(size));
  if (old === undefined) throw vdsoDiffers(`${how} and was not stored`);
  const own = kernel === undefined ? undefined : placeFor(kernel, vmas, context);
  const code = redirected(
    old,
    own === undefined ? undefined : { start: own.start + kernel!.dataBytes, code: kernel!.code },
  );
  if (typeof code === 'string') throw vdsoDiffers(`${how} and ${code}`);
  return { start: vdso.start, end: vdso.end, own, code };
}

/** Those of Linux 6.18 have two pages. */
const VDSO_MAX = 0x1_0000n;

function placeFor(kernel: KernelVdso, vmas: readonly VmaEntry[], { agentArea }: RestoreContext) {
  const taken = [...vmas, agentArea].sort((a, b) => (a.start < b.start ? -1 : 1));
  const bytes = kernel.dataBytes + BigInt(kernel.code.length);
  const start = findFreeArea(taken, bytes);
  if (start === undefined) throw vdsoDiffers('is another one, and there is no room for a second');
  return { start, bytes };
}

/** A file for the task to read it from. */
export function codeFile(code: Buffer): number {
  const fd = memfd('vdso', code.length);
  try {
    pwriteFull(fd, code, 0n);
    return fd;
  } catch (error) {
    closeFd(fd);
    throw error;
  }
}
