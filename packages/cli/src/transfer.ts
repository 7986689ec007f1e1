/** Options of page transfers: whom to talk to, where to listen, and how a server goes into the background. Loaded when needed. */
import { spawn } from 'node:child_process';
import { lookup } from 'node:dns/promises';
import { closeSync, fstatSync, openSync, readlinkSync, unlinkSync, writeSync } from 'node:fs';
import { isIP } from 'node:net';
import { resolve } from 'node:path';
import type { LatePages } from '@crts/core-pstree';
import {
  acceptConnection,
  decodeSocketAddress,
  limitSendTime,
  type SocketAddress,
  SyscallError,
  tcpConnect,
  tcpListen,
  tuneConnection,
} from '@crts/native-syscalls';
import { type Connection, cannotConnect, Progress, readCredentials, secured, servePages } from '@crts/page-xfer';
import type { Logger } from '@crts/plugin-api';
import { badValue, cannotListen, cannotWrite, missingOption } from './errors';
import type { Parsed } from './parse';
import { last } from './run';

const PORT_MAX = 65535;
const CONNECT_S = 20;
/** A lazy restore that takes nothing for so long: the tree stands still meanwhile. */
const STALL_S = 60;
/** Every address of this machine, as CRIU listens. */
const ANY = '0.0.0.0';

export function portOf(parsed: Parsed): number {
  const text = last(parsed, 'port') ?? '0';
  if (!/^\d{1,5}$/.test(text) || Number(text) > PORT_MAX) throw badValue('--port', text, 'a port');
  return Number(text);
}

/** An open descriptor that an option names. */
export function descriptorOption(parsed: Parsed, name: string): number | undefined {
  const text = last(parsed, name);
  if (text === undefined) return undefined;
  if (!/^\d{1,9}$/.test(text)) throw badValue(`--${name}`, text, 'a descriptor');
  try {
    fstatSync(Number(text));
    return Number(text);
  } catch {
    throw badValue(`--${name}`, text, 'a descriptor that crts was started with');
  }
}

/** `--tls`: the same connection, encrypted. Its files are read before anything is begun. */
function encryption(parsed: Parsed): (connection: Connection, role: 'client' | 'server') => Connection {
  if (!parsed.switches.has('tls')) return (connection) => connection;
  const file = (name: string) => last(parsed, `tls-${name}`);
  const files = { cacert: file('cacert'), cacrl: file('cacrl'), cert: file('cert'), key: file('key') };
  const credentials = readCredentials(files);
  const host = parsed.switches.has('tls-no-cn-verify') ? undefined : last(parsed, 'address');
  return (connection, role) => secured(connection, role, credentials, host);
}

function givenSocket(parsed: Parsed): Connection | undefined {
  const socket = descriptorOption(parsed, 'ps-socket');
  if (socket === undefined) return undefined;
  if (!readlinkSync(`/proc/self/fd/${socket}`).startsWith('socket:'))
    throw badValue('--ps-socket', String(socket), 'a socket');
  return { socket, peer: `descriptor ${socket}`, isBorrowed: true };
}

/** Connects with the page server that the options name. */
export async function connectServer(parsed: Parsed): Promise<Connection> {
  const encrypt = encryption(parsed);
  const given = givenSocket(parsed);
  if (given !== undefined) return encrypt(given, 'client');
  const host = last(parsed, 'address');
  if (host === undefined) throw missingOption('--address', 'it says where the page server is');
  const port = portOf(parsed);
  if (port === 0) throw missingOption('--port', 'it says where the page server listens');
  const peer = `${host}:${port}`;
  let errno: string | undefined;
  for (const address of await addressesOf(host)) {
    try {
      const socket = tcpConnect({ address, port }, CONNECT_S);
      tuneConnection(socket);
      return encrypt({ socket, peer }, 'client');
    } catch (error) {
      if (!(error instanceof SyscallError)) throw error;
      errno = error.errno;
    }
  }
  throw cannotConnect(peer, errno);
}

async function addressesOf(host: string): Promise<string[]> {
  if (isIP(host) !== 0) return [host];
  try {
    return (await lookup(host, { all: true })).map(({ address }) => address);
  } catch (error) {
    throw cannotConnect(host, (error as { code?: string }).code);
  }
}

export interface Listener {
  readonly fd: number;
  readonly at: string;
}

