import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

flavours('signals that are read', { start: () => Target.program('signalfds') });
