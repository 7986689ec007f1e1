// Rules that hold for the whole repository. A rule said twice in review becomes a test here.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(__dirname, '../..');
const tracked = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
  cwd: root,
  encoding: 'utf8',
})
  .split('\n')
  .filter((file) => file !== '' && existsSync(join(root, file)));
const read = (file: string) => readFileSync(join(root, file), 'utf8');
const packages = readdirSync(join(root, 'packages')).map((directory) => ({
  directory,
  manifest: JSON.parse(read(`packages/${directory}/package.json`)),
}));
const { version } = JSON.parse(read('package.json'));
const sources = (directory: string) =>
  tracked.filter((file) => file.startsWith(`packages/${directory}/src/`) && file.endsWith('.ts'));

/** Who may import whom: a layer may use those behind it. Plugins never use each other. */
const LAYERS: Readonly<Record<string, readonly string[]>> = {
  api: [],
  native: ['api'],
  image: ['native', 'api'],
  plugin: ['image', 'native', 'api'],
  engine: ['image', 'native', 'api'],
  cli: ['engine', 'plugin', 'image', 'native', 'api'],
};
const layerOf = (manifest: { nx: { tags: string[] } }) =>
  manifest.nx.tags.find((tag) => tag.startsWith('layer:'))!.slice(6);
const layers = new Map(packages.map(({ manifest }) => [manifest.name as string, layerOf(manifest)]));

describe.each(packages)('$directory', ({ directory, manifest }) => {
  const imports = new Set(
    sources(directory)
      .filter((file) => !file.endsWith('.test.ts'))
      .flatMap((file) => [...read(file).matchAll(/from '(@crts\/[a-z-]+)'/g)].map((match) => match[1]!)),
  );

  test('imports downwards only, and declares what it imports', () => {
    const layer = layerOf(manifest);
    const declared = { ...manifest.dependencies, ...manifest.devDependencies };
    for (const name of imports) {
      expect([name, LAYERS[layer]]).toEqual([name, expect.arrayContaining([layers.get(name)])]);
      expect(Object.keys(declared)).toContain(name);
    }
  });

  test('has what a published package needs', () => {
    expect(manifest.version).toBe(version);
    expect(manifest.license).toBe('Apache-2.0');
    expect(manifest.description).toBeTruthy();
    if (layerOf(manifest) === 'plugin') expect(manifest.keywords).toContain('crts-plugin');
    expect(existsSync(join(root, 'packages', directory, 'README.md'))).toBe(true);
    if (layerOf(manifest) === 'plugin') expect(read(`packages/${directory}/README.md`)).toMatch(/\| *attribute *\|/);
  });
});

test('every error code is documented, and every documented one exists', () => {
  const used = new Set<string>();
  for (const file of tracked.filter(
    (name) => /^packages\/[^/]+\/src\/.*\.ts$/.test(name) && !name.endsWith('.test.ts'),
  )) {
    for (const [, code] of read(file).matchAll(/'(CRTS_[A-Z_]+)'/g)) if (code !== 'CRTS_NATIVE') used.add(code!);
  }
  const documented = new Set(
    [...read('docs/errors.md').matchAll(/^\| `(CRTS_[A-Z_]+)` \|/gm)].map((match) => match[1]!),
  );
  expect([...used].filter((code) => !documented.has(code)).sort()).toEqual([]);
  expect([...documented].filter((code) => !used.has(code)).sort()).toEqual([]);
});

test('no test is switched off or favoured by hand', () => {
  for (const file of tracked.filter((name) => name.endsWith('.test.ts') && !name.startsWith('tools/tidy/'))) {
    expect([file, /\b(test|it|describe)\.only\(|\bxtest\(|\bxit\(/.test(read(file))]).toEqual([file, false]);
  }
});

test('a TODO names its issue', () => {
  for (const file of tracked.filter((name) => /\.(ts|mjs|c|h|cc|S)$/.test(name) && !name.startsWith('tools/tidy/'))) {
    expect([file, /TODO(?!\(#\d+\))/.test(read(file))]).toEqual([file, false]);
  }
});

test('proto files are our own', () => {
  for (const file of tracked.filter((name) => name.endsWith('.proto')))
    expect(read(file)).toMatch(/^\/\/ SPDX-License-Identifier: Apache-2\.0\n/);
});

test('files keep to one idea: none is longer than 420 lines', () => {
  for (const file of tracked.filter(
    (name) => /^packages\/.*\/src\/.*\.ts$/.test(name) && !name.includes('/generated/') && !name.includes('/arch/'),
  )) {
    expect([file, read(file).split('\n').length <= 420]).toEqual([file, true]);
  }
});

test('the agent and the stub are the same number of the protocol as the engine', () => {
  expect(read('native/include/protocol.h')).toContain('#define CRTS_PROTOCOL 1');
  expect(read('packages/native-syscalls/src/remote/protocol.ts')).toContain('export const PROTOCOL = 1;');
});
