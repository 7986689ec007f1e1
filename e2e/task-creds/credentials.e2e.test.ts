import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

flavours('ids, groups, capabilities, no_new_privs', {
  start: () => Target.program('state', ['credentials']),
  notWithCriu: 'CRIU sets limits with prlimit(2) of another user, for which root here lacks CAP_SYS_RESOURCE',
});
