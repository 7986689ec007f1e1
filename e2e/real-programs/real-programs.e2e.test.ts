// Programs that nobody wrote for crts, started unprepared, dumped, gone, restored.
import { appendFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { repository } from '../harness/checkpointer';
import { flavours, type Scenario } from '../harness/flavours';
import { testNeeding } from '../harness/needs';
import { Target } from '../harness/target';
import { until } from '../harness/until';

/** The program writes 1, 2, 3, ... one a line: it goes on after each restore, and not one number is missing. */
const counter = (start: () => Target, needs: readonly string[]): Scenario => ({
  needs,
  isMoving: true,
  handlesSignals: true,
  start: async () => {
    const target = start();
    await until('the program to count', () => target.lastNumber() > 3);
    return target;
  },
  afterRestore: async (target) => {
    const reached = target.lastNumber();
    await until('the program to count on', () => target.lastNumber() > reached + 3);
  },
  finish: async (target) => {
    await target.end();
    // The last line may be cut where the program ended.
    const numbers = target.text().split('\n').slice(0, -1).map(Number);
    expect(numbers).toEqual(numbers.map((_, index) => index + 1));
  },
});

flavours(
  'bash in a loop',
  counter(
    () => Target.start('bash', ['-c', 'while :; do echo $((++i)); for ((j = 0; j < 10000; j++)); do :; done; done']),
    ['bash'],
  ),
);

flavours(
  'perl',
  counter(
    () => Target.start('perl', ['-e', '$| = 1; while (1) { print ++$i, "\\n"; select(undef, undef, undef, 0.01) }']),
    ['perl'],
  ),
);

const python = [
  'import time, sys',
  'state = {"count": 0, "history": []}',
  'with open(sys.argv[1], "w+") as log:',
  '    while True:',
  '        state["count"] += 1; state["history"].append(state["count"])',
  '        assert state["history"] == list(range(1, state["count"] + 1))',
  '        log.write(f"{state[\'count\']}\\n"); log.flush(); log.seek(0)',
  '        assert len(log.read().split()) == state["count"]',
  '        print(state["count"], flush=True); time.sleep(0.01)',
].join('\n');

flavours(
  'python3 with a counter in memory and an open file',
  counter(() => Target.start('/usr/bin/python3', ['-c', python, 'DIR/log']), ['python3']),
);

testNeeding(['tail'])('tail -f of a growing file', async () => {
  // A file to follow must exist before; with inotify tail would hold an inotify descriptor, which comes later.
  const source = Target.start('sleep', ['1000']);
  const grows = join(source.directory, 'grows');
  writeFileSync(grows, '1\n2\n3\n4\n');
  const target = Target.start('tail', ['-n', '+1', '-f', '---disable-inotify', '-s', '0.02', grows]);
  await until('tail to show the file', () => target.lastNumber() === 4);
  await target.cycle();
  appendFileSync(grows, '5\n6\n');
  await until('tail to show what was added', () => target.lastNumber() === 6);
  expect(target.text()).toBe('1\n2\n3\n4\n5\n6\n');
});

flavours('a static program of another libc (musl)', {
  needs: ['musl-gcc'],
  handlesSignals: true,
  start: () => Target.program('busy', ['float', 'quiet'], { flags: ['-static'], compiler: 'musl-gcc' }),
});

const vimCommands = [
  'call setline(1, ["kept", "in memory"])',
  'call writefile(["ready"], "OUT", "a")',
  'while !filereadable("GO") | sleep 20m | endwhile',
  'write! DIR/written',
  'call writefile(["EXIT-SUCCESS"], "OUT", "a")',
  'quit!',
];

flavours('vim in ex mode, with a buffer that only its memory has', {
  needs: ['vim'],
  handlesSignals: true,
  isMoving: true,
  start: async () => {
    const target = Target.start('vim', [
      '-u',
      'NONE',
      '-i',
      'NONE',
      '-n',
      '-es',
      ...vimCommands.flatMap((command) => ['-c', command]),
    ]);
    await target.ready();
    return target;
  },
  finish: async (target) => {
    await target.finish();
    expect(readFileSync(join(target.directory, 'written'), 'utf8')).toBe('kept\nin memory\n');
  },
});

flavours('vim in ex mode, with swap file and undo', {
  needs: ['vim'],
  handlesSignals: true,
  isMoving: true,
  start: async () => {
    const variables = "let [go, directory, output] = ['GO', 'DIR', 'OUT']";
    const script = join(repository, 'e2e/programs/editing.vim');
    const target = Target.start('vim', ['-u', 'NONE', '-i', 'NONE', '-es', '--cmd', variables, '-S', script]);
    await target.ready();
    return target;
  },
  finish: async (target) => {
    await target.finish();
    const names = readdirSync(target.directory);
    expect(names.filter((name) => name.endsWith('.swp'))).toEqual([]);
    expect(names.filter((name) => name.includes('%edited'))).toHaveLength(1);
    expect(readFileSync(join(target.directory, 'edited'), 'utf8').split('\n')).toHaveLength(203);
  },
});

/** A look at a program on its way: descriptors come and go. */
function holdsLock(pid: number): boolean {
  return readdirSync(`/proc/${pid}/fdinfo`).some((fd) => {
    try {
      return /^lock:.*POSIX/m.test(readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8'));
    } catch {
      return false;
    }
  });
}

testNeeding(['sqlite3'])(
  'sqlite3 in mid-transaction, with its locks',
  async () => {
    // A statement that runs for seconds keeps the shell inside the transaction over the dump.
    const sql = [
      'create table t (n integer);',
      'begin exclusive;',
      'insert into t values (1);',
      'with recursive c (n) as (select 1 union all select n + 1 from c where n < 4000000) insert into t select n from c;',
      'commit;',
      "select 'sum ' || sum(n) || ' count ' || count(*) from t;",
      'pragma integrity_check;',
    ];
    const target = Target.start('sqlite3', ['-batch', 'DIR/data.db', ...sql]);
    // Its output is buffered; that it holds its locks tells that it is inside.
    const locked = () => target.alive() && holdsLock(target.pid);
    await until('sqlite3 to be in its transaction', locked);
    const refused = target.dump();
    expect(refused.stderr).toContain('[CRTS_FILE_LOCK]');
    expect(target.text()).not.toContain('sum');
    await target.cycle('--file-locks');
    expect(locked()).toBe(true);
    await until('sqlite3 to end', () => !target.alive(), 2000);
    expect(target.text()).toContain(`sum ${(4000000 * 4000001) / 2 + 1} count 4000001`);
    expect(target.text()).toContain('ok');
  },
  600_000,
);
