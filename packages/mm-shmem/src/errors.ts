import { CrtsError } from '@crts/plugin-api';

const PLUGIN = 'mm-shmem';

export function badObject(range: string, what: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_IMAGE_FIELD',
    plugin: PLUGIN,
    what: `vma_entry ${range}: ${what}`,
    hint: 'The image is damaged.',
  });
}

export function objectNotMade(sizeBytes: bigint, isHuge: boolean, errno: string | undefined): CrtsError {
  return new CrtsError({
    code: isHuge && errno === 'ENOMEM' ? 'CRTS_HUGE_PAGES' : 'CRTS_SHARED_MEMORY',
    plugin: PLUGIN,
    what: `shared anonymous memory of ${sizeBytes} bytes cannot be made`,
    errno,
    hint:
      errno === 'ENOMEM'
        ? isHuge
          ? 'The kernel has too few huge TLB pages: raise nr_hugepages in /sys/kernel/mm/hugepages.'
          : 'The machine does not promise so much memory (vm.overcommit_memory), or the images are damaged.'
        : 'crts needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN for /proc/self/map_files: run it as root.',
  });
}
