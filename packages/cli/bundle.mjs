// One file of everything but the native part: dist/crts.js. Bundled from the sources and not from what tsc makes of them: CommonJS
// modules would each stay a function of their own, whose exports are properties that are looked up at every use. So all share one
// scope, and what nobody uses is left out. Names are kept for readable stacks.
import { createHash } from 'node:crypto';
import { appendFileSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';

const here = import.meta.dirname;
const { version } = JSON.parse(readFileSync(join(here, 'package.json'), 'utf8'));
const common = {
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  minifySyntax: true,
  minifyWhitespace: true,
  // That of tsc: tsconfig.base.json.
  tsconfigRaw: { compilerOptions: { target: 'es2022', useDefineForClassFields: true } },
};
const packages = join(here, '..');
const sources = readdirSync(packages).map((name) => [`@crts/${name}`, join(packages, name, 'src/index.ts')]);
/** What the launcher calls. */
const SCOPE = ['exports', 'requireModule', 'module', '__filename', '__dirname', 'importModule'];
/**
 * As globals Buffer and process are getters of Node, called each time: 1 % of the dump of a large tree. Each of a hundred modules
 * requires node:fs for itself, which Node looks up anew each time.
 */
const PRELUDE = `"use strict";
var Buffer = globalThis.Buffer, process = globalThis.process, required = {};
function require(name) { return required[name] ??= requireModule(name); }
require.resolve = requireModule.resolve;`;
/** Modules of Node that few commands need and that take milliseconds to load: they are loaded when something of them is used. */
const HEAVY = /^node:(child_process|crypto|dns\/promises|module|net|os|tls|util|worker_threads|zlib)$/;
const loadedLate = {
  name: 'loaded-late',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: HEAVY }, ({ path, namespace }) =>
      namespace === 'late' ? { path, external: true } : { path, namespace: 'late' },
    );
    onLoad({ filter: HEAVY, namespace: 'late' }, ({ path }) => ({
      contents: `let loaded;
        const get = (_, name) => name === '__esModule' ? undefined : (loaded ??= require('${path}'))[name];
        module.exports = Object.create(new Proxy({}, { get }));`,
    }));
  },
};

// The thread that encrypts page transfers (--tls): a file of its own.
await build({
  ...common,
  entryPoints: [join(here, '../page-xfer/src/tls-bridge.ts')],
  outfile: join(here, 'dist/tls-bridge.js'),
});
await build({
  ...common,
  entryPoints: [join(here, 'src/cli.ts')],
  outfile: join(here, 'dist/crts.js'),
  alias: Object.fromEntries(sources.filter(([, file]) => existsSync(file))),
  // Libraries too as modules that share the scope.
  mainFields: ['es2015', 'module', 'main'],
  banner: { js: `(function (${SCOPE.join(', ')}) {${PRELUDE}` },
  footer: { js: '})' },
  plugins: [loadedLate],
  keepNames: false,
  sourcemap: 'external',
  legalComments: 'inline',
  define: { CRTS_VERSION: JSON.stringify(version) },
});
const bundle = join(here, 'dist/crts.js');
// One call of require() makes a function of the module that it names and of all that this one imports, each called by all who import
// it: twice the time to evaluate the bundle.
if (readFileSync(bundle, 'utf8').includes('__esm({')) throw new Error('a module of crts is required: import it');
// What the launcher knows it by, which does not have to load node:crypto then.
appendFileSync(bundle, `//${createHash('sha1').update(readFileSync(bundle)).digest('hex').slice(0, 16)}\n`);
