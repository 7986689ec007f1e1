// Image sets that were damaged at random: the restore says what is wrong, at once, or restores; nothing else happens.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crtsBinary, must, temporaryDirectory } from '../harness/checkpointer';
import { Damage } from '../harness/damage';
import { seeded } from '../harness/random';
import { Target } from '../harness/target';

const ROUNDS = Number(process.env.CRTS_DAMAGE_ROUNDS ?? 5);
const PATIENCE_S = 30;
const MEMORY_MAX_KB = 1_500_000;

const PTHREAD = { flags: ['-pthread'] };
/** Between them all kinds of images. */
type Program = readonly [name: string, args: readonly string[], options?: object, dump?: readonly string[]];
const PROGRAMS: readonly Program[] = [
  ['fds', ['DIR']],
  ['unix-rights', ['DIR']],
  ['unix-tree', ['DIR']],
  ['event-family', []],
  ['pipes', ['more']],
  ['fifos', ['DIR']],
  ['inotify', ['DIR']],
  ['fanotify', ['DIR']],
  ['pidfds', []],
  ['memfd', ['sealed']],
  ['devices', ['DIR', 'all']],
  ['proc-files', []],
  ['unlinked', ['DIR', 'file'], {}, ['--ghost-limit=4M']],
  ['locks', ['DIR'], {}, ['--file-locks']],
  ['process-tree', ['DIR/table', 'fork 0 1', 'setsid 1', 'fork 1 2', 'setpgid 2 2', 'fork 0 3', 'exit 3', 'fork 1 4']],
  ['sharing', ['DIR', 'clone 0 1 files,fs', 'setsid 1', 'clone 1 2 vm,sighand', 'clone 2 3 files']],
  ['shared-memory', ['family']],
  ['sysv-memory', ['plain']],
  ['mapped-files', ['DIR']],
  ['mappings', ['flags']],
  ['copy-on-write', ['DIR/file', '1', '2']],
  ['aio', ['33', '33']],
  ['seccomp', ['own'], PTHREAD],
  ['posix-timers', []],
  ['threads', [], PTHREAD],
  ['state', ['signals']],
  ['stopped', [], PTHREAD],
  ['registers', []],
];

/**
 * In a pid namespace of its own, whose init this is, with somebody who has nothing to do with it. Prints the status, what is left of the
 * processes, and the peak of crts; all of it ends with the script.
 */
const INIT = `
sleep 1000 & other=$!
/usr/bin/time -o "$1" -f '%M' timeout -s KILL ${PATIENCE_S} "$2" restore -d -D "$3" -o restore.log -v4 $4
status=$?
left=
for d in /proc/[0-9]*; do
  pid=\${d#/proc/}
  case $(cat $d/stat 2>/dev/null) in *') Z '*|*') X '*|'') continue;; esac
  [ $pid = 1 ] || [ $pid = $other ] || [ $pid = $$ ] || left="$left $pid"
done
case $(cat /proc/$other/stat) in *') S '*) ;; *) left="$left other";; esac
echo "$status;$left;"
`;

interface Round {
  readonly status: number;
  readonly left: string;
  readonly stderr: string;
  readonly kilobytes: number;
}

function restoreApart(set: string, directory: string, options: readonly string[]): Round {
  const peak = join(directory, 'peak');
  const args = [
    '-pmif',
    '--propagation',
    'private',
    '--mount-proc',
    '--kill-child',
    'sh',
    '-c',
    INIT,
    'sh',
    peak,
    crtsBinary,
    set,
    options.join(' '),
  ];
  const env = { ...process.env, TMPDIR: temporaryDirectory };
  const { stdout, stderr } = spawnSync('unshare', args, { encoding: 'utf8', env, stdio: ['ignore', 'pipe', 'pipe'] });
  const [status, left] = (stdout.split('\n').findLast((line) => line.includes(';')) ?? '').split(';');
  const kilobytes = Number(readFileSync(peak, 'utf8').trim().split('\n').at(-1));
  return { status: Number(status), left: left!.trim(), stderr, kilobytes };
}

