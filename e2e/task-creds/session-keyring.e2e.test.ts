// The keyring of a session: one with keys in it is not lost without a word.
import { readdirSync } from 'node:fs';
import { flavours } from '../harness/flavours';
import { snapshot } from '../harness/snapshot';
import { Target } from '../harness/target';

const FLAGS = ['-pthread'];

flavours('what a login has anyway', {
  start: () => Target.program('session-keyring', ['login'], { flags: FLAGS }),
  only: ['plain', 'once', 'left running'],
});

flavours('none', {
  start: () => Target.program('session-keyring', ['none'], { flags: FLAGS }),
  only: ['plain', 'once'],
});

test.each(['keys', 'named', 'user', 'user-named', 'thread'])('refused: %s', async (what) => {
  const target = await Target.program('session-keyring', [what], { flags: FLAGS });
  const before = snapshot(target.pid);
  const { status, stderr } = target.dump();
  expect(status).toBe(1);
  expect(stderr).toContain('[CRTS_KEYRING]');
  expect(stderr).toMatch(/the keyring of its session, \d+, holds keys of its own \(1\)/);
  expect(readdirSync(target.images)).toEqual(['dump.log']);
  expect(snapshot(target.pid)).toEqual(before);
  await target.finish();
});
