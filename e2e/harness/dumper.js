// Dumps argv[2] to argv[3] again and again with the engine itself, leaving the program running; made to be killed.
const { writeSync } = require('node:fs');
const { dumpTree } = require('../../packages/core-pstree');
const { builtInPlugins } = require('../../packages/cli/dist/built-in-plugins');

const log = { debug() {}, info() {}, warn() {} };
writeSync(1, 'begin\n');
for (;;) {
  dumpTree({
    pid: Number(process.argv[2]),
    imagesDir: process.argv[3],
    finalState: 'leave-running',
    sync: false,
    shellJob: false,
    fileLocks: false,
    ghostLimitBytes: 0n,
    detached: false,
    log,
    plugins: builtInPlugins,
  });
}
