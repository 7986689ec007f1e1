// Zombies that dumped core: they do so again, where nobody sees it.
import { readFileSync } from 'node:fs';
import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

const toFile = /^[^|@]/.test(readFileSync('/proc/sys/kernel/core_pattern', 'latin1').trim());

if (!toFile) test.skip('zombies that dumped core (core_pattern names no file)', () => undefined);
if (toFile)
  flavours('zombies that dumped core', {
    start: () => Target.program('core-dumps'),
    only: ['plain', 'once', 'repeated', 'left running'],
  });
