import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

const LOST_TIMER = 'CRIU 4.2 loses an interval timer whose signal waits at the moment of the dump';

flavours('general, x87, SSE, AVX, AVX-512 registers, segment bases', { start: () => Target.program('registers') });

flavours('sums in floating-point registers, with signals all the while', {
  start: () => Target.program('busy', ['float']),
  handlesSignals: true,
  notWithCriu: LOST_TIMER,
});

flavours('sums in memory and system calls, with signals all the while', {
  start: () => Target.program('busy', ['integer']),
  handlesSignals: true,
  notWithCriu: LOST_TIMER,
});

for (const work of ['float', 'integer'])
  flavours(`${work} sums without a timer`, {
    start: () => Target.program('busy', [work, 'quiet']),
    only: ['criu and back'],
  });

flavours('AMX tiles in use', {
  start: () => Target.program('tiles', [], { flags: ['-pthread'] }),
  needs: ['AMX'],
  only: ['plain', 'once', 'repeated', 'left running', 'killed'],
});
