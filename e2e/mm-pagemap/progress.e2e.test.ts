// On a terminal a transfer that takes long shows how far it is; one that does not says nothing.
import { spawnSync } from 'node:child_process';
import { crtsBinary } from '../harness/checkpointer';
import { testNeeding } from '../harness/needs';
import { Target } from '../harness/target';

/** What the command writes to a terminal of its own. */
function onTerminal(...command: string[]): { status: number | null; text: string } {
  const line = command.map((word) => `'${word}'`).join(' ');
  const { status, stdout } = spawnSync('script', ['-qec', line, '/dev/null'], { encoding: 'utf8', timeout: 60_000 });
  return { status, text: stdout };
}

const CLEAR_LINE = '\r\u001b[K';
const slowly = [
  'strace',
  '-qq',
  '-o',
  '/dev/null',
  '-e',
  'trace=fallocate',
  '-e',
  'inject=fallocate:delay_exit=800000',
];

const dump = (target: Target) => [crtsBinary, 'dump', '-t', `${target.pid}`, '-D', target.images, '-o', 'dump.log'];

testNeeding(['script', 'strace'])('a dump that takes long', async () => {
  const target = await Target.program('increments', ['16']);
  const { status, text } = onTerminal(...slowly, ...dump(target));
  expect(status).toBe(0);
  const lines = text.split(CLEAR_LINE);
  expect(lines.length).toBeGreaterThanOrEqual(3);
  expect(lines[1]).toMatch(/^\S+ [MK]iB of \S+ [MK]iB stored, \S+ [MK]iB\/s, \d+ s left$/);
  // It is taken away in the end.
  expect([lines[0], lines.at(-1)]).toEqual(['', '']);
  await target.gone();
  expect(target.restore().status).toBe(0);
  await target.finish();
});
