/** Servers that listen on UNIX sockets alone, and their clients. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { testNeeding } from '../harness/needs';
import { Target } from '../harness/target';
import { until } from '../harness/until';

function output(command: string, ...args: string[]): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8', timeout: 20_000 });
  if (error !== undefined || status !== 0) throw error ?? new Error(`${command}: ${stderr}`);
  return stdout.trim();
}

testNeeding(['redis-server', 'redis-cli'])('redis keeps what it was told, and takes new connections', async () => {
  const redis = Target.start('redis-server', [
    '--port',
    '0',
    '--unixsocket',
    'DIR/redis',
    '--save',
    '',
    '--dir',
    'DIR',
  ]);
  await until('redis to be ready', () => redis.text().includes('ready to accept connections at'));
  const cli = (...command: string[]) => output('redis-cli', '-s', join(redis.directory, 'redis'), ...command);
  for (let round = 0; round < 3; round++) {
    expect(cli('RPUSH', 'rounds', `round ${round}`)).toBe(String(round + 1));
    await redis.cycle();
  }
  expect(cli('LRANGE', 'rounds', '0', '-1').split('\n')).toEqual(['round 0', 'round 1', 'round 2']);
  expect(redis.alive()).toBe(true);
});

/** A server and ten clients of one event loop, talking all the time until the go file is there. */
const ASYNCIO = `
import asyncio, os, sys
go, path = sys.argv[1:]
async def echo(reader, writer):
    while line := await reader.readline():
        writer.write(line.upper())
        await writer.drain()
    writer.close()
async def client(number):
    reader, writer = await asyncio.open_unix_connection(path)
    rounds = 0
    while not os.path.exists(go) or rounds < 3:
        writer.write(f'client {number} round {rounds}\\n'.encode())
        answer = await reader.readline()
        assert answer == f'CLIENT {number} ROUND {rounds}\\n'.encode(), answer
        rounds += 1
        await asyncio.sleep(0.001)
    writer.close()
async def main():
    server = await asyncio.start_unix_server(echo, path)
    clients = [asyncio.create_task(client(number)) for number in range(10)]
    print('ready', flush=True)
    await asyncio.gather(*clients)
    await client(99)
    print('EXIT-SUCCESS', flush=True)
asyncio.run(main())
`;

testNeeding(['python3'])('an asyncio server and its clients go on with their conversation', async () => {
  const python = Target.start('/usr/bin/python3', ['-c', ASYNCIO, 'GO', 'DIR/echo']);
  await python.ready();
  for (let round = 0; round < 3; round++) await python.cycle();
  await python.finish();
});
