#!/usr/bin/env node
// Runs dist/crts.js from V8's code cache, which saves most of the start-up (docs/performance.md). V8 itself checks only
// its version, its flags and the length of the source, so the cache's name carries a hash of the source; it is made
// by the first run that finds none and may write beside the bundle, after that run, when all it needed is compiled.
'use strict';
const { createHash } = require('node:crypto');
const { existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } = require('node:fs');
const { join } = require('node:path');
const { Script } = require('node:vm');

const bundle = join(__dirname, '../dist/crts.js');
const source = readFileSync(bundle, 'utf8');
const directory = join(__dirname, '../dist/cache');
const key = createHash('sha1').update(source).update(process.version).update(process.arch).digest('hex').slice(0, 16);
const file = join(directory, `${process.argv[2] === 'restore' ? 'restore' : 'dump'}-${key}.bin`);

// Code that others may write is not loaded: the cache must belong to root or to us, as the bundle does.
function trusted(path) {
  const { uid, mode } = statSync(path);
  return (uid === 0 || uid === process.getuid()) && (mode & 0o022) === 0;
}

const cachedData = existsSync(file) && trusted(file) && trusted(directory) ? readFileSync(file) : undefined;
const script = new Script(`(function (exports, require, module, __filename, __dirname) {${source}\n})`, {
  filename: bundle,
  cachedData,
});
const module_ = { exports: {} };
script.runInThisContext()(module_.exports, require, module_, bundle, join(__dirname, '../dist'));

if (cachedData === undefined || script.cachedDataRejected) {
  try {
    mkdirSync(directory, { mode: 0o755, recursive: true });
    const part = `${file}.${process.pid}`;
    writeFileSync(part, script.createCachedData(), { mode: 0o644 });
    renameSync(part, file);
  } catch {
    // A read-only installation starts a little slower, nothing else.
  }
}
