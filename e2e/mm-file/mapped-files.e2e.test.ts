import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

flavours('private, changed, shared, read-only, past the end', { start: () => Target.program('mapped-files', ['DIR']) });
