// One file of everything but the native part: dist/crts.js. Bundled from tsc's output, since esbuild's own TypeScript
// has no decorator metadata. Names are kept for readable stacks.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';

const here = import.meta.dirname;
const { version } = JSON.parse(readFileSync(join(here, 'package.json'), 'utf8'));
await build({
  entryPoints: [join(here, 'dist/cli.js')],
  outfile: join(here, 'dist/crts.js'),
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  minifySyntax: true,
  minifyWhitespace: true,
  keepNames: false,
  sourcemap: 'external',
  legalComments: 'inline',
  define: { CRTS_VERSION: JSON.stringify(version) },
});
