/** Certificates for encrypted transfers, of an authority made for the test. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

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

export const hasOpenssl = (() => {
  try {
    issue('authority', 'machine');
    issue('stranger', 'strange');
    return true;
  } catch {
    return false;
  }
})();
afterAll(() => rmSync(pki, { recursive: true, force: true }));

/** Options of either side: its certificate, and the authority that it trusts. */
export function tls(name = 'machine', authority = 'authority'): string[] {
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
