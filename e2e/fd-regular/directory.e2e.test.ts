import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

flavours('a directory of which half is read', { start: () => Target.program('directory', ['DIR']) });
