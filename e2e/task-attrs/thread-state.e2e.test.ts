import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

const notWithCriu = 'CRIU loses it';

flavours('a deadline', { start: () => Target.program('thread-state', ['deadline']), notWithCriu });

flavours('a slice of its own, reset on fork', { start: () => Target.program('thread-state', ['slice']), notWithCriu });

flavours('NUMA policy, huge pages where advised, merged memory, nice of the session', {
  start: () => Target.program('thread-state', ['memory']),
  notWithCriu,
});

flavours('speculation, faulting instructions, memory failures', {
  start: () => Target.program('thread-state', ['cpu']),
  notWithCriu,
});

flavours('syscall user dispatch', { start: () => Target.program('thread-state', ['dispatch']), notWithCriu });
