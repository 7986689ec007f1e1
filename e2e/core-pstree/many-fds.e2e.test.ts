import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

const table = (title: string, what: string) =>
  flavours(title, { start: () => Target.program('many-fds', ['DIR', what]), only: ['once', 'criu and back'] });

table('descriptors with low numbers and with the highest that the limit allows', 'sparse');
table('1,000 descriptors', '1000');
table('a table that is full but for some numbers', 'full');
