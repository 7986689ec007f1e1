/** Who gets the signals of a description. */
import type { FownEntry } from '@crts/image-io';
import type { Arg, FileRecord, Program, TaskPlan } from '@crts/plugin-api';
import { badImage, ownerGone } from './errors';
import { O_ASYNC } from './file-planner';

const F_SETSIG = 10;
const F_SETOWN_EX = 15;
const SIGNAL_MAX = 64;
const OWNER_TYPES = 2;
const NOBODY: FownEntry = { uid: 0, euid: 0, signum: 0, pid_type: 0, pid: 0 };
/** Ids that the agent has until the task's own are set. */
const OWN_UID = process.getuid!();
const OWN_EUID = process.geteuid!();
const F_SETFL = 4;
/** O_ASYNC and the other flags that F_SETFL sets: SETFL_MASK, fs/fcntl.c. */
const SETTABLE =
  O_ASYNC | 0o2000 /* O_APPEND */ | 0o4000 /* O_NONBLOCK */ | 0o40000 /* O_DIRECT */ | 0o1000000; /* O_NOATIME */

/** What a description does with signals, and who gets them. */
interface Signalling {
  readonly owner: FownEntry;
  /** Status flags, O_ASYNC among them; undefined when it is not set. */
  readonly asyncFlags: number | undefined;
}

export function ownerOf(record: FileRecord, id: number): Signalling | undefined {
  const { fown: owner = NOBODY, flags } = record.value as { fown?: FownEntry; flags?: number };
  const asyncFlags = typeof flags === 'number' && (flags & O_ASYNC) !== 0 ? flags & SETTABLE : undefined;
  if (asyncFlags === undefined && owner.pid === 0 && owner.signum === 0) return undefined;
  if (owner.signum > SIGNAL_MAX || owner.pid_type > OWNER_TYPES)
    throw badImage('CRTS_IMAGE_FIELD', 'files.img', `file ${id}: impossible owner`);
  return { owner, asyncFlags };
}

/**
 * The owner may be any thread of any task, so all must be there; and none of what the restore does with the description
 * may send a signal. Before the task gives up the right to act for another user: the setter's ids count when a signal is sent.
 */
export function planOwner(plan: TaskPlan, fd: number, owned: Signalling): void {
  plan.pass(
    {
      plugin: 'engine',
      stage: 'credentials',
      what: `fd ${fd}: who gets its signals`,
      provides: ['rlimits'],
    },
    (program) => emitOwner(program, fd, owned),
  );
}

/** Signal and owner of SIGIO: man 2 fcntl, F_SETOWN_EX. f_setown() keeps the ids of the caller: fs/fcntl.c. */
export function emitOwner(program: Program, fd: Arg, { owner, asyncFlags }: Signalling): void {
  if (owner.signum !== 0) program.call('fcntl', [fd, F_SETSIG, owner.signum]);
  if (owner.pid !== 0) {
    const { uid, euid } = owner;
    const isOther = uid !== OWN_UID || euid !== OWN_EUID;
    if (isOther) program.call('setresuid', [uid, euid, -1], { what: 'set the owner as who set it' });
    const value = Buffer.alloc(8);
    value.writeInt32LE(owner.pid_type, 0);
    value.writeInt32LE(owner.pid, 4);
    program.call('fcntl', [fd, F_SETOWN_EX, program.bytes(value)], {
      what: 'set the owner of its signals',
      fail: (errno) => ownerGone(owner.pid, errno),
    });
    if (isOther) program.call('setresuid', [OWN_UID, OWN_EUID, -1], { what: 'act for crts again' });
  }
  if (asyncFlags !== undefined)
    program.call('fcntl', [fd, F_SETFL, asyncFlags], { what: 'let it send signals (O_ASYNC)' });
}