/** Listens where the options say; a server in the background got the descriptor from who started it. */
export async function listen(parsed: Parsed): Promise<Listener> {
  const inherited = descriptorOption(parsed, 'listen-fd');
  if (inherited !== undefined) return { fd: inherited, at: 'an inherited socket' };
  const address = await listenAddress(parsed);
  try {
    const { socket, port } = tcpListen(address);
    return { fd: socket, at: `${address.address}:${port}` };
  } catch (error) {
    if (error instanceof SyscallError) throw cannotListen(`${address.address}:${address.port}`, error.errno);
    throw error;
  }
}

async function listenAddress(parsed: Parsed): Promise<SocketAddress> {
  const host = last(parsed, 'address') ?? ANY;
  const [address] = await addressesOf(host);
  return { address: address!, port: portOf(parsed) };
}

/** The next connection of a listener, which is closed then: a server serves one. */
export function accept({ fd }: Listener): Connection {
  const { socket, peer } = acceptConnection(fd);
  closeSync(fd);
  tuneConnection(socket);
  const { address, port } = decodeSocketAddress(peer);
  return { socket, peer: `${address}:${port}` };
}

/** The connection that a server serves. */
export async function serverConnection(parsed: Parsed, ready: () => void, listener?: Listener): Promise<Connection> {
  const encrypt = encryption(parsed);
  const given = givenSocket(parsed);
  if (given !== undefined) {
    ready();
    return encrypt(given, 'server');
  }
  const listening = listener ?? (await listen(parsed));
  ready();
  return encrypt(accept(listening), 'server');
}

/** `dump --lazy-pages`: listens before the tree is frozen, and serves when its images are complete. */
export async function lateServer(parsed: Parsed, log: Logger) {
  const encrypt = encryption(parsed);
  const given = givenSocket(parsed);
  const listener = given === undefined ? await listen(parsed) : undefined;
  let connection = given === undefined ? undefined : encrypt(given, 'server');
  return {
    serve: (pages: LatePages): void => {
      if (listener !== undefined) log.info({}, `waiting for the lazy restore on ${listener.at}`);
      tellReady(parsed);
      connection ??= encrypt(accept(listener!), 'server');
      limitSendTime(connection.socket, STALL_S);
      const progress = Progress.onTerminal('sent');
      progress?.expect(pages.total);
      const bytes = servePages(connection, pages, progress);
      log.info({ bytes: Number(bytes) }, 'the lazy restore has all pages');
    },
    close: (): void => {
      connection?.end?.();
      if (connection !== undefined && connection.isBorrowed !== true) closeSync(connection.socket);
      else if (connection === undefined) closeSync(listener!.fd);
    },
  };
}

/** Tells whoever waits for it that the server is ready: one zero byte, as CRIU does. */
export function tellReady(parsed: Parsed): void {
  const fd = descriptorOption(parsed, 'status-fd');
  if (fd === undefined) return;
  try {
    writeSync(fd, Buffer.alloc(1));
    closeSync(fd);
  } catch (error) {
    throw cannotWrite(`descriptor ${fd}`, 'the status cannot be written', (error as NodeJS.ErrnoException).code);
  }
}

/**
 * The same command in the background, in a session of its own, with the listening socket. Its pid goes to the pidfile. A Node
 * process cannot fork itself, so it is a new one.
 */
export function inBackground(parsed: Parsed, work: string, listener: number): void {
  const pidfile = last(parsed, 'pidfile');
  const file = pidfile === undefined ? undefined : newFile(resolve(work, pidfile));
  const status = descriptorOption(parsed, 'status-fd');
  const argv = process.argv.slice(2);
  const operands = argv.includes('--') ? argv.splice(argv.indexOf('--')) : [];
  const own = ['--no-daemon', '--listen-fd', '3', ...(status === undefined ? [] : ['--status-fd', '4'])];
  const child = spawn(process.execPath, [process.argv[1]!, ...argv, ...own, ...operands], {
    detached: true,
    stdio: ['ignore', 'ignore', 'ignore', listener, ...(status === undefined ? [] : [status])],
  });
  child.unref();
  if (file === undefined) return;
  if (child.pid === undefined) unlinkSync(file.path);
  else writeSync(file.fd, String(child.pid));
  closeSync(file.fd);
}

function newFile(path: string): { readonly path: string; readonly fd: number } {
  try {
    return { path, fd: openSync(path, 'wx', 0o600) };
  } catch (error) {
    throw cannotWrite(path, 'the pidfile cannot be written', (error as NodeJS.ErrnoException).code);
  }
}
