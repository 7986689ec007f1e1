// A dump that fails at its very end: the program runs on as it was, and nothing else is left.
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { snapshot } from '../harness/snapshot';
import { Target } from '../harness/target';

/** Processes that keep track of writes for an image set. */
function holders(): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/comm`, 'latin1') === 'crts-track\n';
    } catch {
      return false;
    }
  });
}

test.each([[[]], [['--leave-running']], [['--leave-stopped']], [['--leave-running', '--track-mem']]])(
  'the images cannot get their names (%j)',
  async (options) => {
    const target = await Target.program('busy', ['integer']);
    const before = snapshot(target.pid);
    const known = holders();
    // rename(2) of a file to a directory: EISDIR.
    mkdirSync(join(target.images, 'pstree.img'));
    const { status, stderr } = target.dump(...options);
    expect(status).toBe(1);
    expect(stderr).toContain('[CRTS_IMAGE_WRITE]');
    expect(snapshot(target.pid)).toEqual(before);
    expect(holders()).toEqual(known);
    expect(readdirSync(target.images).filter((name) => name.startsWith('.'))).toEqual([]);
    await target.finish();
  },
);
