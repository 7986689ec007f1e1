// Pages images that are compressed when the dump is complete, and restored, verified, built upon, and made plain again.
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { criu, criuBinary, crts, must, type Outcome } from '../harness/checkpointer';
import { missing, testNeeding } from '../harness/needs';
import { Target } from '../harness/target';
import { until } from '../harness/until';

const start = () => Target.program('increments', ['16']);
const restoreSet = (target: Target, directory: string, ...options: string[]): Outcome => {
  const outcome = crts('restore', '-d', '-D', directory, '-o', 'restore.log', '-v4', ...options);
  if (outcome.status === 0) target.adoptRestored();
  return outcome;
};

describe.each([
  ['lz4', 'lz4', '.lz4'],
  ['zstd', 'zstd', '.zst'],
  ['zstd:9', 'zstd', '.zst'],
])('--compress %s', (compression, library, suffix) => {
  const run = testNeeding([library]);

  run('a dump is compressed and restored as any other', async () => {
    const target = await start();
    must(target.dump('--compress', compression, '--checksum'));
    await target.gone();
    const names = readdirSync(target.images);
    expect(names).toContain(`pages-1.img${suffix}`);
    expect(names.filter((name) => /^pages-.*img$/.test(name))).toEqual([]);
    expect(names.filter((name) => name.startsWith('.'))).toEqual([]);
    must(target.restore('--verify'));
    await target.finish();
  });

  run('a chain of compressed sets, and of both kinds', async () => {
    const target = await start();
    const sets = [0, 1, 2].map((number) => join(target.directory, `set-${number}`));
    for (const one of sets) mkdirSync(one);
    const on = (directory: string) => ['-t', String(target.pid), '-D', directory];
    must(crts('pre-dump', ...on(sets[0]!), '--track-mem', '--compress', compression));
    must(crts('pre-dump', ...on(sets[1]!), '--track-mem', '--prev-images-dir', '../set-0'));
    must(crts('dump', ...on(sets[2]!), '--prev-images-dir', '../set-1', '--compress', compression));
    await target.gone();
    must(restoreSet(target, sets[2]!));
    await target.finish();
  });

  run('a program that runs on is not held up, and its set is whole', async () => {
    const target = await start();
    must(target.dump('-R', '--compress', compression));
    expect(target.alive()).toBe(true);
    await target.end();
    must(target.restore());
    await target.finish();
  });

  run('damaged and cut frames are told by image, and nothing is made', async () => {
    const target = await start();
    must(target.dump('--compress', compression, '--checksum'));
    await target.gone();
    const path = join(target.images, `pages-1.img${suffix}`);
    const good = readFileSync(path);
    for (const bad of [good.subarray(0, 5000), good.subarray(0, -1), Buffer.concat([good, Buffer.alloc(4)])]) {
      writeFileSync(path, bad);
      const { status, stderr } = target.restore();
      expect([status, stderr]).toEqual([1, expect.stringContaining('[CRTS_IMAGE_FRAMES]')]);
      expect(stderr).toContain(`pages-1.img${suffix}`);
    }
    for (let at = 50; at < statSync(path).size - 100; at += Math.floor(good.length / 7)) {
      const bytes = Buffer.from(good);
      bytes[at]! ^= 0x55;
      writeFileSync(path, bytes);
      // What the format does not notice, the checksums do.
      expect(target.restore('--verify').stderr).toMatch(/\[CRTS_(IMAGE_FRAMES|CHECKSUM)\]/);
    }
    writeFileSync(path, good);
    must(target.restore());
    await target.finish();
  });

  run('a lazy restore decompresses what is missed, when it is missed', async () => {
    const target = await Target.program('lazy-memory', ['24']);
    const base = join(target.directory, 'base');
    mkdirSync(base);
    must(crts('pre-dump', '-t', String(target.pid), '-D', base, '--track-mem', '--compress', compression));
    must(target.dump('--prev-images-dir', '../base', '--compress', compression));
    await target.gone();
    must(target.restore('--lazy-pages'));
    const log = join(target.images, 'lazy-pages.log');
    await until('all memory to be in place', () => {
      return existsSync(log) && readFileSync(log, 'utf8').includes('all memory is in place');
    });
    await target.finish();
  });

  run('a frame that cannot be decompressed is the end of a program that is restored lazily', async () => {
    const target = await Target.program('lazy-memory', ['64']);
    must(target.dump('--compress', compression));
    await target.gone();
    const path = join(target.images, `pages-1.img${suffix}`);
    const bytes = readFileSync(path);
    // Behind what is read first.
    const middle = Math.floor(bytes.length / 2);
    writeFileSync(path, bytes.fill(0, middle, middle + Math.floor(bytes.length / 4)));
    must(target.restore('--lazy-pages'));
    await until('the program to be ended', () => !target.alive());
    expect(readFileSync(join(target.images, 'lazy-pages.log'), 'utf8')).toContain('[CRTS_IMAGE_FRAMES]');
    expect(target.text()).not.toContain('FAIL');
  });

  run('decompress gives back what criu reads, and compress compresses any set', async () => {
    const target = await start();
    must(target.dump());
    await target.gone();
    const plain = readFileSync(join(target.images, 'pages-1.img'));
    must(crts('compress', '-D', target.images, '--compress', compression));
    expect(readdirSync(target.images)).toContain(`pages-1.img${suffix}`);
    if (criuBinary !== undefined) expect(criu('restore', '-D', target.images, '-o', 'criu.log').status).not.toBe(0);
    must(crts('decompress', '-D', target.images));
    expect(readFileSync(join(target.images, 'pages-1.img')).equals(plain)).toBe(true);
    expect(readdirSync(target.images)).not.toContain(`pages-1.img${suffix}`);
    must(missing(['CRTS_CRIU']).length === 0 ? target.restoreWithCriu() : target.restore());
    await target.finish();
  });
});

test.each(['gzip', 'zstd:', 'zstd:0', 'zstd:99', 'lz4:9', ''])(
  '--compress %s is refused, and the program untouched',
  async (value) => {
    const target = await start();
    expect(target.dump('--compress', value).stderr).toContain('[CRTS_OPTION_VALUE]');
    await target.finish();
  },
);
