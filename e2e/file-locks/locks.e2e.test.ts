import { must } from '../harness/checkpointer';
import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';
import { until } from '../harness/until';

flavours('POSIX, OFD and flock locks, read and write leases', {
  start: () => Target.program('locks', ['DIR']),
  options: ['--file-locks'],
});

test('who waits for a lock waits on, and gets it when it is free', async () => {
  const holder = await Target.program('locks', ['DIR', 'hold']);
  const waiter = await Target.program('locks', [holder.directory, 'wait']);
  await until('the wait', () => waiter.proc('wchan').includes('lock') || waiter.proc('stat').includes(') S '));
  await waiter.cycle('--file-locks');
  expect(waiter.text()).not.toContain('granted');
  await holder.finish();
  await until('the lock to be granted', () => !waiter.alive());
  expect(waiter.text()).toContain('granted');
  expect(waiter.text()).toContain('EXIT-SUCCESS');
});

test('without --file-locks a lease is refused, and the program keeps it', async () => {
  const target = await Target.program('locks', ['DIR']);
  expect(target.dump().stderr).toContain('CRTS_FILE_LOCK');
  await target.finish();
});

test('a lease that somebody else makes impossible meanwhile is told', async () => {
  const target = await Target.program('locks', ['DIR']);
  must(target.dump('--file-locks'));
  await target.gone();
  const other = Target.start('sh', ['-c', `exec 9>>${target.directory}/write; echo ready; exec sleep 60`]);
  await other.ready();
  const { status, stderr } = target.restore('--file-locks');
  expect(status).toBe(1);
  expect(stderr).toContain('CRTS_LEASE');
  expect(stderr).toContain('EAGAIN');
  await other.end();
  must(target.restore('--file-locks'));
  await target.finish();
});

flavours('leases that others wait for the end of', {
  start: () => Target.program('broken-leases', ['DIR']),
  options: ['--file-locks'],
  notWithCriu: 'it tells the owner a second time, and breaks no read leases of two and no write lease of a reader',
});

flavours('a flock of a description that a family shares', {
  start: () => Target.program('shared-lock', ['DIR']),
  options: ['--file-locks'],
  only: ['plain', 'once', 'criu and back'],
});
