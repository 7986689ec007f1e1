import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

flavours('files of /proc, of the dead and of the living', { start: () => Target.program('proc-files') });
