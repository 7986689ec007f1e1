import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

flavours('listeners, connections and datagram sockets under names of every kind', {
  start: () => Target.program('unix-names', ['DIR']),
  notWithCriu: 'it refuses or loses names of accepted sockets, replaced names and senders of datagrams',
});

flavours('sockets under names as far as CRIU carries them', {
  start: () => Target.program('unix-plain-names', ['DIR']),
  only: ['plain', 'once', 'criu and back'],
});
