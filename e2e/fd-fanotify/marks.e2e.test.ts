import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

flavours('fanotify: groups, marks on inodes, a mount and a file system, ignored events', {
  start: () => Target.program('fanotify', ['DIR']),
  notWithCriu: 'CRIU knows no marks on file systems and no FAN_MARK_IGNORE',
});

flavours('fanotify: marks on inodes', {
  start: () => Target.program('fanotify', ['DIR', 'inodes']),
  only: ['criu and back'],
});
