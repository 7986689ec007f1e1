#!/usr/bin/env node
// Runs dist/crts.js from V8's code cache, which saves most of the start-up (docs/adr/0006-code-cache.md). V8 itself checks
// only its version, its flags and the length of the source, so the name of the cache carries a hash of the source, which the
// build has put at its end, and the time of its last change. The first run that succeeds without a cache makes it, at its
// end, when all that such a run needs has been compiled.
'use strict';
const fs = require('node:fs');
const { join } = require('node:path');
const { Script } = require('node:vm');

const dist = join(__dirname, '../dist');
const bundle = join(dist, 'crts.js');
const directory = join(dist, 'cache');

const source = fs.readFileSync(bundle, 'latin1');
const [sum = 'unknown'] = /[0-9a-f]{16}(?=\n$)/.exec(source.slice(-17)) ?? [];
const key = `${sum}-${fs.statSync(bundle).mtimeMs}-${process.version}-${process.versions.v8}-${process.arch}`;
// The two actions use different parts of the bundle.
const words = process.argv.slice(2);
const kind = words.includes('restore') ? 'restore' : 'dump';
const file = join(directory, `${kind}-${key}.bin`);

// Code that others may write is not loaded: bundle, cache and their directories must belong to root or to us.
function trusted(path) {
  const { uid, mode } = fs.lstatSync(path);
  return (uid === 0 || uid === process.getuid()) && (mode & 0o022) === 0;
}

function readCache() {
  try {
    return trusted(directory) && trusted(file) ? fs.readFileSync(file) : undefined;
  } catch {
    return undefined;
  }
}

function writeCache(script) {
  try {
    if (!trusted(dist)) return;
    fs.mkdirSync(directory, { mode: 0o755, recursive: true });
    if (!trusted(directory)) return;
    for (const name of fs.readdirSync(directory)) {
      // Of an older bundle or another Node; a run that still uses it has read it whole.
      if (name.startsWith(`${kind}-`)) fs.unlinkSync(join(directory, name));
    }
    const part = `${file}.${process.pid}`;
    fs.writeFileSync(part, script.createCachedData(), { mode: 0o644, flag: 'wx' });
    fs.renameSync(part, file);
  } catch {
    // A read-only installation starts a little slower, nothing else.
  }
}

const cachedData = readCache();
const script = new Script(source, { filename: bundle, cachedData });
const bundled = { exports: {} };
const importModule = (specifier) => import(specifier);
script.runInThisContext()(bundled.exports, require, bundled, bundle, dist, importModule);

// A run that only prints something compiles too little.
const whole = words.includes(kind) && !words.some((word) => /^(-h|--help|-V|--version|--dry-run)$/.test(word));
bundled.exports.done.then(() => {
  if (process.exitCode !== 0) return;
  if (whole && (cachedData === undefined || script.cachedDataRejected)) writeCache(script);
  bundled.exports.leave();
});
