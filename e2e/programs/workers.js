// Three worker threads that calculate and exchange numbers with the main thread, timers in all of them; GO ends it.
const { existsSync } = require('node:fs');
const { isMainThread, parentPort, Worker, workerData } = require('node:worker_threads');

const WORKERS = 3;

function main() {
  const counts = Array(WORKERS).fill(0);
  for (let index = 0; index < WORKERS; index++) {
    const worker = new Worker(__filename, { workerData: index });
    worker.on('message', ({ count, sum }) => {
      if (count !== counts[index] + 1) throw new Error(`worker ${index} says ${count} after ${counts[index]}`);
      if (sum !== sumOf(index)) throw new Error(`worker ${index} calculates ${sum}`);
      counts[index] = count;
      if (index === 0 && count % 10 === 0) console.log(count);
      worker.postMessage('go on');
    });
  }
  const isAhead = (by) => counts.every((count) => count > by);
  let isReady = false;
  let goal;
  setInterval(() => {
    if (!isReady && isAhead(3)) {
      isReady = true;
      console.log('ready');
    }
    if (goal === undefined && existsSync(process.argv[2])) goal = Math.max(...counts) + 3;
    if (goal === undefined || !isAhead(goal)) return;
    console.log('EXIT-SUCCESS');
    process.exit(0);
  }, 10);
}

function sumOf(index) {
  let sum = 0;
  for (let i = 1; i < 100_000; i++) sum += Math.sqrt(i + index);
  return sum;
}

function work() {
  let count = 0;
  const report = () => parentPort.postMessage({ count: ++count, sum: sumOf(workerData) });
  parentPort.on('message', () => setTimeout(report, 3));
  report();
}

if (isMainThread) main();
else work();
