// Buffers, shared ones, and strings of JavaScript's heap, argv[3] MiB in all, looked after one by one: buffers.js GO MIB
const { createHash } = require('node:crypto');
const { existsSync } = require('node:fs');

const [go, mebibytes] = process.argv.slice(2);
const SIZE = 1 << 20;

/** Numbers without an end, by seed (xorshift). */
function fill(words, seed) {
  let state = seed * 2 + 1;
  for (let i = 0; i < words.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = state;
  }
}

function make(number) {
  const memory = number % 3 === 0 ? new SharedArrayBuffer(SIZE) : new ArrayBuffer(SIZE);
  fill(new Int32Array(memory), number);
  // Every eighth is a string, which is JavaScript's own.
  return number % 8 === 7 ? Buffer.from(memory).toString('latin1') : Buffer.from(memory);
}

const digest = (one) =>
  createHash('sha1')
    .update(typeof one === 'string' ? Buffer.from(one, 'latin1') : one)
    .digest('hex');

const kept = Array.from({ length: Number(mebibytes) }, (_, number) => make(number));
const digests = kept.map(digest);
let next = 0;
let made = kept.length;

function look() {
  if (digest(kept[next]) !== digests[next]) {
    console.log(`FAIL: ${typeof kept[next]} ${next} has changed`);
    process.exit(1);
  }
  // A few are replaced, which leaves garbage.
  if (next % 5 === 0) {
    kept[next] = make(made++);
    digests[next] = digest(kept[next]);
  }
  next = (next + 1) % kept.length;
}

function turn() {
  look();
  console.log(made * kept.length + next);
  if (!existsSync(go)) return setImmediate(turn);
  for (let i = 0; i < kept.length; i++) look();
  console.log('EXIT-SUCCESS');
}

turn();
