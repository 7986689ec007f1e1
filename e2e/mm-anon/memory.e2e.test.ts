import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

flavours('private and file mappings, guards, stack, heap, vdso', {
  start: () => Target.program('memory', ['DIR/mapped']),
});

flavours('the same in a static program', {
  start: () => Target.program('memory', ['DIR/mapped'], { flags: ['-static'] }),
});
