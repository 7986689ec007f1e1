/** Servers that listen on UNIX sockets alone, and their clients. */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { repository } from '../harness/checkpointer';
import { CYCLES_TIMEOUT_MS, cyclesUnderLoad, linesOf } from '../harness/load';
import { testNeeding } from '../harness/needs';
import { socketOf, startRedis } from '../harness/redis';
import { Target } from '../harness/target';
import { until } from '../harness/until';

function output(command: string, ...args: string[]): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8', timeout: 20_000 });
  if (error !== undefined || status !== 0) throw error ?? new Error(`${command}: ${stderr}`);
  return stdout.trim();
}

testNeeding(['redis-server', 'redis-cli'])('redis keeps what it was told, and takes new connections', async () => {
  const redis = await startRedis();
  const cli = (...command: string[]) => output('redis-cli', '-s', socketOf(redis), ...command);
  for (let round = 0; round < 3; round++) {
    expect(cli('RPUSH', 'rounds', `round ${round}`)).toBe(String(round + 1));
    await redis.cycle();
  }
  expect(cli('LRANGE', 'rounds', '0', '-1').split('\n')).toEqual(['round 0', 'round 1', 'round 2']);
  expect(redis.alive()).toBe(true);
});

testNeeding(['redis-server', 'redis-benchmark', 'python3'])(
  'redis under load, dumped with its clients',
  async () => {
    const script = join(repository, 'e2e/programs/redis-load.py');
    const target = Target.start('/usr/bin/python3', [script, 'GO', 'DIR']);
    await cyclesUnderLoad(target, linesOf(target));
    await target.finish(120);
  },
  CYCLES_TIMEOUT_MS,
);

testNeeding(['nginx', 'python3'])(
  'nginx under load, dumped with its clients',
  async () => {
    const target = Target.start('/usr/bin/python3', [join(repository, 'e2e/programs/web-load.py'), 'GO', 'DIR']);
    // Nobody can look at what a client has sent before it is accepted.
    await cyclesUnderLoad(target, linesOf(target), { refusedAtTimes: 'CRTS_SOCKET_WAITING' });
    await target.finish(120);
  },
  CYCLES_TIMEOUT_MS,
);

const bin = '/usr/lib/postgresql/15/bin';
const user = ['--reuid=postgres', '--regid=postgres', '--init-groups'];

/** As its own user, with a tree of seven processes, shared memory and a directory that nobody else may read. */
testNeeding(['postgres 15', 'setpriv'])('postgres keeps its tables, and its sessions end as they should', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'crts-postgres-'));
  let postgres: Target | undefined;
  const sql = (text: string) => output('psql', '-h', directory, '-U', 'postgres', '-Atc', text);
  try {
    output('chown', 'postgres', directory);
    output('setpriv', ...user, `${bin}/initdb`, '-D', `${directory}/data`, '-A', 'trust', '-N');
    const settings = ['listen_addresses=', `unix_socket_directories=${directory}`, 'fsync=off'].flatMap((one) => [
      '-c',
      one,
    ]);
    postgres = Target.start('setpriv', [...user, `${bin}/postgres`, '-D', `${directory}/data`, ...settings]);
    await until('postgres to be ready', () => postgres!.text().includes('ready to accept connections'));
    sql('create table rounds(number int)');
    for (let round = 0; round < 3; round++) {
      sql(`insert into rounds values (${round})`);
      await postgres.cycle();
    }
    expect(sql('select number from rounds order by number').split('\n')).toEqual(['0', '1', '2']);
    expect(postgres.text()).not.toMatch(/terminat|PANIC|FATAL|ERROR/);
    // A fast shutdown: checkpoint, then every child ends.
    output('kill', '-INT', String(postgres.pid));
    await until('postgres to end', () => !postgres!.alive());
    expect(postgres.text()).toContain('database system is shut down');
  } finally {
    await postgres?.end();
    rmSync(directory, { recursive: true, force: true });
  }
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

testNeeding(['postgres 15', 'setpriv'])(
  'postgres under load, dumped with pgbench, has sound tables and indexes',
  async () => {
    const directory = mkdtempSync(join(tmpdir(), 'crts-postgres-'));
    let target: Target | undefined;
    try {
      output('chown', 'postgres', directory);
      output('setpriv', ...user, `${bin}/initdb`, '-D', `${directory}/data`, '-A', 'trust', '-N');
      // Where the user postgres may not look, it cannot run scripts either.
      const script = join(directory, 'pgbench.sh');
      copyFileSync(join(repository, 'e2e/programs/pgbench.sh'), script);
      target = Target.start('setpriv', [...user, 'sh', script, 'GO', directory, bin]);
      // Clients write before they are accepted: docs/adr/0029-data-before-accept.md.
      await cyclesUnderLoad(target, linesOf(target), { refusedAtTimes: 'CRTS_SOCKET_WAITING' });
      await target.finish(300);
      // Each transaction of pgbench adds the same to one of each table.
      const [count, ...sums] = /^sums (.*)$/m.exec(target.text())![1]!.split('|').map(Number);
      expect(count).toBeGreaterThanOrEqual(20 * 200);
      expect(new Set(sums).size).toBe(1);
    } finally {
      await target?.end();
      rmSync(directory, { recursive: true, force: true });
    }
  },
  CYCLES_TIMEOUT_MS,
);
