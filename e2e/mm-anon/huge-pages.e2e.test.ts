import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cPath, rawSyscall } from '@crts/native-syscalls';
import { must } from '../harness/checkpointer';
import { flavours } from '../harness/flavours';
import { useHugePages, withoutFreePages } from '../harness/huge-pages';
import { testNeeding } from '../harness/needs';
import { Target } from '../harness/target';

const needs = ['huge pages'];
const MNT_DETACH = 2;

describe('huge TLB pages', () => {
  useHugePages(2048, 16);

  flavours('anonymous, private and shared, in two processes', {
    start: () => Target.program('huge-pages', ['anonymous']),
    needs,
  });

  flavours('more than there are, without reservation', {
    start: () => Target.program('huge-pages', ['unreserved']),
    needs,
    notWithCriu: 'CRIU reserves them all',
  });

  const short = testNeeding(needs);
  for (const [kind, code] of [
    ['anonymous', 'CRTS_HUGE_PAGES'],
    ['memfd', 'CRTS_HUGE_PAGES'],
    ['segment', 'CRTS_HUGE_PAGES'],
    ['unreserved', 'CRTS_PAGES_READ'],
  ])
    short(`too few pages for the restore, that is said, and it can be tried again: ${kind}`, async () => {
      const target = await Target.program('huge-pages', [kind!]);
      must(target.dump());
      await target.gone();
      await withoutFreePages(2048, () => {
        const { status, stderr } = target.restore();
        expect([status, stderr]).toEqual([1, expect.stringContaining(`[${code}]`)]);
        expect(stderr).toContain('nr_hugepages');
      });
      must(target.restore());
      await target.finish();
    });

  flavours('memfds', { start: () => Target.program('huge-pages', ['memfd']), needs });

  flavours('a System V segment', {
    start: () => Target.program('huge-pages', ['segment']),
    needs,
    notWithCriu: 'CRIU wants the IPC namespace dumped too',
  });

  describe('files of hugetlbfs', () => {
    let path: string;
    beforeEach(() => {
      path = mkdtempSync(join(tmpdir(), 'crts-hugetlbfs-'));
      expect(rawSyscall('mount', cPath('none'), cPath(path), cPath('hugetlbfs'), 0, null)).toBe(0);
    });
    afterEach(() => {
      // What a failed test has left there is ended later.
      rawSyscall('umount2', cPath(path), MNT_DETACH);
      rmdirSync(path);
    });

    flavours('mapped, shared and private, and open', {
      start: () => Target.program('huge-pages', ['file', path]),
      needs,
    });

    flavours('deleted, mapped and open', {
      start: () => Target.program('huge-pages', ['deleted', path]),
      needs,
      options: ['--ghost-limit', '16M'],
      notWithCriu: 'CRIU writes ghost files with write(2)',
    });
  });
});

describe('huge TLB pages of 1 GiB', () => {
  useHugePages(1048576, 1);

  flavours('anonymous', {
    start: () => Target.program('huge-pages', ['gigantic']),
    needs: ['huge pages of 1 GiB'],
    only: ['plain', 'once'],
  });
});
