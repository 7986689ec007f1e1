// Page transfers that are encrypted, with certificates of an authority made for the test.
import { cpSync, existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { criu, crts, must } from '../harness/checkpointer';
import { testNeeding } from '../harness/needs';
import { hasOpenssl, tls } from '../harness/pki';
import { endServers, freePort, serve, storePages } from '../harness/servers';
import { Target } from '../harness/target';

type Side = 'crts' | 'criu';
const LOCAL = '127.0.0.1';

afterEach(endServers);

async function transfer(sender: Side, receiver: Side): Promise<void> {
  const target = await Target.program('memory', ['DIR/file']);
  const stored = join(target.directory, 'stored');
  mkdirSync(stored);
  const where = ['--address', LOCAL, '--port', String(await freePort())];
  const receiving = await serve(receiver, 'page-server', '-D', stored, ...where, ...tls(), '-o', 'server.log', '-v4');
  const args = [
    '-t',
    String(target.pid),
    '-D',
    target.images,
    '-o',
    'dump.log',
    '-v4',
    '--page-server',
    ...where,
    ...tls(),
  ];
  must((sender === 'crts' ? crts : criu)('dump', ...args));
  expect([await receiving.ended, receiving.stderr()]).toEqual([0, expect.anything()]);
  await target.gone();
  for (const name of readdirSync(stored))
    if (name.startsWith('page')) cpSync(join(stored, name), join(target.images, name));
  must(target.restore());
  await target.finish();
}

const needs = hasOpenssl ? [] : ['openssl'];
testNeeding(needs)('pages go to a server', () => transfer('crts', 'crts'));
testNeeding([...needs, 'CRTS_CRIU'])('crts to criu', () => transfer('crts', 'criu'));
testNeeding([...needs, 'CRTS_CRIU'])('criu to crts', () => transfer('criu', 'crts'));

testNeeding(needs)('memory comes when it is needed', async () => {
  const target = await Target.program('lazy-memory', ['24']);
  must(target.dump());
  await target.gone();
  const where = ['--address', LOCAL, '--port', String(await freePort()), ...tls()];
  const storing = await storePages(target.images, where);
  const serving = await serve(
    'crts',
    'lazy-pages',
    '-D',
    target.images,
    '--page-server',
    ...where,
    '-o',
    'lazy-pages.log',
    '-v4',
  );
  must(crts('restore', '-d', '-D', target.images, '-o', 'restore.log', '-v4', '--lazy-pages'));
  target.adoptRestored();
  await target.finish();
  expect([await serving.ended, serving.stderr()]).toEqual([0, '']);
  expect([await storing.ended, storing.stderr()]).toEqual([0, '']);
});

testNeeding(needs)('a certificate of somebody else: refused, and the program runs on', async () => {
  const target = await Target.program('memory', ['DIR/file']);
  const stored = join(target.directory, 'stored');
  mkdirSync(stored);
  const where = ['--address', LOCAL, '--port', String(await freePort())];
  const receiving = await serve('crts', 'page-server', '-D', stored, ...where, ...tls(), '-o', 'server.log', '-v4');
  const options = ['--page-server', ...where, ...tls('strange', 'authority')];
  const { status, stderr } = target.dump(...options);
  expect([status, stderr]).toEqual([1, expect.stringContaining('[CRTS_PAGE_SERVER]')]);
  expect([await receiving.ended, receiving.stderr()]).toEqual([1, expect.stringContaining('TLS')]);
  expect(readdirSync(stored).filter((name) => name.endsWith('.img'))).toEqual([]);
  expect(existsSync(join(target.images, 'inventory.img'))).toBe(false);
  await target.finish();
});

testNeeding(needs)('a key that is not there is said before anything is touched', async () => {
  const target = await Target.program('memory', ['DIR/file']);
  const { stderr } = target.dump('--page-server', '--address', LOCAL, '--port', '1', ...tls('nobody'));
  expect(stderr).toContain('[CRTS_TLS]');
  await target.finish();
});
