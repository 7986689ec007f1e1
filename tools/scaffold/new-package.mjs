// node tools/scaffold/new-package.mjs NAME LAYER "description" [dep ...]
// Makes packages/NAME with the files that every package has; LAYER is api, native, image, plugin, engine or cli.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const [name, layer, description, ...deps] = process.argv.slice(2);
if (!name || !layer || !description) {
  console.error('usage: node tools/scaffold/new-package.mjs NAME LAYER "description" [dep ...]');
  process.exit(2);
}
const root = join(import.meta.dirname, '../..');
const dir = join(root, 'packages', name);
if (existsSync(join(dir, 'package.json'))) {
  console.error(`packages/${name} exists`);
  process.exit(1);
}
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const json = (value) => `${JSON.stringify(value, null, 2)}\n`;
const files = {
  'package.json': json({
    name: `@crts/${name}`,
    version,
    description,
    license: 'Apache-2.0',
    type: 'commonjs',
    main: 'dist/index.js',
    types: 'dist/index.d.ts',
    exports: { '.': { types: './dist/index.d.ts', default: './dist/index.js' }, './package.json': './package.json' },
    files: ['dist', '!dist/**/*.tsbuildinfo'],
    engines: { node: '>=20' },
    ...(layer === 'plugin' ? { keywords: ['crts-plugin'] } : {}),
    scripts: { build: 'tsc -b tsconfig.build.json', test: 'jest' },
    dependencies: Object.fromEntries(deps.map((dep) => [`@crts/${dep}`, version])),
    nx: { tags: [`layer:${layer}`] },
  }),
  'tsconfig.json': json({
    files: [],
    references: [{ path: './tsconfig.build.json' }],
  }),
  'tsconfig.build.json': json({
    extends: '../../tsconfig.base.json',
    compilerOptions: { rootDir: 'src', outDir: 'dist', tsBuildInfoFile: 'dist/build.tsbuildinfo' },
    include: ['src/**/*.ts'],
    exclude: ['src/**/*.test.ts'],
    references: deps.map((dep) => ({ path: `../${dep}/tsconfig.build.json` })),
  }),
  'jest.config.js': "module.exports = require('../../jest.preset.js')(__dirname);\n",
  'README.md': `# @crts/${name}\n\n${description}\n`,
};
mkdirSync(join(dir, 'src'), { recursive: true });
for (const [file, text] of Object.entries(files)) writeFileSync(join(dir, file), text);
