// Sleeps whose time left the kernel writes into the program when the freeze interrupts them: they go on with it.
import { must } from '../harness/checkpointer';
import { Target } from '../harness/target';

test('the time left of sleeps, select and ppoll', async () => {
  const target = await Target.program('time-left');
  await target.cycle();
  // A second time: what is left of what was left.
  target.clearImages();
  await target.cycle();
  await target.finish();
});

test('of a program that goes on', async () => {
  const target = await Target.program('time-left');
  must(target.dump('--leave-running'));
  await target.finish();
});
