// What the samples say, for people: medians with quartiles, and ratios of the same round with their 95 % interval.
import { median, medianInterval, quantile } from './statistics.mjs';

const ROWS = [
  ['dump, whole process', 'ms', (sample) => sample.dump.wallUs / 1000],
  ['dump, frozen', 'ms', (sample) => sample.frozenUs / 1000],
  ['dump, peak memory', 'MiB', (sample) => sample.dump.peakKib / 1024],
  ['restore, whole process', 'ms', (sample) => sample.restore.wallUs / 1000],
  ['restore, peak memory', 'MiB', (sample) => sample.restore.peakKib / 1024],
  ['images', 'MiB', (sample) => sample.imageBytes / 2 ** 20],
];

/** Cases that are restored lazily. */
const LAZY_ROWS = [
  ['first instruction after', 'ms', (sample) => sample.startUs[0] / 1000],
  ['first page of memory after', 'ms', (sample) => sample.startUs[1] / 1000],
];

/** Cases in which processes share memory. */
const SHARING_ROWS = [
  ['memory of the program', 'MiB', (sample) => sample.treeKib[0] / 1024],
  ['memory after the restore', 'MiB', (sample) => sample.treeKib[1] / 1024],
];

function spread(numbers) {
  return `${median(numbers).toFixed(1)} [${quantile(numbers, 0.25).toFixed(1)}-${quantile(numbers, 0.75).toFixed(1)}]`;
}

function print(cells) {
  console.log(cells.map((cell, column) => (column === 0 ? cell.padEnd(30) : cell.padStart(26))).join(''));
}

export function report(name, samples, next) {
  const peers = ['crts', 'criu'].filter((peer) => samples[peer] !== undefined);
  console.log(`\n${name}: median [quartiles] of ${samples.crts.length} rounds`);
  print(['', ...peers, ...(peers.length > 1 ? ['crts / criu [95 %]'] : [])]);
  const [{ treeKib, startUs }] = samples.crts;
  const rows = [...ROWS, ...(treeKib === undefined ? [] : SHARING_ROWS), ...(startUs === undefined ? [] : LAZY_ROWS)];
  for (const [row, unit, value] of rows) {
    const cells = [`${row}, ${unit}`, ...peers.map((peer) => spread(samples[peer].map(value)))];
    if (peers.length > 1) {
      const ratios = samples.crts.map((sample, round) => value(sample) / value(samples.criu[round]));
      const [low, high] = medianInterval(ratios, next);
      cells.push(`${median(ratios).toFixed(2)} [${low.toFixed(2)}-${high.toFixed(2)}]`);
    }
    print(cells);
  }
  if (samples.limit !== undefined) reportLimit(samples, peers, next);
}

/** Beside the plain write and read of the same amount, in the same round: 100 % would be no slower. */
function reportLimit(samples, peers, next) {
  for (const [row, field, action] of [
    ['plain write', 'writeUs', 'dump'],
    ['plain read', 'readUs', 'restore'],
  ]) {
    print([`${row}, ms`, spread(samples.limit.map((sample) => sample[field] / 1000))]);
    const cells = peers.map((peer) => {
      const shares = samples[peer].map((sample, round) => (100 * samples.limit[round][field]) / sample[action].wallUs);
      const [low, high] = medianInterval(shares, next);
      return `${median(shares).toFixed(0)} [${low.toFixed(0)}-${high.toFixed(0)}]`;
    });
    print([`${action} at % of its speed`, ...cells]);
  }
}

/** How much of crts is node itself: the difference to a bare `node -e 0` of the same round. */
export function reportStartUp(samples, next) {
  console.log('\nbeside a bare `node -e 0`, whole process, ms');
  print(['node -e 0', spread(samples.node.map(({ wallUs }) => wallUs / 1000))]);
  for (const action of ['dump', 'restore']) {
    const over = samples.crts.map((sample, round) => (sample[action].wallUs - samples.node[round].wallUs) / 1000);
    const [low, high] = medianInterval(over, next);
    print([`crts ${action}, beyond node`, `+${median(over).toFixed(1)} [${low.toFixed(1)}-${high.toFixed(1)}]`]);
  }
}
