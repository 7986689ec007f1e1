import { CrtsError, type StoredRun } from '@crts/plugin-api';

/** `sizeBytes`: of the pages image, where it could be asked. The pid is put in by who ran the program. */
export function pagesUnread(
  image: string,
  sizeBytes: bigint | undefined,
  runs: readonly StoredRun[],
  errno: string | undefined,
): CrtsError {
  const isBeyond = ({ fileOffset, lengthBytes }: StoredRun) =>
    sizeBytes !== undefined && fileOffset + lengthBytes > sizeBytes;
  const run = runs.find(isBeyond);
  if (run !== undefined)
    return new CrtsError({
      code: 'CRTS_PAGES_READ',
      path: image,
      what: `it ends at offset ${sizeBytes}; the pages for 0x${run.addr.toString(16)} lie at ${run.fileOffset}, ${run.lengthBytes} bytes`,
      errno,
      hint: 'It was complete when the restore began: somebody has cut it meanwhile.',
    });
  const [first, last] = [runs[0]!, runs.at(-1)!];
  return new CrtsError({
    code: 'CRTS_PAGES_READ',
    path: image,
    what: `pages for 0x${first.addr.toString(16)}-0x${(last.addr + last.lengthBytes).toString(16)}, from offset ${first.fileOffset} on, cannot be read into the task`,
    errno,
    hint:
      errno === 'EIO'
        ? 'The disk of the images fails; see the kernel log.'
        : 'Is there memory enough for the task, also in its cgroup, and huge TLB pages (nr_hugepages) where it has some?',
  });
}
