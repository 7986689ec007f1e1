import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

flavours('AIO rings that are new', { start: () => Target.program('aio') });

flavours('AIO rings with events that wait', { start: () => Target.program('aio', ['40', '13']) });

flavours('AIO rings whose events go round the end', { start: () => Target.program('aio', ['140', '100']) });

flavours('AIO rings that are empty somewhere', {
  start: () => Target.program('aio', ['33', '33']),
  only: ['plain', 'once'],
});

test('the ring of a parent, which has no context in the child: refused', async () => {
  const target = await Target.program('refused-mappings', ['inherited-aio']);
  const { status, stderr } = target.dump();
  expect([status, stderr]).toEqual([1, expect.stringContaining('[CRTS_AIO_INHERITED]')]);
  await target.finish();
});
