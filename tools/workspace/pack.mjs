// node tools/workspace/pack.mjs DIR: the tarball of every published package, as npm publish would make it, with the licence that
// the repository keeps once. Prints their paths.
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';

const root = join(import.meta.dirname, '../..');
const destination = resolve(process.argv[2] ?? 'tarballs');
const directories = [...readdirSync(join(root, 'packages')).map((name) => `packages/${name}`), 'native/npm/linux-x64'];
const published = directories
  .map((directory) => join(root, directory))
  .filter((directory) => JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')).private !== true);

mkdirSync(destination, { recursive: true });
const licensed = published.map((directory) => join(directory, 'LICENSE')).filter((file) => !existsSync(file));
try {
  for (const file of licensed) copyFileSync(join(root, 'LICENSE'), file);
  const { status, stdout, stderr } = spawnSync(
    'npm',
    ['pack', '--json', '--pack-destination', destination, ...published],
    {
      cwd: root,
      encoding: 'utf8',
    },
  );
  if (status !== 0) {
    process.stderr.write(stderr);
    process.exitCode = 1;
  } else {
    for (const { filename } of JSON.parse(stdout)) console.log(join(destination, filename));
  }
} finally {
  for (const file of licensed) rmSync(file, { force: true });
}
