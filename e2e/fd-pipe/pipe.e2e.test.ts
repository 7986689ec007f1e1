import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

flavours('pipes: contents, sizes, flags, half closed, opened again', {
  start: () => Target.program('pipes', ['stream']),
});

flavours('pipes in packet mode', {
  start: () => Target.program('pipes', ['packets']),
  notWithCriu: 'it refuses packet mode',
});

flavours('owner and permissions of a pipe, ends without each other', {
  start: () => Target.program('pipes', ['more']),
  notWithCriu: 'it makes pipes of root, opens no read-write end, and forgets the size where nobody reads',
});
