// One file of everything but the native part: dist/crts.js. Bundled from tsc's output, since esbuild's own TypeScript
// has no decorator metadata. Names are kept for readable stacks.
import { readFileSync } from 'node:fs';
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
  keepNames: false,
  sourcemap: 'external',
  legalComments: 'inline',
  define: { CRTS_VERSION: JSON.stringify(version) },
});
