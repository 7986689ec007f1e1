import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

flavours('socketpairs of every type, their queues and their ends', {
  start: () => Target.program('unix-pairs'),
  notWithCriu: 'the next test leaves out what CRIU loses',
});

flavours('socketpairs as far as CRIU carries them', {
  start: () => Target.program('unix-pairs', ['criu']),
  only: ['criu and back'],
});

flavours('messages without bytes', {
  start: () => Target.program('unix-empty-messages'),
  // A message without bytes that was looked at once is not shown to the next who looks: packages/fd-unix/README.md.
  only: ['plain', 'once', 'repeated'],
});

flavours('out-of-band bytes, waiting and read', {
  start: () => Target.program('unix-urgent'),
  notWithCriu: 'it loses them',
});
