import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { repository } from '../harness/checkpointer';
import { testNeeding } from '../harness/needs';

testNeeding(['python3'])('a job of a shell keeps to the terminal that the restore runs on', async () => {
  const images = mkdtempSync(join(tmpdir(), 'crts-e2e-'));
  try {
    const crts = join(repository, 'packages/cli/bin/crts.js');
    const script = join(repository, 'e2e/programs/terminal.py');
    const seen = execFileSync('/usr/bin/python3', [script, `${crts} dump`, `${crts} restore`, images], {
      encoding: 'utf8',
    });
    expect(seen.trimEnd().split('\n')).toEqual([
      'before: True',
      'refused: 1 CRTS_SESSION',
      'dumped: 0 ',
      'after: True',
    ]);
  } finally {
    rmSync(images, { recursive: true, force: true });
  }
});
