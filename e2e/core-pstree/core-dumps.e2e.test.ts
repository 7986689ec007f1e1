// Zombies that dumped core: they do so again, where nobody sees it.
import { readFileSync } from 'node:fs';
import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

const pattern = readFileSync('/proc/sys/kernel/core_pattern', 'latin1').trim();

if (pattern === '' || /^[|@]/.test(pattern))
  test.skip(`zombies that dumped core (cores go to "${pattern}")`, () => undefined);
else
  flavours('zombies that dumped core', {
    start: () => Target.program('core-dumps'),
    only: ['plain', 'once', 'repeated', 'left running'],
  });
