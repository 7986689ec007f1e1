/** Peers outside the dumped tree: found again by name, left to others on purpose, or refused. */
import { spawnSync } from 'node:child_process';
import { readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { rawSyscall } from '@crts/native-syscalls';
import { crtsBinary, must } from '../harness/checkpointer';
import { testNeeding } from '../harness/needs';
import { Target } from '../harness/target';
import { until } from '../harness/until';

/** Says what arrives: one line for each connection and message. */
const SERVER = `
import os, socket, sys, threading
kind = socket.SOCK_STREAM if sys.argv[1] == 'stream' else socket.SOCK_DGRAM
server = socket.socket(socket.AF_UNIX, kind)
server.bind(sys.argv[2])
def listen(connection):
    while data := connection.recv(100):
        print('got', data.decode(), flush=True)
if kind == socket.SOCK_STREAM:
    server.listen()
    print('ready', flush=True)
    while True:
        print('connection', flush=True)
        threading.Thread(target=listen, args=(server.accept()[0],), daemon=True).start()
print('ready', flush=True)
listen(server)
`;

async function startServer(kind: string): Promise<[Target, string]> {
  const server = Target.start('/usr/bin/python3', ['-c', SERVER, kind, 'DIR/socket']);
  await server.ready();
  return [server, join(server.directory, 'socket')];
}

async function startClient(kind: string, path: string, ...more: string[]): Promise<[Target, string]> {
  const client = await Target.program('unix-outside', [kind, path, ...more]);
  const ino = /\d+/.exec(readlinkSync(`/proc/${client.pid}/fd/3`))![0];
  return [client, ino];
}

const needing = testNeeding(['python3']);

needing('a datagram socket finds its receiver again by name, as one of syslog does', async () => {
  const [server, path] = await startServer('datagram');
  const [client] = await startClient('datagram', path);
  await client.cycle();
  await client.finish();
  await until('the message to arrive', () => server.text().includes('got after'));
});

needing('a connection to another program is refused, and says who has the other end', async () => {
  const [server, path] = await startServer('stream');
  const [client, ino] = await startClient('stream', path);
  const { status, stderr } = client.dump();
  expect(status).toBe(1);
  expect(stderr).toMatch(`process ${server.pid} (python3)`);
  expect(stderr).toContain('[CRTS_SOCKET_PEER]');
  expect(stderr).toContain(`--external 'unix[${ino}]'`);
  await client.finish();
});

needing('left outside on purpose, a connection is made again by name', async () => {
  const [server, path] = await startServer('stream');
  const [client, ino] = await startClient('stream', path);
  must(client.dump('--external', `unix[${ino}]`));
  await client.gone();
  const refused = client.restore();
  expect([refused.status, refused.stderr]).toEqual([1, expect.stringContaining('[CRTS_SOCKET_EXTERNAL]')]);
  must(client.restore('--ext-unix-sk'));
  await client.finish();
  await until('the message to arrive', () => server.text().includes('got after'));
  expect(server.text().match(/connection/g)).toHaveLength(3);
});

needing('or taken from the caller of the restore', async () => {
  const [, path] = await startServer('stream');
  const [client, ino] = await startClient('stream', path, 'another');
  must(client.dump('--external', `unix[${ino}]`));
  await client.gone();
  const ends = new Int32Array(2);
  rawSyscall('socketpair', 1, 1, 0, ends);
  try {
    const options = ['restore', '-d', '-D', client.images, '--inherit-fd', `fd[3]:socket:[${ino}]`];
    const { status, stderr } = spawnSync(crtsBinary, options, {
      stdio: ['ignore', 'pipe', 'pipe', ends[0]!],
      encoding: 'utf8',
    });
    must({ status, stderr, stdout: '' });
    client.adoptRestored();
    await client.finish();
    const text = Buffer.alloc(10);
    expect(rawSyscall('recvfrom', ends[1]!, text, 10, 0x40, null, null)).toBe(5);
    expect(text.toString('utf8', 0, 5)).toBe('after');
  } finally {
    for (const fd of ends) rawSyscall('close', fd);
  }
});

testNeeding(['python3', 'CRTS_CRIU'])(
  'CRIU finds the receiver again by name in images of crts, and crts in those of CRIU',
  async () => {
    const [server, path] = await startServer('datagram');
    const [client] = await startClient('datagram', path);
    must(client.dump('--ext-unix-sk'));
    await client.gone();
    must(client.restoreWithCriu('--ext-unix-sk'));
    client.clearImages();
    must(client.dumpWithCriu('--ext-unix-sk'));
    await client.gone();
    must(client.restore('--ext-unix-sk'));
    await client.finish();
    await until('the message to arrive', () => server.text().includes('got after'));
  },
);

testNeeding(['python3', 'CRTS_CRIU'])('what CRIU left outside is taken from the caller of the restore', async () => {
  const [, path] = await startServer('stream');
  const [client, ino] = await startClient('stream', path, 'another');
  must(client.dumpWithCriu('--external', `unix[${ino}]`));
  await client.gone();
  const ends = new Int32Array(2);
  rawSyscall('socketpair', 1, 1, 0, ends);
  try {
    must(client.restoreInheriting([ends[0]!], '--inherit-fd', `fd[3]:socket:[${ino}]`));
    await client.finish();
    const text = Buffer.alloc(10);
    expect(rawSyscall('recvfrom', ends[1]!, text, 10, 0x40, null, null)).toBe(5);
  } finally {
    for (const fd of ends) rawSyscall('close', fd);
  }
});
