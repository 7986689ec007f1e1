// Pages that processes have in common after fork are stored once, and come back in each of them.
import { mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { encodeImage, ImageReader, imageKind, type PagemapEntry } from '@crts/image-io';
import type { ImageRecord } from '@crts/plugin-api';
import { criu, criuBinary, crts, must } from '../harness/checkpointer';
import { Target } from '../harness/target';

const MEBIBYTES = 16;
const CHILDREN = 7;

const start = () => Target.program('forked-memory', [String(MEBIBYTES), String(CHILDREN)]);

function bytesOfPages(target: Target): number {
  const names = readdirSync(target.images).filter((name) => name.startsWith('pages-'));
  return names.reduce((sum, name) => sum + statSync(join(target.images, name)).size, 0);
}

test('eight processes take little more than one, and each has its memory again', async () => {
  const target = await start();
  must(target.dump('-R'));
  const separate = bytesOfPages(target);
  expect(separate).toBeGreaterThan((CHILDREN + 1) * MEBIBYTES * 1048576);
  target.clearImages();
  must(target.dump('--share-pages'));
  await target.gone();
  expect(bytesOfPages(target)).toBeLessThan(1.5 * MEBIBYTES * 1048576);
  must(target.restore());
  // And what was restored is dumped and restored again.
  target.clearImages();
  await target.cycle('--share-pages');
  await target.finish();
});

test('with checksums', async () => {
  const target = await start();
  must(target.dump('--share-pages', '--checksum'));
  await target.gone();
  must(crts('restore', '-D', target.images, '--verify', '--dry-run'));
  must(target.restore('--verify'));
  await target.finish();
});

test('an increment shares what it has itself', async () => {
  const target = await start();
  const first = join(target.directory, 'first');
  mkdirSync(first);
  must(crts('pre-dump', '-t', String(target.pid), '-D', first, '--track-mem'));
  must(target.dump('--prev-images-dir', '../first', '--share-pages'));
  await target.gone();
  must(target.restore());
  await target.finish();
});

test('references to what is not there are refused, and nothing is made', async () => {
  const target = await start();
  must(target.dump('--share-pages'));
  await target.gone();
  const reader = ImageReader.open(target.images);
  const pid = reader.ids('pagemap').find((one) => reader.read('pagemap', one).some(isReference))!;
  const [head, ...entries] = reader.read('pagemap', pid) as [ImageRecord, ...PagemapEntry[]];
  reader.close();
  const path = join(target.images, `pagemap-${pid}.img`);
  const write = (change: Partial<PagemapEntry>) => {
    const index = entries.findIndex((entry) => isReference(entry as ImageRecord));
    const changed = entries.map((entry, at) => (at === index ? { ...entry, ...change } : entry));
    const items = [head, ...changed].map((value) => ({ value: value as ImageRecord }));
    writeFileSync(path, encodeImage(imageKind('pagemap'), items));
  };
  for (const [change, code] of [
    [{ crts_pages_id: 999 }, 'CRTS_IMAGE_MISSING'],
    [{ crts_page: 2n ** 60n }, 'CRTS_IMAGE_REFERENCE'],
    [{ crts_page: 1_000_000n }, 'CRTS_IMAGE_REFERENCE'],
    [{ flags: 1 }, 'CRTS_IMAGE_REFERENCE'],
  ] as const) {
    write(change);
    expect(target.restore().stderr).toContain(`[${code}]`);
  }
  write({});
  must(target.restore());
  await target.finish();
});

(criuBinary === undefined ? test.skip : test)('criu does not read such images, rather than wrongly', async () => {
  const target = await start();
  must(target.dump('--share-pages'));
  await target.gone();
  expect(criu('restore', '-d', '-D', target.images, '-o', 'criu.log').status).not.toBe(0);
  await target.gone();
  must(target.restore());
  await target.finish();
});

function isReference(entry: ImageRecord): boolean {
  return entry.crts_pages_id !== undefined && entry.vaddr !== undefined;
}
