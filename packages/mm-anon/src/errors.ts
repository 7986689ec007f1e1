import { CrtsError } from '@crts/plugin-api';

const PLUGIN = 'mm-anon';

export function noGuard(range: string, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: 'CRTS_GUARD',
    plugin: PLUGIN,
    what: `guard region ${range} cannot be installed`,
    errno,
    hint: 'Guard regions need Linux 6.13.',
  });
}

export function noHugePages(range: string, pageBytes: bigint, errno: string | undefined): CrtsError {
  const size = pageBytes / 1024n;
  return new CrtsError({
    code: 'CRTS_HUGE_PAGES',
    plugin: PLUGIN,
    what: `the mapping ${range} has huge TLB pages of ${size} kB, which the kernel does not give`,
    call: 'mmap(MAP_HUGETLB)',
    errno,
    hint: `Raise /sys/kernel/mm/hugepages/hugepages-${size}kB/nr_hugepages.`,
  });
}
