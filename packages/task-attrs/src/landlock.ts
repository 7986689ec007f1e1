/**
 * Landlock domains (man 7 landlock). The kernel shows them to nobody, but a thread in one may look into no process outside of it
 * (hook_ptrace_access_check(), security/landlock/task.c), whatever the domain restricts: kcmp(2), which asks for no more than a look, says
 * EPERM there for a process that the thread could look into else.
 */
import { spawn } from 'node:child_process';
import { closeFd, streamPair } from '@crts/native-syscalls';
import type { FrozenThread, Program } from '@crts/plugin-api';
import { landlocked } from './errors';

const KCMP_FS = 3;
const EPERM = -1n;
/** CAP_SYS_PTRACE, include/uapi/linux/capability.h: its holder may look into crts. */
const SYS_PTRACE = 1n << 19n;
/** Who may be looked into by threads of a user without that capability. */
interface Witness {
  readonly uid: number;
  readonly gid: number;
  readonly pid: number;
}

let witnesses: readonly Witness[] = [];

type Facts = Pick<FrozenThread, 'facts'>;

/**
 * Provides for a question to threads that a domain may hold: without capabilities they have no_new_privs then (man 2
 * landlock_restrict_self). Called when the dump is rehearsed, before the tree is frozen, and again in it.
 */
export function callWitness({ facts }: Facts): void {
  if (mayLookIntoCrts({ facts }) || facts.status.get('NoNewPrivs') !== '1') return;
  const [uid, gid] = idsOf({ facts });
  // A process of root has all capabilities, which only who has them may look into.
  if (
    uid === 0 ||
    uid === undefined ||
    gid === undefined ||
    witnesses.some((one) => one.uid === uid && one.gid === gid)
  )
    return;
  // It reads until the other end is closed: it ends with crts, whatever that ends of.
  const [own, input] = streamPair();
  const child = spawn('cat', { uid, gid, cwd: '/', stdio: [input, 'ignore', 'ignore'] });
  closeFd(input);
  child.on('error', () => undefined);
  child.unref();
  // A dump is one turn of the event loop.
  setImmediate(() => {
    child.kill('SIGKILL');
    closeFd(own);
    witnesses = [];
  });
  if (child.pid !== undefined) witnesses = [...witnesses, { uid, gid, pid: child.pid }];
}

export function askForLandlock(program: Program): (thread: FrozenThread) => void {
  const look = (pid: number) => program.call('kcmp', [pid, pid, KCMP_FS, 0, 0], { expect: 'any' });
  const crts = look(process.pid);
  const others = witnesses.map((witness) => ({ ...witness, result: look(witness.pid) }));
  return (thread) => {
    const [uid, gid] = idsOf(thread);
    const isPlain = thread.facts.status.get('NoNewPrivs') === '1';
    const own = others.find((one) => isPlain && one.uid === uid && one.gid === gid)?.result;
    const result = mayLookIntoCrts(thread) ? crts : own;
    if (result?.value === EPERM) throw landlocked(thread.tid);
  };
}

function mayLookIntoCrts({ facts }: Facts): boolean {
  return (BigInt(`0x${facts.status.get('CapEff') ?? '0'}`) & SYS_PTRACE) !== 0n;
}

/** The real ones, by which kcmp(2) judges. */
function idsOf({ facts }: Facts): [number | undefined, number | undefined] {
  const first = (name: string) => {
    const text = facts.status.get(name)?.split(/\s/)[0];
    return text === undefined ? undefined : Number(text);
  };
  return [first('Uid'), first('Gid')];
}
