import { flavours } from '../harness/flavours';
import { Places } from '../harness/places';
import { Target } from '../harness/target';

flavours('fanotify: groups, marks on inodes, a mount and a file system, ignored events', {
  start: () => Target.program('fanotify', ['DIR']),
  notWithCriu: 'CRIU knows no marks on file systems and no FAN_MARK_IGNORE',
});

flavours('fanotify: marks on inodes', {
  start: () => Target.program('fanotify', ['DIR', 'inodes']),
  only: ['criu and back'],
});

flavours('fanotify: who decides over a file goes on to', {
  start: () => Target.program('fanotify-perm', ['DIR', 'file']),
  only: ['plain', 'once', 'left running', 'criu and back'],
});

test('fanotify: who decides over a mount is refused: crts would wait for it', async () => {
  using places = new Places();
  const target = await Target.program('fanotify-perm', ['DIR', 'mount', places.mount('-t', 'tmpfs', 'none')]);
  const { status, stderr } = target.dump();
  expect(status).toBe(1);
  expect(stderr).toContain('CRTS_FANOTIFY_PERMISSION');
  expect(stderr).toContain('a mount');
  await target.finish();
});
