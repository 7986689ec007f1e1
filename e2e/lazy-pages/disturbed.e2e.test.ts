// Somebody of a lazy restore dies at some moment: the program has all of its memory, or it ends. It never sees zeroes in place of it, and nobody hangs.
import { rmSync, truncateSync } from 'node:fs';
import { begin, commandsWith, type End, livingOf, pause, within } from '../harness/casualties';
import { must } from '../harness/checkpointer';
import { testNeeding } from '../harness/needs';
import { hasOpenssl, tls } from '../harness/pki';
import { seeded } from '../harness/random';
import { endServers, freePort, type Server, serve, storePages } from '../harness/servers';
import { Target } from '../harness/target';
import { until } from '../harness/until';

const ROUNDS = Number(process.env.CRTS_DISTURBANCES ?? 3);
const LOCAL = '127.0.0.1';
const HANG_S = 60;

afterEach(endServers);

/** Who brings the memory. */
type Way = 'its own server' | 'a server that waits' | 'a page server' | 'a page server, encrypted';
type Victim = 'restore' | 'server' | 'page server';

interface Told {
  readonly restore: End;
  readonly servers: readonly (number | string)[];
}

const serversOf = (target: Target) => commandsWith('lazy-pages', target.images);

/** A restore with its servers; somebody is killed after a while, if anybody. Ends when all of them have. */
async function run(target: Target, way: Way, victim: Victim | undefined, ms: number): Promise<Told> {
  const servers: Server[] = [];
  let storing: Server | undefined;
  if (way !== 'its own server') {
    const where = ['--address', LOCAL, '--port', String(await freePort()), ...(way.endsWith('encrypted') ? tls() : [])];
    if (way !== 'a server that waits') storing = await storePages(target.images, where);
    const source = storing === undefined ? [] : ['--page-server', ...where];
    servers.push(await serve('crts', 'lazy-pages', '-D', target.images, ...source, '-o', 'lazy-pages.log', '-v4'));
  }
  const restore = begin('restore', '-d', '-D', target.images, '-o', 'restore.log', '-v4', '--lazy-pages');
  if (victim !== undefined) {
    await pause(ms);
    if (victim === 'restore') restore.child.kill('SIGKILL');
    if (victim === 'page server') storing!.child.kill('SIGKILL');
    if (victim === 'server') for (const pid of serversOf(target)) kill(pid);
  }
  const end = await within(HANG_S, 'the restore', restore.end);
  // One that waits for a restore which never came is ended here.
  if (victim === 'restore')
    await until('the servers to end', () => serversOf(target).length === 0, 3).catch(() => undefined);
  if (victim === 'restore' && end.how !== 0)
    for (const { child } of [...servers, ...(storing === undefined ? [] : [storing])]) child.kill('SIGKILL');
  await until('its own servers to end', () => serversOf(target).length === 0, HANG_S);
  if (victim !== undefined) storing?.child.kill('SIGKILL');
  const all = [...servers, ...(storing === undefined ? [] : [storing])];
  return { restore: end, servers: await within(HANG_S, 'a server', Promise.all(all.map(({ ended }) => ended))) };
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
}

async function disturb(way: Way, victim: Victim): Promise<void> {
  const random = seeded();
  const target = await Target.program('lazy-memory', ['48']);
  must(target.dump());
  await target.gone();
  const size = target.text().length;
  /** The program tells what it has found, or nothing when it was ended. */
  const finish = async (told: string, restoreDied = false): Promise<string> => {
    target.adoptRestored();
    await target.lookAndEnd(told, HANG_S, restoreDied);
    await until(`nobody to be left of ${told}`, () => livingOf(target.pid).length === 0, HANG_S);
    const text = target.text().slice(size);
    truncateSync(target.output, size);
    rmSync(target.go);
    await target.gone();
    return text;
  };
  const began = process.hrtime.bigint();
  const first = await run(target, way, undefined, 0);
  const ms = Number(process.hrtime.bigint() - began) / 1e6;
  expect(first).toMatchObject({ restore: { how: 0 } });
  expect(await finish('the first round')).toContain('EXIT-SUCCESS');
  for (let count = 0; count < ROUNDS; count++) {
    const after = random() * ms;
    const { restore, servers } = await run(target, way, victim, after);
    const told = `round ${count}: ${victim} after ${after.toFixed(1)} ms: restore ${restore.how}, servers ${servers}: ${restore.stderr}`;
    const text = await finish(told, restore.how === 'SIGKILL');
    if (process.env.CRTS_DISTURBANCES !== undefined)
      process.stdout.write(`${told.replaceAll('\n', ' | ')}: ${text.replaceAll('\n', ' | ')}\n`);
    expect([told, text]).toEqual([told, expect.not.stringContaining('FAIL')]);
    expect([told, restore.stderr]).toEqual([told, expect.not.stringMatching(/CRTS_BUG|^\s+at /m)]);
    if (restore.how === 1)
      expect([told, restore.stderr, text]).toEqual([told, expect.stringMatching(/^crts: .* \[CRTS_\w+\]$/m), '']);
  }
}

const WAYS: readonly (readonly [Way, readonly Victim[]])[] = [
  ['its own server', ['restore', 'server']],
  ['a server that waits', ['restore', 'server']],
  ['a page server', ['restore', 'server', 'page server']],
  ['a page server, encrypted', ['restore', 'server', 'page server']],
];

describe.each(WAYS)('memory from %s', (way, victims) => {
  for (const victim of victims)
    testNeeding(way.endsWith('encrypted') && !hasOpenssl ? ['openssl'] : [])(`the ${victim} is killed`, () =>
      disturb(way, victim),
    );
});

// Deaf: stopped, as one is that a loaded machine does not come to.
test('a server that dies before it has taken over is the end of the restore, which says so', async () => {
  const target = await Target.program('lazy-memory', ['48']);
  must(target.dump());
  await target.gone();
  const server = await serve('crts', 'lazy-pages', '-D', target.images, '-o', 'lazy-pages.log', '-v4');
  server.child.kill('SIGSTOP');
  const restore = begin('restore', '-d', '-D', target.images, '-o', 'restore.log', '-v4', '--lazy-pages');
  await until('the program to be made', () => livingOf(target.pid).length > 0);
  await pause(1000);
  server.child.kill('SIGKILL');
  const { how, stderr } = await within(HANG_S, 'the restore', restore.end);
  expect([how, stderr]).toEqual([1, expect.stringMatching(/^crts: .* \[CRTS_LAZY_SERVER\]$/m)]);
  expect(livingOf(target.pid)).toEqual([]);
});
