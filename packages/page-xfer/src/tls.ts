import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads';
import { streamPair } from '@crts/native-syscalls';
import type { Connection } from './client';
import { badCertificateFile } from './errors';

/** Where CRIU looks when the options say nothing. */
const DEFAULTS = {
  cacert: '/etc/pki/CA/cacert.pem',
  cacrl: '/etc/pki/CA/cacrl.pem',
  cert: '/etc/pki/criu/cert.pem',
  key: '/etc/pki/criu/private/key.pem',
};

export interface TlsFiles {
  readonly cacert?: string | undefined;
  readonly cacrl?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}

export interface Credentials {
  readonly ca: string[];
  readonly crl?: string;
  readonly cert: string;
  readonly key: string;
}

/** What the thread is started with. */
export interface BridgeOrder {
  /** Both descriptors are the thread's from then on. */
  readonly wire: number;
  readonly local: number;
  readonly role: 'client' | 'server';
  /** Who the other side has to be; undefined: anybody with a certificate that is accepted. */
  readonly host: string | undefined;
  readonly credentials: Credentials;
  readonly port: MessagePort;
}

/** Reads what the options name, before anything is begun. @throws CrtsError CRTS_TLS */
export function readCredentials({ cacert, cacrl, cert, key }: TlsFiles): Credentials {
  const authorities = cacert === undefined ? readOptional(DEFAULTS.cacert) : read(cacert);
  const crl = cacrl === undefined ? readOptional(DEFAULTS.cacrl) : read(cacrl);
  return {
    // Authorities that are named are the only ones.
    ca: [...(cacert === undefined ? rootCertificates : []), ...(authorities === undefined ? [] : [authorities])],
    ...(crl === undefined ? {} : { crl }),
    cert: read(cert ?? DEFAULTS.cert),
    key: read(key ?? DEFAULTS.key),
  };
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw badCertificateFile(file, (error as NodeJS.ErrnoException).code);
  }
}

function readOptional(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

/** The same connection, encrypted by a thread: its socket is one end of a pair, and is blocking as any other. */
export function secured(
  connection: Connection,
  role: BridgeOrder['role'],
  credentials: Credentials,
  host: string | undefined,
): Connection {
  const [own, local] = streamPair();
  const { port1, port2 } = new MessageChannel();
  const order: BridgeOrder = { wire: connection.socket, local, role, host: hostOf(host), credentials, port: port2 };
  const worker = new Worker(join(__dirname, 'tls-bridge.js'), { workerData: order, transferList: [port2] });
  let reason: string | undefined;
  worker.on('error', (error) => {
    reason ??= error.message;
  });
  port1.unref();
  return {
    socket: own,
    peer: connection.peer,
    reason: () => {
      reason ??= (receiveMessageOnPort(port1) as { message: string } | undefined)?.message;
      return reason === undefined ? undefined : `TLS: ${reason}`;
    },
    end: () => port1.close(),
  };
}

/** A numeric address is compared with the numeric names of a certificate, in the same form. */
function hostOf(host: string | undefined): string | undefined {
  return host === undefined || isIP(host) === 0 ? host : host.toLowerCase();
}
