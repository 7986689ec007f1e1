import { must } from '../harness/checkpointer';
import { Target } from '../harness/target';

test('how long the contents of a file are to live', async () => {
  const target = await Target.program('write-hint', ['DIR']);
  must(target.dump());
  await target.gone();
  await (await Target.program('write-hint', [target.directory, 'reset'])).finish();
  must(target.restore());
  await target.finish();
});
