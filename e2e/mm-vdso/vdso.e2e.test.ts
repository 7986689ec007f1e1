import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

flavours('clocks of the vdso, asked all the time', { start: () => Target.program('vdso') });
