import { CrtsError } from '@crts/plugin-api';

export function notMapped(path: string, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: errno === 'ENOMEM' ? 'CRTS_HUGE_PAGES' : 'CRTS_CALL_FAILED',
    plugin: 'mm-file',
    path,
    what: 'the file, which has huge TLB pages, cannot be mapped',
    call: 'mmap',
    errno,
    hint: 'ENOMEM: the kernel has too few such pages. Raise nr_hugepages in /sys/kernel/mm/hugepages.',
  });
}
