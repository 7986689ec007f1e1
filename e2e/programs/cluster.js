// A cluster of HTTP servers on one UNIX socket, whose connections the primary hands out, and clients. cluster.js GO SOCKET
const cluster = require('node:cluster');
const { existsSync } = require('node:fs');
const http = require('node:http');

const WORKERS = 3;
const CLIENTS = 4;
const [go, socketPath] = process.argv.slice(2);

function main() {
  cluster.setupPrimary({ args: [go, socketPath] });
  for (let index = 0; index < WORKERS; index++) cluster.fork();
  cluster.on('exit', (worker, code, signal) => {
    if (!worker.exitedAfterDisconnect) fail(`a worker ended with ${code ?? signal}`);
  });
  let listening = 0;
  const served = new Set();
  let done = 0;
  cluster.on('listening', () => {
    if (++listening === WORKERS) clients().then(end, (error) => fail(error.stack));
  });

  async function clients() {
    // Half of them keep their connections.
    const agents = [new http.Agent({ keepAlive: true }), new http.Agent({ keepAlive: false })];
    await Promise.all(Array.from({ length: CLIENTS }, (_, index) => talk(index, agents[index % 2])));
    for (const agent of agents) agent.destroy();
  }

  async function talk(client, agent) {
    for (let round = 0; !existsSync(go); round++) {
      const path = `/${client}/${round}`;
      const { worker, url, body } = JSON.parse(await get(path, agent));
      if (url !== path || body !== 'x'.repeat(5000)) fail(`${path} has the answer to ${url}`);
      served.add(worker);
      console.log(++done);
      // A connection that waits to be accepted cannot be dumped: there must be moments without one.
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  function end() {
    if (served.size !== WORKERS) fail(`only ${[...served]} served`);
    cluster.disconnect(() => console.log('EXIT-SUCCESS'));
  }
}

function get(path, agent) {
  return new Promise((resolve, reject) => {
    const request = http.get({ socketPath, path, agent }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part) => (text += part));
      response.on('end', () => resolve(text));
    });
    request.on('error', reject);
  });
}

function serve() {
  http
    .createServer((request, response) => {
      response.end(JSON.stringify({ worker: cluster.worker.id, url: request.url, body: 'x'.repeat(5000) }));
    })
    .listen(socketPath);
}

function fail(reason) {
  console.log(`FAIL: ${reason}`);
  process.exit(1);
}

if (cluster.isPrimary) main();
else serve();
