// Page transfers that are encrypted, with certificates of an authority made for the test.
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { criu, crts, must } from '../harness/checkpointer';
import { testNeeding } from '../harness/needs';
import { endServers, freePort, serve, storePages } from '../harness/servers';
import { Target } from '../harness/target';

type Side = 'crts' | 'criu';
const LOCAL = '127.0.0.1';
const pki = mkdtempSync(join(tmpdir(), 'crts-pki-'));
const file = (name: string) => join(pki, name);

function openssl(...args: string[]): void {
  execFileSync('openssl', args, { stdio: 'ignore' });
}

/** An authority, and a certificate for this machine that it has signed. */
function issue(authority: string, name: string): void {
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  openssl(
    'req',
    '-x509',
    ...key,
    '-keyout',
    file(`${authority}.key`),
    '-out',
    file(`${authority}.pem`),
    '-subj',
    `/CN=${authority}`,
  );
  openssl(
    'req',
    ...key.slice(0, 4),
    '-nodes',
    '-keyout',
    file(`${name}.key`),
    '-out',
    file(`${name}.csr`),
    '-subj',
    `/CN=${name}`,
  );
  writeFileSync(file('names'), `subjectAltName=IP:${LOCAL},DNS:localhost\n`);
  const signer = ['-CA', file(`${authority}.pem`), '-CAkey', file(`${authority}.key`), '-CAcreateserial'];
  openssl(
    'x509',
    '-req',
    '-in',
    file(`${name}.csr`),
    ...signer,
    '-days',
    '2',
    '-extfile',
    file('names'),
    '-out',
    file(`${name}.pem`),
  );
}

const hasOpenssl = (() => {
  try {
    issue('authority', 'machine');
    issue('stranger', 'strange');
    return true;
  } catch {
    return false;
  }
})();
afterEach(endServers);
afterAll(() => rmSync(pki, { recursive: true, force: true }));

function tls(name = 'machine', authority = 'authority'): string[] {
  const files = [
    '--tls-cacert',
    file(`${authority}.pem`),
    '--tls-cert',
    file(`${name}.pem`),
    '--tls-key',
    file(`${name}.key`),
  ];
  return ['--tls', ...files];
}

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
