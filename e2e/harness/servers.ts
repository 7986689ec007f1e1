/** Servers that run beside a dump or a restore: started, waited for until they are ready, and ended whatever happens. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { criuBinary, crtsBinary, temporaryDirectory } from './checkpointer';

const started: ChildProcess[] = [];

/** A port that nobody has at the moment. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => {
    server.close(resolve);
  });
  return port;
}

export interface Server {
  readonly child: ChildProcess;
  /** Exit code, or the signal that ended it. */
  readonly ended: Promise<number | string>;
  stderr(): string;
}

/** Runs crts or criu and waits until it says on --status-fd that it is ready, or has ended. */
export async function serve(who: 'crts' | 'criu', ...args: string[]): Promise<Server> {
  const command = who === 'crts' ? crtsBinary : criuBinary!;
  const child = spawn(command, [...args, '--status-fd', '3'], {
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    env: { ...process.env, TMPDIR: temporaryDirectory },
  });
  started.push(child);
  let text = '';
  child.stderr!.on('data', (data) => {
    text += String(data);
  });
  const ended = new Promise<number | string>((resolve, reject) => {
    child.once('close', (status, signal) => resolve(status ?? signal ?? 'gone'));
    child.once('error', reject);
  });
  await new Promise<void>((resolve) => {
    child.stdio[3]!.once('data', () => resolve());
    child.stdio[3]!.once('close', () => resolve());
    void ended.then(() => resolve());
  });
  return { child, ended, stderr: () => text };
}

/** For afterEach. */
export async function endServers(): Promise<void> {
  for (const child of started.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const end = new Promise((resolve) => {
      child.once('close', resolve);
    });
    child.kill('SIGKILL');
    await end;
  }
}

/** A page server that gives the pages of an image set to a lazy restore. */
export function storePages(images: string, where: readonly string[]): Promise<Server> {
  return serve('crts', 'page-server', '--lazy-pages', '-D', images, ...where, '-o', 'store.log', '-v4');
}
