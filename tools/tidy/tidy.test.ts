// Rules that hold for the whole repository. A rule said twice in review becomes a test here.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { join } from 'node:path';

const { thrownCodes, documentedCodes } = require('./error-codes') as {
  thrownCodes(): Map<string, string>;
  documentedCodes(): Map<string, { kind: string; meaning: string }>;
};

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly license?: string;
  readonly description?: string;
  readonly keywords?: readonly string[];
  readonly files?: readonly string[];
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly nx?: { readonly tags?: readonly string[] };
}

const root = join(__dirname, '../..');
const read = (file: string) => readFileSync(join(root, file), 'utf8');
const manifestOf = (directory: string) => JSON.parse(read(`${directory}/package.json`)) as Manifest;
// Untracked files count: a rule is to be broken before the commit, not after.
const files = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
  cwd: root,
  encoding: 'utf8',
})
  .split('\n')
  .filter((file) => file !== '' && existsSync(join(root, file)));
const isTest = (file: string) => /\.test\.ts$/.test(file);
const packages = readdirSync(join(root, 'packages'))
  .filter((directory) => existsSync(join(root, 'packages', directory, 'package.json')))
  .map((directory) => ({ directory, manifest: manifestOf(`packages/${directory}`) }));
const { version } = manifestOf('.');

/** Who may import whom: a layer uses those behind it. Plugins never use each other, and nobody uses the command line. */
const LAYERS: Readonly<Record<string, readonly string[]>> = {
  api: [],
  native: ['api'],
  image: ['native', 'api'],
  plugin: ['image', 'native', 'api'],
  engine: ['image', 'native', 'api'],
  cli: ['engine', 'plugin', 'image', 'native', 'api'],
};
const layerOf = (manifest: Manifest) => manifest.nx?.tags?.find((tag) => tag.startsWith('layer:'))?.slice(6) ?? 'none';
const layers = new Map(packages.map(({ manifest }) => [manifest.name, layerOf(manifest)]));

