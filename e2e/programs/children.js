// Children with an IPC channel each, in both serializations, that answer with big messages. children.js GO
const { fork } = require('node:child_process');
const { createHash } = require('node:crypto');
const { existsSync } = require('node:fs');

const SIZE = 300_000;

function payload(number, advanced) {
  const text = String(number).padEnd(SIZE, `${number} `);
  return advanced ? { number, bytes: Buffer.from(text), when: new Map([[number, 1n]]) } : { number, text };
}

function digest(message) {
  return createHash('sha1')
    .update(message.text ?? message.bytes)
    .digest('hex');
}

function main() {
  const go = process.argv[2];
  let running = 0;
  let done = 0;
  let next = 0;
  for (const serialization of ['json', 'json', 'advanced']) {
    const advanced = serialization === 'advanced';
    const child = fork(__filename, ['child', serialization], { serialization });
    const expected = new Map();
    running += 1;
    const send = () => {
      const message = payload(++next, advanced);
      expected.set(next, digest(message));
      child.send(message);
    };
    child.on('message', (message) => {
      if (expected.get(message.number) !== digest(message)) fail(`message ${message.number} has changed on its way`);
      if (advanced && message.when.get(message.number) !== 1n) fail(`message ${message.number} lost its map`);
      expected.delete(message.number);
      console.log(++done);
      if (!existsSync(go)) send();
      else if (expected.size === 0) child.disconnect();
    });
    child.on('exit', (code) => {
      if (code !== 7) fail(`a child ended with ${code}`);
      if (--running === 0) console.log('EXIT-SUCCESS');
    });
    // Several are on their way at any time.
    for (let i = 0; i < 3; i++) send();
  }
}

function child() {
  process.on('message', (message) => process.send(message));
  process.on('disconnect', () => process.exit(7));
}

function fail(reason) {
  console.log(`FAIL: ${reason}`);
  process.exit(1);
}

if (process.argv[2] === 'child') child();
else main();
