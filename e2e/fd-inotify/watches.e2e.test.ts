import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

const notWithCriu = 'CRIU cuts IN_ONESHOT and IN_EXCL_UNLINK off, and follows watched symbolic links';

flavours('inotify: numbers, masks, renamed and linked targets', {
  start: () => Target.program('inotify', ['DIR']),
  notWithCriu,
});

flavours('inotify: a program that watches its own binary hears nothing of the restore', {
  start: () => Target.program('inotify', ['DIR', 'exe']),
  // A dump that lets the program go on has read the binary's build id, as the program then hears.
  only: ['plain', 'once', 'repeated'],
});

flavours('inotify: a directory and a file', { start: () => Target.program('inotify-plain', ['DIR']) });
