// Trees of processes: who they are, whose children, in which groups and sessions, and which of them are dead.
import { join } from 'node:path';
import { must, repository } from '../harness/checkpointer';
import { Target } from '../harness/target';
import { until } from '../harness/until';

async function family(): Promise<Target> {
  const target = Target.start('python3', [join(repository, 'e2e/programs/family.py'), 'GO']);
  await target.ready();
  return target;
}

test('a tree of processes with sessions, groups and zombies', async () => {
  const target = await family();
  await target.cycle();
  await target.finish();
});

test('a tree ten times in a row', async () => {
  const target = await family();
  for (let cycle = 0; cycle < 10; cycle++) {
    target.clearImages();
    await target.cycle();
  }
  await target.finish();
}, 900_000);

test('a tree that is left running', async () => {
  const target = await family();
  must(target.dump('--leave-running'));
  await target.finish();
});

test('a number of the tree that is taken: the restore leaves nothing', async () => {
  const target = await family();
  must(target.dump('--leave-running'));
  const { status, stderr } = target.restore();
  expect(status).toBe(1);
  expect(stderr).toContain('[CRTS_PID_TAKEN]');
  await until('the tree to go on', () => target.alive());
  await target.finish();
});
