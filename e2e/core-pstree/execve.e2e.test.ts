// The memory of a process that crts has looked at before the freeze is not its own any more when it begins another program.
import { must } from '../harness/checkpointer';
import { Target } from '../harness/target';

const ROUNDS = 12;

test.each(['self', 'children'])('programs that begin programs: %s', async (who) => {
  const target = await Target.program('execer', [who]);
  for (let round = 0; round < ROUNDS; round++) {
    must(target.dump('--leave-running'));
    target.clearImages();
  }
  for (let round = 0; round < 3; round++) {
    await target.cycle();
    target.clearImages();
  }
  await target.finish();
});
