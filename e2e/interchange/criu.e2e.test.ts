// One image set, two programs: CRIU restores what crts dumped and the reverse; crit reads every image.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { criu, criuBinary, must } from '../harness/checkpointer';
import { cleanUp, Target, testNeeding, until } from '../harness/target';

afterEach(cleanUp);

const withCriu =
  criuBinary !== undefined && existsSync(criuBinary)
    ? test
    : (name: string, _body: () => Promise<void>) => test.skip(`${name} (needs CRTS_CRIU)`, () => undefined);

for (const [program, args] of [
  ['state', ['signals']],
  ['registers', []],
  ['memory', ['DIR/mapped']],
  ['fds', ['DIR']],
  ['busy', ['float']],
] as const) {
  withCriu(`${program} ${args.join(' ')}: crts to criu and back`, async () => {
    const target = await Target.program(program, args);
    must(target.dump());
    await target.gone();
    must(criu('restore', '-d', '-D', target.images, '-o', 'criu-restore.log', '-v4'));
    must(criu('dump', '-t', String(target.pid), '-D', target.images, '-o', 'criu-dump.log', '-v4'));
    await target.gone();
    must(target.restore());
    await target.finish();
  });
}

withCriu('bash: crts to criu and back', async () => {
  const target = Target.start('bash', [
    '-c',
    'while :; do echo $((++i)); for ((j = 0; j < 20000; j++)); do :; done; done',
  ]);
  await until('bash to count', () => target.lastNumber() > 3);
  must(target.dump());
  await target.gone();
  must(criu('restore', '-d', '-D', target.images, '-o', 'criu-restore.log', '-v4'));
  const reached = target.lastNumber();
  await until('bash to count on under criu', () => target.lastNumber() > reached + 3);
  must(criu('dump', '-t', String(target.pid), '-D', target.images, '-o', 'criu-dump.log', '-v4'));
  await target.gone();
  must(target.restore());
  const again = target.lastNumber();
  await until('bash to count on under crts', () => target.lastNumber() > again + 3);
});

testNeeding(['crit'])('crit of Debian shows every image', async () => {
  const target = await Target.program('memory', ['DIR/mapped']);
  must(target.dump());
  for (const file of readdirSync(target.images).filter((name) => name.endsWith('.img') && !name.startsWith('pages-'))) {
    // The system's python has crit's protobuf package, whatever python comes first in PATH.
    const { status, stderr, stdout } = spawnSync(
      '/usr/bin/python3',
      ['/usr/bin/crit', 'show', join(target.images, file)],
      { encoding: 'utf8' },
    );
    expect([file, status, stderr]).toEqual([file, 0, '']);
    expect(stdout).toContain('"magic"');
  }
});
