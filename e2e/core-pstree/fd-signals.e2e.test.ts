import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

flavours('signals of descriptors: owners, ids of the setter, F_SETSIG, O_ASYNC', {
  start: () => Target.program('fd-signals'),
  notWithCriu: 'CRIU loses O_ASYNC',
});

flavours('owners of descriptors', {
  start: () => Target.program('fd-signals', ['owners']),
  only: ['criu and back'],
});

test('F_NOTIFY is refused, and goes on', async () => {
  const target = await Target.program('dnotify', ['DIR']);
  const { status, stderr } = target.dump();
  expect(status).toBe(1);
  expect(stderr).toContain('CRTS_DNOTIFY');
  expect(stderr).toContain(target.directory);
  await target.finish();
});
