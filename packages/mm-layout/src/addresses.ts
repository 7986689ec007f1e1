import type { MmEntry } from '@crts/image-io';

/** Fields of prctl_mm_map in order, with the fields of /proc/PID/stat they come from; brk has none there. */
export const ADDRESSES = [
  ['mm_start_code', 'startcode'],
  ['mm_end_code', 'endcode'],
  ['mm_start_data', 'start_data'],
  ['mm_end_data', 'end_data'],
  ['mm_start_brk', 'start_brk'],
  ['mm_brk', undefined],
  ['mm_start_stack', 'startstack'],
  ['mm_arg_start', 'arg_start'],
  ['mm_arg_end', 'arg_end'],
  ['mm_env_start', 'env_start'],
  ['mm_env_end', 'env_end'],
] as const;

export type Addresses = Pick<MmEntry, (typeof ADDRESSES)[number][0]>;

const USER_END = 0x7fff_ffff_f000n;

/** What PR_SET_MM_MAP would refuse: validate_prctl_map_addr(), kernel/sys.c. It asks for no mapping at the addresses. */
export function impossible(mm: Addresses): string | undefined {
  for (const [field] of ADDRESSES) {
    // The kernel's lower bound is the sysctl vm.mmap_min_addr of the machine at hand, and it knows best.
    if (mm[field] === 0n || mm[field] >= USER_END)
      return `${field} 0x${mm[field].toString(16)} is no address of a program`;
  }
  if (mm.mm_start_code >= mm.mm_end_code) return 'mm_start_code is not below mm_end_code';
  const pairs = [
    ['mm_start_data', 'mm_end_data'],
    ['mm_start_brk', 'mm_brk'],
    ['mm_arg_start', 'mm_arg_end'],
    ['mm_env_start', 'mm_env_end'],
  ] as const;
  const wrong = pairs.find(([start, end]) => mm[start] > mm[end]);
  return wrong === undefined ? undefined : `${wrong[0]} is above ${wrong[1]}`;
}
