import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

flavours('mappings that share a transparent huge page', { start: () => Target.program('transparent', ['neighbours']) });

flavours('a process without transparent huge pages', { start: () => Target.program('transparent', ['disabled']) });
