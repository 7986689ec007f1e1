// Whether the file under a name is the one that was dumped: --file-validation, --skip-file-rwx-check.
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { must, type Outcome } from '../harness/checkpointer';
import { testNeeding } from '../harness/needs';
import { Target } from '../harness/target';

/** Head of the note: four bytes of owner, twenty of id, NT_GNU_BUILD_ID (man 5 elf). */
const NOTE = Buffer.from('040000001400000003000000474e5500', 'hex');

/** The same program by size and another by build id. */
function rebuild(file: string): void {
  const bytes = readFileSync(file);
  const at = bytes.indexOf(NOTE);
  expect(at).toBeGreaterThan(0);
  bytes[at + NOTE.length + 19]! ^= 0xff;
  writeFileSync(file, bytes);
}

async function withFile(body: (target: Target, file: string) => Promise<void>): Promise<void> {
  const target = await Target.program('open-file', ['DIR/elf', '/usr/bin/true']);
  await body(target, join(target.directory, 'elf'));
  await target.finish();
}

function refused({ status, stderr }: Outcome, code: string): void {
  expect([status, stderr]).toEqual([1, expect.stringContaining(`[${code}]`)]);
}

test('another build: refused, but by size alone it is the same', () =>
  withFile(async (target, file) => {
    must(target.dump());
    await target.gone();
    rebuild(file);
    refused(target.restore(), 'CRTS_FILE_CHANGED');
    must(target.restore('--file-validation', 'filesize'));
  }));

test('a dump by size keeps no build id', () =>
  withFile(async (target, file) => {
    must(target.dump('--file-validation', 'filesize'));
    await target.gone();
    rebuild(file);
    must(target.restore());
  }));

test('other permissions: refused without --skip-file-rwx-check', () =>
  withFile(async (target, file) => {
    must(target.dump());
    await target.gone();
    chmodSync(file, 0o700);
    refused(target.restore(), 'CRTS_FILE_MODE');
    must(target.restore('--skip-file-rwx-check'));
  }));

testNeeding(['CRTS_CRIU'])('criu finds what crts kept, and crts what criu kept', () =>
  withFile(async (target, file) => {
    must(target.dump());
    await target.gone();
    rebuild(file);
    expect(target.restoreWithCriu().status).toBe(1);
    expect(readFileSync(join(target.images, 'criu-restore.log'), 'latin1')).toMatch(/build-ID/);
    // What criu had begun is this process's to wait for.
    await target.gone();
    rebuild(file);
    must(target.restoreWithCriu());
    target.clearImages();
    must(target.dumpWithCriu());
    await target.gone();
    rebuild(file);
    refused(target.restore(), 'CRTS_FILE_CHANGED');
    must(target.restore('--file-validation', 'filesize'));
  }),
);
