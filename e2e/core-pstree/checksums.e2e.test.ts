// Images with checksums: damage is found before anything is made, and told by image, page and pid.
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { crts, must } from '../harness/checkpointer';
import { expectReadable } from '../harness/crit';
import { seeded } from '../harness/random';
import { Target } from '../harness/target';

const start = () => Target.program('increments', ['16']);

function flip(path: string, offset: number): void {
  const bytes = readFileSync(path);
  bytes[offset]! ^= 0x10;
  writeFileSync(path, bytes);
}

const verify = (directory: string) => crts('restore', '-D', directory, '--verify', '--dry-run', '-o', 'verify.log');

test('a flipped bit anywhere is found, and the images as they were are restored', async () => {
  const target = await start();
  must(target.dump('--checksum'));
  await target.gone();
  expectReadable(target.images);
  must(verify(target.images));
  const random = seeded();
  const images = readdirSync(target.images).filter((name) => name.endsWith('.img') || name === 'crts-checksums');
  expect(images.length).toBeGreaterThan(10);
  for (const name of images) {
    const path = join(target.images, name);
    const offset = Math.floor(random() * statSync(path).size);
    flip(path, offset);
    const { status, stderr } = verify(target.images);
    flip(path, offset);
    expect([name, status]).toEqual([name, 1]);
    expect(stderr).toContain(name);
    if (!name.startsWith('pages-')) continue;
    expect(stderr).toContain(`block ${Math.floor(offset / 4096)}`);
    expect(stderr).toContain(`pid ${target.pid}`);
    expect(stderr).toContain('[CRTS_CHECKSUM]');
  }
  must(target.restore('--verify'));
  await target.finish();
});

test('a chain is verified set by set, also when pages of the older ones were taken out', async () => {
  // It writes all the time: on a slow machine little of less memory is as it was.
  const target = await Target.program('increments', ['64']);
  const sets = [0, 1].map((number) => join(target.directory, `set-${number}`));
  for (const one of sets) mkdirSync(one);
  must(crts('pre-dump', '-t', String(target.pid), '-D', sets[0]!, '--track-mem', '--checksum'));
  const options = ['--prev-images-dir', '../set-0', '--checksum', '--auto-dedup'];
  must(crts('dump', '-t', String(target.pid), '-D', sets[1]!, ...options));
  await target.gone();
  must(verify(sets[1]!));
  const pages = join(sets[0]!, 'pages-1.img');
  const bytes = readFileSync(pages);
  // Those that the newer set has as well are not looked at.
  let found = 0;
  for (let at = 5; found === 0 && at < bytes.length; at += 160 * 4096) {
    flip(pages, at);
    if (verify(sets[1]!).stderr.includes('parent/pages-1.img')) found += 1;
    writeFileSync(pages, bytes);
  }
  expect(found).toBeGreaterThan(0);
  must(crts('restore', '-d', '-D', sets[1]!, '--verify'));
  target.adoptRestored();
  await target.finish();
});

test('images without checksums are refused with --verify, and restored without', async () => {
  const target = await start();
  must(target.dump());
  await target.gone();
  expect(target.restore('--verify').stderr).toContain('[CRTS_CHECKSUM_MISSING]');
  must(target.restore());
  await target.finish();
});
