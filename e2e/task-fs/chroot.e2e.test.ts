import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

flavours('a root of its own', {
  // A program in a chroot finds no shared libraries: it is linked statically.
  start: () => Target.program('state', ['chroot', 'DIR'], { flags: ['-static'] }),
  // Inside its root the go file has the same name, further down.
  finish: async (target) => {
    mkdirSync(join(target.directory, target.directory), { recursive: true });
    writeFileSync(join(target.directory, target.go), '');
    await target.finish();
    rmSync(join(target.directory, 'tmp'), { recursive: true });
  },
});
