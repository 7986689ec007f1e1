// Attributes that few programs set, seen from inside.
import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

flavours('clamps, OOM score, core dump filter, membarriers, MDWE, login uid', {
  start: () => Target.program('corners', ['attributes'], { flags: ['-pthread'] }),
  only: ['plain', 'once', 'repeated', 'left running'],
});
