// One file of everything but the native part: dist/crts.js. Bundled from tsc's output, since esbuild's own TypeScript
// has no decorator metadata. Names are kept for readable stacks.
import { createHash } from 'node:crypto';
import { appendFileSync, readFileSync } from 'node:fs';
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
};
/** Modules of Node that few commands need and that take milliseconds to load: they are loaded when something of them is used. */
const HEAVY = /^node:(child_process|crypto|dns\/promises|net|tls|tty|v8|worker_threads|zlib)$/;
const loadedLate = {
  name: 'loaded-late',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: HEAVY }, ({ path, namespace }) =>
      namespace === 'late' ? { path, external: true } : { path, namespace: 'late' },
    );
    onLoad({ filter: HEAVY, namespace: 'late' }, ({ path }) => ({
      contents: `let loaded;
        const get = (_, name) => name === '__esModule' ? undefined : (loaded ??= require('${path}'))[name];
        module.exports = new Proxy({}, { get });`,
    }));
  },
};

// The thread that encrypts page transfers (--tls): a file of its own.
await build({
  ...common,
  entryPoints: [join(here, '../page-xfer/dist/tls-bridge.js')],
  outfile: join(here, 'dist/tls-bridge.js'),
});
await build({
  ...common,
  entryPoints: [join(here, 'dist/cli.js')],
  outfile: join(here, 'dist/crts.js'),
  plugins: [loadedLate],
  keepNames: false,
  sourcemap: 'external',
  legalComments: 'inline',
  // As globals both are getters of Node, called each time: 1 % of the dump of a large tree.
  banner: { js: '"use strict";var Buffer=globalThis.Buffer,process=globalThis.process;' },
  define: { CRTS_VERSION: JSON.stringify(version) },
});
// What the launcher knows it by, which does not have to load node:crypto then.
const bundle = join(here, 'dist/crts.js');
appendFileSync(bundle, `//${createHash('sha1').update(readFileSync(bundle)).digest('hex').slice(0, 16)}\n`);
