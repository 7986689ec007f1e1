import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

flavours('nothing special', { start: () => Target.program('state') });

flavours('limits, name, nice, affinity, personality, cwd, umask', {
  start: () => Target.program('state', ['attributes', '/tmp']),
  notWithCriu: 'CRIU loses affinity, I/O priority and timer slack',
});
