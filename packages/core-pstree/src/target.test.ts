// A process on the real kernel: whatever a dump has done to it, it can be let go.
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { Logger } from '@crts/plugin-api';
import { bindToEngine } from './binding';
import { Patience } from './patience';
import { Target } from './target';

const log = { info: () => undefined, warn: () => undefined } as unknown as Logger;
let child: ChildProcess & { readonly pid: number };

beforeEach(async () => {
  child = spawn('sleep', ['1000'], { stdio: 'ignore' }) as typeof child;
  // The engine waits for it itself: Node is never told of its end, and would wait for ever.
  child.unref();
  await new Promise((resolve) => child.once('spawn', resolve));
});

afterEach(() => child.kill('SIGKILL'));

function infected(): Target {
  const target = new Target(child.pid, log);
  while (target.seize()) target.settle(new Patience(0, 0));
  target.settled();
  target.infect();
  return target;
}

function status(field: string): string {
  return new RegExp(`^${field}:\\s*(.*)`, 'm').exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))![1]!;
}

test('bound to the engine, and not ended after all', () => {
  const target = infected();
  bindToEngine([target]);
  target.halt(new Patience(0, 0));
  target.detach(false);
  target.close();
  expect(status('TracerPid')).toBe('0');
  expect(readFileSync(`/proc/${child.pid}/maps`, 'utf8')).not.toContain('memfd:crts');
});

test('ended by somebody else while it was to be ended: that is an end', () => {
  const target = infected();
  process.kill(child.pid, 'SIGKILL');
  target.kill();
  target.reap();
  target.kill();
  target.close();
});
