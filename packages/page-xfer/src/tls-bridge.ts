/**
 * The thread that encrypts: what one end of a socket pair gives goes over the wire, and back. The engine at the other end of the pair
 * blocks while a tree is frozen; Node's TLS lives on an event loop, which is this thread's. Data are here in pieces of 64 KiB.
 */
import { Socket } from 'node:net';
import { checkServerIdentity, connect, createServer, type TLSSocket } from 'node:tls';
import { workerData } from 'node:worker_threads';
import { Framing } from './framing';
import type { BridgeOrder } from './tls';

const { wire: wireFd, local: localFd, role, host, credentials, port } = workerData as BridgeOrder;
const local = new Socket({ fd: localFd, readable: true, writable: true });
const wire = new Socket({ fd: wireFd, readable: true, writable: true });
let secure: TLSSocket | undefined;

/** The first reason counts; the other end of the pair sees the end after it is told. */
function fail(error: Error): void {
  port.postMessage(error.message);
  local.destroy();
  secure?.destroy();
  wire.destroy();
}

function begin(): void {
  secure!.on('close', () => local.end());
  secure!.pipe(local);
  if (role === 'server') local.pipe(secure!);
  else void sendFramed();
}

/** One piece at a time: pieces that wait together would become one TLS record. */
async function sendFramed(): Promise<void> {
  const framing = new Framing();
  try {
    for await (const chunk of local)
      for (const piece of framing.feed(chunk as Buffer))
        await new Promise<void>((resolve, reject) => {
          secure!.write(piece, (error) => (error == null ? resolve() : reject(error)));
        });
  } catch {
    // What ended the connection is told by its own event.
  }
  secure!.end();
}

local.on('error', () => secure?.end());
wire.on('error', fail);
if (role === 'client') {
  secure = connect({
    ...credentials,
    socket: wire,
    checkServerIdentity: (_, certificate) => (host === undefined ? undefined : checkServerIdentity(host, certificate)),
  });
  secure.on('error', fail);
  secure.once('secureConnect', begin);
} else {
  // With TLS 1.3 OpenSSL sends session tickets behind the handshake, which CRIU takes for the failure of a read (tls_recv(),
  // criu/tls.c), and Node cannot keep it from that.
  const server = createServer({ ...credentials, requestCert: true, rejectUnauthorized: true, maxVersion: 'TLSv1.2' });
  server.on('tlsClientError', fail);
  server.on('secureConnection', (accepted) => {
    secure = accepted;
    accepted.on('error', fail);
    const wrong = host === undefined ? undefined : checkServerIdentity(host, accepted.getPeerCertificate());
    if (wrong === undefined) begin();
    else fail(wrong);
  });
  server.emit('connection', wire);
}
