import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

flavours('the registration of restartable sequences', { start: () => Target.program('rseq', ['registered']) });

flavours('a restartable sequence that the dump cuts', { start: () => Target.program('rseq', ['critical']) });
