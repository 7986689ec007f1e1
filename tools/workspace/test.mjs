// The whole test-suite: set-up, format and lint, types of the tests, then unit and e2e tests. Last line: "N passed, N failed".
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { demandRoot, env, root, setup } from './setup.mjs';

demandRoot('the test-suite');
setup();
const results = mkdtempSync(join(tmpdir(), 'crts-test-'));
let passed = 0;
let failed = 0;
const skipped = [];
const repeated = [];

function check(name, command, args) {
  console.log(`\n== ${name}`);
  const { status } = spawnSync(command, args, { cwd: root, env, stdio: 'inherit' });
  if (status === 0) passed += 1;
  else failed += 1;
}

function jest(name, args) {
  console.log(`\n== ${name}`);
  const file = join(results, `${name}.json`);
  // A child of a test that somebody else has waited for stays a handle of libuv's, and jest would wait for it for ever.
  const { status } = spawnSync('npx', ['jest', ...args, '--forceExit', '--json', `--outputFile=${file}`], {
    cwd: root,
    env,
    stdio: ['inherit', 'ignore', 'inherit'],
  });
  let report;
  try {
    report = JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    console.log(`${name}: jest wrote no result (exit ${status})`);
    failed += 1;
    return;
  }
  passed += report.numPassedTests;
  const failures = report.numFailedTests + report.numRuntimeErrorTestSuites;
  // Something outside a test (afterAll) fails a run as well.
  failed += failures === 0 && status !== 0 ? 1 : failures;
  const tests = report.testResults.flatMap((file) => file.assertionResults);
  repeated.push(...tests.filter((test) => test.invocations > 1).map((test) => `${test.fullName} (${test.status})`));
  skipped.push(...tests.filter((test) => test.status === 'pending').map((test) => test.fullName));
}

check('format and lint', 'npx', ['biome', 'ci', '.']);
check('types of the tests', 'npx', ['tsc', '-p', 'tsconfig.tests.json']);
jest('unit', ['-c', 'jest.config.js']);
jest('e2e', ['-c', 'e2e/jest.config.js', '--runInBand']);
rmSync(results, { recursive: true, force: true });
if (skipped.length > 0) console.log(`\n${skipped.length} skipped, for what they need:\n  ${skipped.join('\n  ')}`);
if (repeated.length > 0) console.log(`\n${repeated.length} run more than once:\n  ${repeated.join('\n  ')}`);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
