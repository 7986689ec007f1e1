// The names that --link-remap makes are there for the restore alone: the program never sees them.
import { Target } from '../harness/target';

test('a file has as many names as before, from the first instruction on', async () => {
  const target = await Target.program('link-count', ['DIR']);
  for (let round = 0; round < 5; round++) {
    await target.cycle('--link-remap');
    target.clearImages();
  }
  await target.finish();
});