/** Packages that a text imports, by any of the forms that TypeScript has. */
function importsOf(text: string): string[] {
  const specifiers = text.matchAll(/(?:from |import |import\(|require\(|typeof import\()'([^'.][^']*)'/g);
  return [...specifiers]
    .map(([, specifier]) => specifier!)
    .filter((specifier) => !specifier.startsWith('node:') && !builtinModules.includes(specifier))
    .map((specifier) =>
      specifier
        .split('/')
        .slice(0, specifier.startsWith('@') ? 2 : 1)
        .join('/'),
    );
}

function importsIn(directory: string, wanted: (file: string) => boolean): Set<string> {
  const sources = files.filter(
    (file) => file.startsWith(`packages/${directory}/src/`) && file.endsWith('.ts') && wanted(file),
  );
  return new Set(sources.flatMap((file) => importsOf(read(file))));
}

test('imports are found in every form', () => {
  const text = `import 'a'; import { b } from 'b/deep'; import type { c } from '@s/c'; const d = require('d') as typeof import('d');
    export * from '@s/e/f'; await import('g'); import { h } from './h'; import 'node:fs'; import { x } from 'fs';`;
  expect(importsOf(text)).toEqual(['a', 'b', '@s/c', 'd', 'd', '@s/e', 'g']);
});

describe.each(packages)('$directory', ({ directory, manifest }) => {
  const layer = layerOf(manifest);
  const imports = importsIn(directory, (file) => !isTest(file));
  const declared = { ...manifest.dependencies, ...manifest.peerDependencies };
  // Everything but the native part is bundled into the command line, so users need not install it.
  const bundled = layer === 'cli' ? manifest.devDependencies : {};

  test('imports downwards only', () => {
    expect(Object.keys(LAYERS)).toContain(layer);
    const wrong = [...imports].filter((name) => layers.has(name) && !LAYERS[layer]!.includes(layers.get(name)!));
    expect(wrong).toEqual([]);
  });

  test('declares what it imports, and nothing else', () => {
    const wanted = [...imports].filter((name) => name !== manifest.name).sort();
    const available = { ...declared, ...bundled };
    expect(wanted.filter((name) => !(name in available))).toEqual([]);
    // The platform package is found at run time by its path.
    const used = importsIn(directory, () => true);
    const idle = Object.keys(available).filter((name) => !used.has(name) && name !== '@crts/native-linux-x64');
    expect(idle).toEqual([]);
  });

  test('packages of the workspace are wanted in the one version of all', () => {
    const own = Object.entries({ ...declared, ...manifest.devDependencies }).filter(([name]) => layers.has(name));
    expect(own.filter(([, range]) => range !== version)).toEqual([]);
  });

  test('has what a published package needs', () => {
    expect(manifest.version).toBe(version);
    expect(manifest.license).toBe('Apache-2.0');
    expect(manifest.description).toBeTruthy();
    expect(manifest.files).toBeTruthy();
    expect(existsSync(join(root, 'packages', directory, 'README.md'))).toBe(true);
    if (layer === 'plugin') expect(manifest.keywords).toContain('crts-plugin');
  });

  test('has unit tests', () => {
    const own = files.filter((file) => file.startsWith(`packages/${directory}/src/`) && isTest(file));
    expect(own).not.toEqual([]);
  });

  if (layer === 'plugin') {
    test('its README says what becomes of each attribute', () => {
      expect(read(`packages/${directory}/README.md`)).toMatch(/^\| *attribute *\|/im);
    });

    test('has end-to-end tests', () => {
      // Handles of files are what inotify and fanotify hold on to: shown by theirs.
      const shownBy = directory === 'file-handles' ? 'fd-inotify' : directory;
      expect(files.filter((file) => file.startsWith(`e2e/${shownBy}/`) && isTest(file))).not.toEqual([]);
    });

    test('is loaded by the command line', () => {
      expect(read('packages/cli/src/built-in-plugins.ts')).toContain(`'${manifest.name}'`);
    });
  }
});

test('every error code is documented, and every documented one is thrown', () => {
  const thrown = thrownCodes();
  const documented = documentedCodes();
  expect([...thrown.keys()].filter((code) => !documented.has(code)).sort()).toEqual([]);
  expect([...documented.keys()].filter((code) => !thrown.has(code))).toEqual([]);
  expect([...documented.keys()]).toEqual([...documented.keys()].sort());
  for (const [code, { kind, meaning }] of documented) {
    expect([code, /^(refused|failed|bug|warning)$/.test(kind), meaning.length > 10]).toEqual([code, true, true]);
  }
});

const tests = files.filter((file) => isTest(file) && !file.startsWith('tools/tidy/'));

test('the top level holds what the layout says, and nothing that a run left there', () => {
  const folders = ['.ci', 'docs', 'e2e', 'native', 'packages', 'proto', 'tools'];
  const plain =
    /^(README\.md|LICENSE|(package|package-lock|nx|biome|tsconfig\.[a-z]+)\.json|jest\.[a-z]+\.js|\.[a-z]+)$/;
  const top = new Set(files.filter((file) => file.includes('/')).map((file) => file.split('/')[0]!));
  expect([...top].sort()).toEqual(folders);
  expect(files.filter((file) => !file.includes('/') && !plain.test(file))).toEqual([]);
});

test('no test is favoured by hand', () => {
  expect(tests.filter((file) => /\b(test|it|describe)\.only\b|\bf(it|describe)\(/.test(read(file)))).toEqual([]);
});

test('a skipped test names what it needs, next to the skip', () => {
  // `(has.criu ? test : test.skip)(...)`: the choice is a condition, never a plain skip.
  const plain = /^\s*(?:(?:test|it|describe)\.(?:skip|todo)(?:\.each)?\(|x(?:test|it|describe)\()/m;
  expect(tests.filter((file) => plain.test(read(file)))).toEqual([]);
});

test('a TODO names its issue', () => {
  const code = files.filter((file) => /\.(ts|mjs|js|c|h|cc|S|sh)$/.test(file) && !file.startsWith('tools/tidy/'));
  expect(code.filter((file) => /\b(TODO|FIXME|XXX)\b(?!\(#\d+\))/.test(read(file)))).toEqual([]);
});

test('proto files are our own', () => {
  const protos = files.filter((file) => file.endsWith('.proto'));
  expect(protos).not.toEqual([]);
  for (const file of protos) expect(read(file)).toMatch(/^\/\/ SPDX-License-Identifier: Apache-2\.0\n/);
});

test("nothing carries another project's licence or copyright", () => {
  const foreign = files
    .filter((file) => /\.(ts|mjs|js|c|h|cc|S|proto|py|sh|json|md)$/.test(file))
    .filter((file) => !file.startsWith('tools/tidy/') && file !== 'package-lock.json')
    .filter((file) =>
      /copyright \(c\)|GNU (Lesser )?General Public|\bGPL-?[23]|Virtuozzo|OpenVZ|Parallels/i.test(read(file)),
    );
  expect(foreign).toEqual([]);
});

test('files keep to one idea: none is longer than 420 lines', () => {
  const long = files
    .filter((file) => /^(packages|e2e|tools|native)\/.*\.(ts|mjs|js|c|cc|h)$/.test(file))
    .filter((file) => !file.includes('/generated/') && !file.includes('/arch/') && read(file).split('\n').length > 420);
  expect(long).toEqual([]);
});

test('no file is named by habit: there is no utils, helpers, common or misc', () => {
  expect(files.filter((file) => /(^|\/)(utils?|helpers?|common|misc)(\/|\.(ts|js|mjs|c)$)/.test(file))).toEqual([]);
});

test('file names are in kebab-case', () => {
  const odd = files
    .filter((file) => /^(packages|e2e|tools)\/.*\.(ts|mjs|js)$/.test(file))
    .map((file) => file.split('/').at(-1)!)
    .filter((name) => !/^[a-z0-9]+([-.][a-z0-9]+)*\.(ts|mjs|js)$/.test(name));
  expect(odd).toEqual([]);
});

test('addon, agent, stub and engine have one protocol number', () => {
  const native = /^#define CRTS_PROTOCOL (\d+)$/m.exec(read('native/include/protocol.h'))?.[1];
  const engine = /^export const PROTOCOL = (\d+);$/m.exec(read('packages/native-syscalls/src/remote/protocol.ts'))?.[1];
  expect(native).toBeDefined();
  expect(engine).toBe(native);
});
