// CLOCK_MONOTONIC and CLOCK_BOOTTIME of a restored tree never go back: images of another boot are made here by setting the clocks forward
// in them.
import { readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { encodeImage, ImageReader, imageKind, type TimensEntry } from '@crts/image-io';
import { must } from '../harness/checkpointer';
import { testNeeding } from '../harness/needs';
import { Target } from '../harness/target';

const FLAGS = ['-pthread'];
const AHEAD_S = 1_000_000n;

const start = (...args: string[]) => Target.program('clocks', args, { flags: FLAGS });
const timeNamespace = (pid: number | string) => readlinkSync(`/proc/${pid}/ns/time`);

/** The images are then those of a boot that is older by so many seconds. */
function setForward(
  images: string,
  seconds: bigint,
  clocks: readonly (keyof TimensEntry)[] = ['monotonic', 'boottime'],
): void {
  const reader = ImageReader.open(images);
  const entry = reader.readOne<TimensEntry>('timens', 0);
  reader.close();
  for (const clock of clocks) entry[clock] = { ...entry[clock], tv_sec: entry[clock].tv_sec + seconds };
  writeFileSync(join(images, 'timens-0.img'), encodeImage(imageKind('timens'), [{ value: entry }]));
}

/** What the program read from a clock when it began, and at the end. */
function times(target: Target, clock: number): [number, number] {
  const [begin, end] = ['begin', 'end'].map((when) =>
    Number(new RegExp(`^${when} (\\S+) (\\S+)$`, 'm').exec(target.text())![clock]),
  );
  return [begin!, end!];
}

test('on the boot of the dump the clocks go on, and there is no namespace', async () => {
  const target = await start();
  await target.cycle();
  expect(timeNamespace(target.pid)).toBe(timeNamespace('self'));
  await target.finish();
});

test('images of another boot: the clocks go on from the dump, for the second restore too', async () => {
  const target = await start();
  must(target.dump());
  await target.gone();
  setForward(target.images, AHEAD_S);
  const { stdout } = must(target.restore('--dry-run'));
  expect(stdout).toContain('time namespace: monotonic from 1');
  must(target.restore());
  expect(timeNamespace(target.pid)).not.toBe(timeNamespace('self'));
  const offsets = readFileSync(`/proc/${target.pid}/timens_offsets`, 'utf8');
  const monotonic = Number(/^monotonic\s+(\d+)/m.exec(offsets)![1]);
  expect(monotonic).toBeGreaterThan(Number(AHEAD_S) - 1000);
  expect(monotonic).toBeLessThanOrEqual(Number(AHEAD_S));
  // A tree in a namespace of its own: dumped, and restored into another one.
  target.clearImages();
  await target.cycle();
  expect(timeNamespace(target.pid)).not.toBe(timeNamespace('self'));
  await target.finish();
  const [begin, end] = times(target, 1);
  expect(end - begin).toBeGreaterThan(Number(AHEAD_S));
});

test.each(['monotonic', 'boottime'] as const)(
  "only %s is behind: the other clock stays the machine's",
  async (clock) => {
    const target = await start();
    must(target.dump());
    await target.gone();
    setForward(target.images, AHEAD_S, [clock]);
    must(target.restore());
    const offsets = readFileSync(`/proc/${target.pid}/timens_offsets`, 'utf8');
    const offset = (name: string) => Number(new RegExp(`^${name}\\s+(-?\\d+)`, 'm').exec(offsets)![1]);
    expect(offset(clock)).toBeGreaterThan(Number(AHEAD_S) - 1000);
    expect(offset(clock === 'monotonic' ? 'boottime' : 'monotonic')).toBe(0);
  },
);

test.each([
  ['a time that no clock can have', { tv_sec: 4_611_686_019n, tv_nsec: 0n }],
  ['nanoseconds that are a second', { tv_sec: 1n, tv_nsec: 1_000_000_000n }],
])('images with %s are refused', async (_what, monotonic) => {
  const target = await start();
  must(target.dump());
  await target.gone();
  const value = { monotonic, boottime: { tv_sec: 1n, tv_nsec: 0n } };
  writeFileSync(join(target.images, 'timens-0.img'), encodeImage(imageKind('timens'), [{ value }]));
  const { status, stderr } = target.restore();
  expect(status).toBe(1);
  expect(stderr).toContain('[CRTS_IMAGE_FIELD]');
  expect(stderr).toContain('timens-0.img');
});

testNeeding(['CRTS_CRIU'])(
  'what CRIU restored, and dumps, comes back with the same clocks, and the other way round',
  async () => {
    // Its images have the time left of an absolute timer alone, and it sets the clocks long before the timers: 1.5 s here.
    const target = await start('60');
    must(target.dump());
    await target.gone();
    must(target.restoreWithCriu());
    // CRIU puts every tree into a time namespace. Dumped by crts, and restored by CRIU and by crts.
    expect(timeNamespace(target.pid)).not.toBe(timeNamespace('self'));
    target.clearImages();
    must(target.dump());
    await target.gone();
    must(target.restoreWithCriu());
    target.clearImages();
    must(target.dumpWithCriu());
    await target.gone();
    must(target.restore());
    expect(timeNamespace(target.pid)).not.toBe(timeNamespace('self'));
    await target.finish();
  },
);
