import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

flavours('memfds: contents, size, offset, flags, mode, opened twice', {
  start: () => Target.program('memfd', ['plain']),
});

flavours('memfds that are mapped, also when no descriptor is left', {
  start: () => Target.program('memfd', ['mapped']),
});

flavours('sealed memfds', { start: () => Target.program('memfd', ['sealed']) });

flavours('a memfd that is executed', { start: () => Target.program('memfd', ['executed']) });

flavours('memfds that are in flight in a socket', { start: () => Target.program('memfd', ['sent']) });
