import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';
import { until } from '../harness/until';

const pthread = { flags: ['-pthread'] };
const notWithCriu = 'CRIU 4.2 needs CAP_SYS_RESOURCE for a program of another user';
/** A filter that forbids what the agent needs to leave by itself ends the program when crts is killed (README). */
const survivesNoKill = ['plain', 'once', 'repeated', 'left running', 'criu and back'];

flavours('filters in their order', { start: () => Target.program('seccomp', ['chain'], pthread) });

flavours('filters of a program without privileges', {
  start: () => Target.program('seccomp', ['unprivileged'], pthread),
  notWithCriu,
});

flavours('filters of a program that gave its privileges up later', {
  start: () => Target.program('seccomp', ['dropped'], pthread),
  notWithCriu,
});

flavours('a filter that allows nothing of what the agent does', {
  start: () => Target.program('seccomp', ['little'], pthread),
  only: survivesNoKill,
});

flavours('a filter that all threads share', { start: () => Target.program('seccomp', ['all'], pthread) });

flavours('filters of each thread its own', { start: () => Target.program('seccomp', ['own'], pthread) });

flavours('filters of each thread on top of those that all have', {
  start: () => Target.program('seccomp', ['common'], pthread),
  notWithCriu: 'CRIU 4.2 installs all filters in each thread, which share none afterwards',
});

flavours('strict mode', {
  start: () => Target.program('seccomp', ['strict', 'DIR/line'], pthread),
  only: survivesNoKill,
  finish: async (target) => {
    appendFileSync(join(target.directory, 'line'), 'x');
    await until('the program to end', () => !target.alive());
    expect(target.text()).toContain('EXIT-SUCCESS');
  },
});
