/** Kernel objects that tasks share by clone(2) without being threads of one process. */
export const SHARED_KINDS = ['vm', 'files', 'fs', 'sighand'] as const;
export type SharedKind = (typeof SHARED_KINDS)[number];

/** Of each kind the number of the object that a task has: tasks with the same number share it. */
export type Objects = Readonly<Record<SharedKind, number>>;

/** include/uapi/linux/sched.h. */
const CLONE_FLAGS: Readonly<Record<SharedKind, bigint>> = { vm: 0x100n, fs: 0x200n, files: 0x400n, sighand: 0x800n };

export function cloneFlags(shares: readonly SharedKind[]): bigint {
  return shares.reduce((flags, kind) => flags | CLONE_FLAGS[kind], 0n);
}

export function sharedBy(one: Objects | undefined, other: Objects | undefined): SharedKind[] {
  if (one === undefined || other === undefined) return [];
  return SHARED_KINDS.filter((kind) => one[kind] === other[kind]);
}
