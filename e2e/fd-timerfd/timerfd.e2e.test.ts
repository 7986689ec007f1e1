import { flavours } from '../harness/flavours';
import { Target } from '../harness/target';

/** Time passes. */
const isMoving = true;

flavours('timers: clocks, time left, intervals, ticks, absolute times', {
  start: () => Target.program('timerfds'),
  isMoving,
});

flavours('timers: periodic and expired, of the wall clock', {
  start: () => Target.program('timerfds', ['more']),
  isMoving,
  notWithCriu: 'it disarms what has expired, and counts the time left of the wall clock',
});
