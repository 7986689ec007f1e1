// Programs that watch, unprepared.
import { appendFileSync, existsSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { flavours, type Scenario } from '../harness/flavours';
import { Target } from '../harness/target';
import { until } from '../harness/until';

/** `act` does something that the program must tell, and answers what it then prints. */
function watcher(
  needs: string[],
  start: () => Promise<Target>,
  act: (target: Target, round: number) => string,
): Scenario {
  let round = 0;
  const acts = async (target: Target) => {
    round += 1;
    const told = act(target, round);
    await until(`the program to tell "${told}"`, () => target.text().includes(told));
  };
  return {
    needs,
    start: async () => {
      const target = await start();
      await acts(target);
      return target;
    },
    isMoving: true,
    afterRestore: acts,
    finish: async (target) => {
      await acts(target);
      await target.end();
    },
  };
}

flavours(
  'inotifywait -m',
  watcher(
    ['inotifywait'],
    async () => {
      const target = Target.start('inotifywait', ['-m', '--format', '%e %f', 'DIR']);
      await until('the watches', () => target.text().includes('Watches established'));
      return target;
    },
    (target, round) => {
      writeFileSync(join(target.directory, `file-${round}`), '');
      return `CLOSE_WRITE,CLOSE file-${round}\n`;
    },
  ),
);

flavours('tail -F of a log that is rotated', {
  ...watcher(
    ['tail'],
    // A log that is not there yet would be polled.
    async () => {
      const target = Target.start('sh', ['-c', ': > DIR/log; exec tail -n +1 -F DIR/log']);
      await until('tail to watch', () => /^inotify wd/m.test(target.proc('fdinfo/4') + target.proc('fdinfo/3')));
      return target;
    },
    (target, round) => {
      const log = join(target.directory, 'log');
      if (round % 2 === 0 && existsSync(log)) renameSync(log, `${log}.1`);
      appendFileSync(log, `line ${round}.\n`);
      return `line ${round}.\n`;
    },
  ),
  notDumpedByCriu: 'its poll(2) is interrupted (EINTR) by a dump of CRIU, and tail ends',
});

const DIRECTORIES = 10_000;
const tree = [
  'import ctypes, os, struct, sys',
  'libc = ctypes.CDLL(None, use_errno=True)',
  'fd = libc.inotify_init1(0)',
  'top = sys.argv[1]',
  'names = {}',
  'os.mkdir(top)',
  'for i in range(int(sys.argv[2])):',
  '    path = os.path.join(top, str(i))',
  '    os.mkdir(path)',
  '    wd = libc.inotify_add_watch(fd, path.encode(), 0x100 | 0x4)',
  '    assert wd > 0, os.strerror(ctypes.get_errno())',
  '    names[wd] = str(i)',
  'print("ready", flush=True)',
  'while True:',
  '    data = os.read(fd, 1 << 20)',
  '    at = 0',
  '    while at < len(data):',
  '        wd, mask, cookie, size = struct.unpack_from("iIII", data, at)',
  '        name = data[at + 16:at + 16 + size].rstrip(b"\\0").decode()',
  '        at += 16 + size',
  '        print(f"{mask:x} {names[wd]}/{name}", flush=True)',
].join('\n');

flavours(`python3 on a tree of ${DIRECTORIES} directories`, {
  ...watcher(
    ['python3'],
    async () => {
      const target = Target.start('python3', ['-c', tree, 'DIR/tree', String(DIRECTORIES)]);
      await target.ready();
      return target;
    },
    (target, round) => {
      const name = String((round * 7919) % DIRECTORIES);
      writeFileSync(join(target.directory, 'tree', name, `file-${round}`), '');
      return `100 ${name}/file-${round}\n`;
    },
  ),
  only: ['once'],
});
