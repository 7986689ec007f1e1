// Attributes that few programs set, seen from inside.
import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

flavours('personalities of threads, and one that makes mappings executable', {
  start: () => Target.program('personalities', [], { flags: ['-pthread'] }),
  notWithCriu: 'CRIU 4.2 knows one for all threads, and sets it before the mappings are made',
});

flavours('clamps, OOM score, core dump filter, membarriers, MDWE, login uid', {
  start: () => Target.program('corners', ['attributes'], { flags: ['-pthread'] }),
  only: ['plain', 'once', 'repeated', 'left running'],
});
