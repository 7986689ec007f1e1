import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

// CRIU has numbers of its own in the program while it is restored, below its own limit, and may not raise that without CAP_SYS_RESOURCE.
const ROOM = '2048';

function table(title: string, what: string): void {
  flavours(title, { start: () => Target.program('many-fds', ['DIR', what]), only: ['once'] });
  flavours(`${title}, and CRIU`, {
    start: () => Target.program('many-fds', ['DIR', what, ROOM]),
    only: ['criu and back'],
  });
}

table('descriptors with low numbers and with the highest that the limit allows', 'sparse');
table('1,000 descriptors', '1000');
table('a table that is full but for some numbers', 'full');
