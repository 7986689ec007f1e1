// Builds build/Release/{crts.node,agent.bin,stub} and copies them to npm/linux-x64/prebuilt.
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, renameSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const here = import.meta.dirname;
const require = createRequire(import.meta.url);
const nodeGyp = join(dirname(require.resolve('node-gyp/package.json')), 'bin/node-gyp.js');
// The headers of the running node, where it brings them: nothing is downloaded then.
const prefix = dirname(dirname(process.execPath));
const nodedir = existsSync(join(prefix, 'include/node/node_api.h')) ? [`--nodedir=${prefix}`] : [];
execFileSync(process.execPath, [nodeGyp, 'configure', 'build', '--silent', ...nodedir], {
  cwd: here,
  stdio: 'inherit',
});
const release = join(here, 'build/Release');
const prebuilt = join(here, 'npm/linux-x64/prebuilt');
mkdirSync(prebuilt, { recursive: true });
for (const file of ['crts.node', 'agent.bin', 'stub']) {
  // A new file under the old name: writing into the old one would change, or be refused by, programs that run it.
  copyFileSync(join(release, file), join(prebuilt, `${file}.new`));
  renameSync(join(prebuilt, `${file}.new`), join(prebuilt, file));
  console.log(`${file}: ${statSync(join(release, file)).size} bytes`);
}
