// Writes, renames and removes files in a directory, watches it with fs.watch, and has worker threads watch it too. GO DIR
const { existsSync, mkdirSync, renameSync, rmSync, watch, writeFileSync } = require('node:fs');
const { isMainThread, parentPort, Worker, workerData } = require('node:worker_threads');

const WORKERS = 2;

function main() {
  const [go, directory] = process.argv.slice(2);
  mkdirSync(directory);
  const told = Array.from({ length: WORKERS + 1 }, () => new Set());
  let ready = 0;
  let round = 0;
  let done = 0;
  const tell = (watcher) => (name) => told[watcher].add(name);
  for (let index = 0; index < WORKERS; index++) {
    const worker = new Worker(__filename, { workerData: directory });
    worker.on('message', (name) => {
      if (name === '') begin();
      else tell(index)(name);
    });
  }
  watch(directory, (_event, name) => tell(WORKERS)(name));
  begin();

  function begin() {
    if (++ready === WORKERS + 1) setInterval(turn, 3);
  }

  /** A round is over when every watcher has told its two names. */
  function turn() {
    const [made, renamed] = [`made-${round}`, `renamed-${round}`];
    if (round > 0) {
      if (!told.every((names) => names.has(made) && names.has(renamed))) return;
      for (const names of told) names.clear();
      rmSync(`${directory}/${renamed}`);
      console.log(++done);
      if (existsSync(go)) {
        console.log('EXIT-SUCCESS');
        process.exit(0);
      }
    }
    round += 1;
    writeFileSync(`${directory}/made-${round}`, 'contents');
    renameSync(`${directory}/made-${round}`, `${directory}/renamed-${round}`);
  }
}

function work() {
  watch(workerData, (_event, name) => parentPort.postMessage(name));
  parentPort.postMessage('');
  let sum = 0;
  setInterval(() => {
    const before = sum;
    for (let i = 1; i < 100_000; i++) sum += Math.sqrt(i);
    if (sum <= before) throw new Error(`${before} became ${sum}`);
  }, 5);
}

if (isMainThread) main();
else work();
