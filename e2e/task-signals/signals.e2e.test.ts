import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

flavours('actions, mask, alternate stack, a pending signal', { start: () => Target.program('state', ['signals']) });

flavours('a handler that runs on the alternate stack', { start: () => Target.program('signals', ['in-a-handler']) });

flavours('two hundred queued signals, of the process and of the thread', {
  start: () => Target.program('signals', ['queued']),
});
