/** An independent decoder: crit of Debian's package `criu`. */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** One run of python for a whole directory: starting it takes longer than decoding. argv: images. */
const SCRIPT = `
import sys, pycriu
for name in sys.argv[1:]:
    try:
        with open(name, 'rb') as image:
            pycriu.images.load(image, False)
    except Exception as error:
        print(f'{name}: {error!r}')
`;

/** crit decodes every image of the directory; raw pages are not its business. */
export function expectReadable(directory: string): void {
  const images = readdirSync(directory)
    .filter((name) => name.endsWith('.img') && !name.startsWith('pages-'))
    .concat('stats-dump')
    .map((name) => join(directory, name))
    .filter((file) => existsSync(file));
  // protobuf warns on stderr about names of files that are no UTF-8, and decodes them.
  const { status, stdout } = spawnSync('/usr/bin/python3', ['-c', SCRIPT, ...images], { encoding: 'utf8' });
  expect([status, stdout]).toEqual([0, '']);
}
