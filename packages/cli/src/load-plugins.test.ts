import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { builtInPlugins } from './built-in-plugins';
import { loadPlugins } from './load-plugins';

const home = process.cwd();
let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'crts-plugins-'));
  process.chdir(directory);
});
afterEach(() => {
  process.chdir(home);
  rmSync(directory, { recursive: true });
});

const noImport = () => Promise.reject(new Error('import() was not expected'));
const extra = async (named: string[], importModule: (name: string) => Promise<unknown> = noImport) =>
  (await loadPlugins(named, importModule)).slice(builtInPlugins.length).map((plugin) => plugin.name);

function packageOf(name: string, text: string, file = 'index.js'): void {
  mkdirSync(join(directory, 'node_modules', name), { recursive: true });
  writeFileSync(join(directory, 'node_modules', name, 'package.json'), JSON.stringify({ name, main: file }));
  writeFileSync(join(directory, 'node_modules', name, file), text);
}
const pluginText = (name: string) => `exports.plugin = { name: '${name}', register() {} };`;

test('the built-in ones come first and have names of their own', async () => {
  expect(await extra([])).toEqual([]);
  const names = builtInPlugins.map((plugin) => plugin.name);
  expect(new Set(names).size).toBe(names.length);
});

test('a package of the current directory, a path, a default export, in the order given', async () => {
  packageOf('plugin-a', pluginText('a'));
  packageOf('plugin-c', "module.exports.default = { name: 'c', register() {} };");
  writeFileSync('b.js', pluginText('b'));
  expect(await extra(['plugin-a', './b.js', 'plugin-c', join(directory, 'b.js')])).toEqual(['a', 'b', 'c', 'b']);
});

test('crts.config.json names plugins, which come before those of --plugin', async () => {
  packageOf('plugin-a', pluginText('a'));
  writeFileSync('b.js', pluginText('b'));
  writeFileSync('crts.config.json', JSON.stringify({ plugins: ['./b.js'] }));
  expect(await extra(['plugin-a'])).toEqual(['b', 'a']);
});

test('crts.config.mjs and ES modules are imported', async () => {
  packageOf('plugin-m', 'export {};', 'index.mjs');
  writeFileSync('crts.config.mjs', '');
  const imported: string[] = [];
  const names = await extra([], async (specifier) => {
    imported.push(specifier);
    return specifier.endsWith('crts.config.mjs')
      ? { default: { plugins: ['plugin-m'] } }
      : { plugin: { name: 'm', register() {} } };
  });
  expect(names).toEqual(['m']);
  expect(imported.map((url) => url.replace(/.*\//, ''))).toEqual(['crts.config.mjs', 'index.mjs']);
});

test.each([
  ['{', 'CRTS_CONFIG'],
  ['null', 'CRTS_CONFIG'],
  ['{"plugins":"a"}', 'CRTS_CONFIG'],
  ['{"plugins":[1]}', 'CRTS_CONFIG'],
  ['{"plugin":["a"]}', 'CRTS_CONFIG'],
])('crts.config.json %s is refused', async (text, code) => {
  writeFileSync('crts.config.json', text);
  await expect(extra([])).rejects.toMatchObject({ code });
});

test('a plugin that is not there, breaks, or is none', async () => {
  await expect(extra(['nowhere'])).rejects.toMatchObject({
    code: 'CRTS_PLUGIN_NOT_FOUND',
    hint: expect.stringContaining('npm install nowhere'),
  });
  writeFileSync('broken.js', "throw new Error('broken at load');");
  await expect(extra(['./broken.js'])).rejects.toMatchObject({
    code: 'CRTS_PLUGIN_NOT_FOUND',
    message: expect.stringContaining('broken at load'),
  });
  writeFileSync('other.js', 'exports.something = 1;');
  await expect(extra(['./other.js'])).rejects.toMatchObject({ code: 'CRTS_PLUGIN_SHAPE' });
});
