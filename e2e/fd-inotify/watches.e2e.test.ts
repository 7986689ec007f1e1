import { must } from '../harness/checkpointer';
import { flavours } from '../harness/flavours';
import { testNeeding } from '../harness/needs';
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

// The file has another inode afterwards, so fdinfo is not compared.
test('inotify: a deleted file that is open', async () => {
  const target = await Target.program('inotify-deleted', ['DIR']);
  for (let round = 0; round < 2; round++) await target.cycle();
  await target.finish();
});

// The other way round the watch is lost, as it is when CRIU restores its own images: it removes the file that it has just made.
testNeeding(['CRTS_CRIU'])('inotify: a deleted file that criu dumped', async () => {
  const target = await Target.program('inotify-deleted', ['DIR']);
  must(target.dumpWithCriu());
  await target.gone();
  must(target.restore());
  await target.finish();
});

flavours('inotify: a parent and its child share an instance', {
  start: () => Target.program('inotify-family', ['DIR']),
  only: ['plain', 'once', 'repeated'],
});