/** What a restore of bad images may say. */
function judge({ status, left, stderr, kilobytes }: Round): string | undefined {
  if (kilobytes > MEMORY_MAX_KB) return `${kilobytes} kB of memory`;
  if (left.includes('other')) return 'somebody else was touched';
  if (status === 0) return undefined;
  if (status !== 1) return `status ${status}`;
  if (left !== '') return `processes are left: ${left}`;
  if (!/^crts: .* \[CRTS_\w+\]$/m.test(stderr)) return 'no error';
  if (/\[CRTS_(BUG|PLUGIN_MISTAKE|AGENT_LOST|FD_GROUP|FORK_PLAN|PLAN_\w+|PROGRAM_TOO_LARGE)\]/.test(stderr))
    return 'a bug';
  return /^\s+at /m.test(stderr) ? 'a stack' : undefined;
}

/** What the restore may not change: the directory of the program, but for the images. */
function listing(directory: string): string[] {
  // Names need not be UTF-8.
  const found = spawnSync('find', [directory, '-path', join(directory, 'round'), '-prune', '-o', '-print'], {
    encoding: 'latin1',
  });
  return found.stdout
    .split('\n')
    .filter((path) => !path.endsWith('/peak'))
    .sort();
}

/** Those of the programs before: files of other sets come from there. */
const others = mkdtempSync(join(tmpdir(), 'crts-sets-'));
const sets: string[] = [];
afterAll(() => rmSync(others, { recursive: true }));

test.each(PROGRAMS as Program[])(
  '%s %j',
  async (...program: unknown[]) => {
    const [name, args, options = {}, dumpOptions = []] = program as unknown as Program;
    const target = await Target.program(name, args, options);
    must(target.dump(...dumpOptions));
    await target.gone();
    const damage = new Damage(seeded());
    const before = listing(target.directory);
    const failures: string[] = [];
    const codes = new Map<string, number>();
    for (let round = 0; round < ROUNDS; round++) {
      const set = join(target.directory, 'round');
      rmSync(set, { recursive: true, force: true });
      cpSync(target.images, set, { recursive: true, verbatimSymlinks: true });
      const what = damage.apply(set, sets);
      const started = process.hrtime.bigint();
      const outcome = restoreApart(set, target.directory, dumpOptions);
      const ms = Number((process.hrtime.bigint() - started) / 1_000_000n);
      const now = listing(target.directory);
      const more = now.filter((one) => !before.includes(one)).concat(before.filter((one) => !now.includes(one)));
      const wrong =
        judge(outcome) ?? (more.length > 0 && outcome.status !== 0 ? `files: ${more.join(' ')}` : undefined);
      const code = outcome.status === 0 ? 'restored' : (/\[(CRTS_\w+)\]/.exec(outcome.stderr)?.[1] ?? 'none');
      codes.set(code, (codes.get(code) ?? 0) + 1);
      if (process.env.CRTS_DAMAGE_LOG !== undefined)
        writeFileSync(
          process.env.CRTS_DAMAGE_LOG,
          `${wrong === undefined ? 'ok' : 'WRONG'} ${name} ${round} ${ms} ms ${outcome.kilobytes} kB: ${what} -> ${outcome.status} ${outcome.stderr.split('\n').slice(0, 2).join(' | ')}\n`,
          { flag: 'a' },
        );
      if (wrong === undefined) continue;
      failures.push(`round ${round}: ${what}: ${wrong}: ${outcome.stderr.slice(0, 500)}`);
      const kept = process.env.CRTS_DAMAGE_KEEP;
      if (kept !== undefined) {
        mkdirSync(kept, { recursive: true });
        cpSync(set, join(kept, `${name}-${round}`), {
          recursive: true,
          verbatimSymlinks: true,
          filter: (path) => !readsForever(path),
        });
      }
    }
    rmSync(join(target.directory, 'round'), { recursive: true, force: true });
    const copy = join(others, name);
    cpSync(target.images, copy, { recursive: true });
    sets.push(copy);
    console.log(
      name,
      [...codes]
        .sort()
        .map((one) => one.join(' '))
        .join(', '),
    );
    expect(failures).toEqual([]);
  },
  3_600_000,
);

function readsForever(path: string): boolean {
  return path.endsWith('never');
}
