/** What wait(2) has still to tell a parent of children that live: that they stopped, or go on; and by which signal it hears of their end. */
import { readFileSync } from 'node:fs';
import type { CoreEntry, CrtsThreadEntry } from '@crts/image-io';
import { SIGINFO_SIZE, type StubTask, syscall } from '@crts/native-syscalls';
import type { Logger, Output, Program } from '@crts/plugin-api';
import { onCpu } from './cpu';
import { badImage } from './errors';
import type { Zombie } from './freeze';
import type { Frozen } from './frozen-task';
import type { ImageSet, TaskSet } from './image-set';
import { exitSignal } from './sharing-errors';
import { SIGCHLD, SIGCONT, SIGKILL, SIGNAL_MAX, SIGSTOP } from './signal-numbers';
import type { Target } from './target';

const P_ALL = 0;
export const P_PID = 1;
/** Flags of waitid(2). */
const WNOHANG = 1;
export const WSTOPPED = 2;
const WCONTINUED = 8;
export const WNOWAIT = 0x0100_0000;
/** Children of any exit signal: man 2 wait, "__WCLONE". */
export const WALL = 0x4000_0000;

/** TASK_STOPPED of the format. */
export const TASK_STOPPED = 3;

interface Member {
  readonly target: Pick<Target, 'cpu' | 'stopSignal'>;
  readonly task: Frozen;
}

/** The parent looks, which changes nothing; that the child is traced hides nothing from it: wait_consider_task(), kernel/exit.c. */
function isToBeTold(parent: Member, pid: number, flag: number, what: string): boolean {
  let info: Output | undefined;
  onCpu(parent.target.cpu, () =>
    parent.task.run((program) => {
      info = program.out(SIGINFO_SIZE);
      program.call('waitid', [P_PID, pid, info, flag | WNOHANG | WNOWAIT | WALL, null], {
        what: `look whether ${pid} is reported as ${what}`,
      });
    }),
  );
  return info!.read().readInt32LE(0) !== 0;
}

/** Of each stopped process whether its parent, where that is in the tree, has still to be told by wait(2). */
export function noteUntold(members: readonly Member[]): void {
  for (const { target, task } of members) {
    if (target.stopSignal === undefined) continue;
    const parent = members.find((member) => member.task.pid === task.ppid);
    if (parent === undefined) continue;
    if (isToBeTold(parent, task.pid, WSTOPPED, 'stopped')) note(task, { stop_untold: true });
  }
}

/** Whether wait(2) has to tell of any child that it goes on: seldom one does, so this one question goes with those of plugins. */
export function askForContinued(program: Program): () => boolean {
  const info = program.out(SIGINFO_SIZE);
  program.call('waitid', [P_ALL, 0, info, WCONTINUED | WNOHANG | WNOWAIT | WALL, null], { expect: 'any' });
  return () => info.read().readInt32LE(0) !== 0;
}

/** `parent` has children of which wait(2) tells it that they go on. */
export function noteContinued(parent: Member, members: readonly Member[]): void {
  for (const { target, task } of members) {
    if (task.ppid !== parent.task.pid || target.stopSignal !== undefined) continue;
    if (isToBeTold(parent, task.pid, WCONTINUED, 'continued')) note(task, { continue_untold: true });
  }
}

/** Of what clone(2) made with another signal than SIGCHLD. The root gets SIGCHLD, as one gets whose parent ends (reparent_leader(), kernel/exit.c). */
export function noteExitSignals(tasks: readonly Frozen[]): void {
  for (const task of tasks.slice(1)) {
    const signal = exitSignalOf(task.facts.stat);
    if (signal !== SIGCHLD) note(task, { exit_signal: signal });
  }
}

/**
 * A parent death signal comes at the end of the thread that made the child (reparent_leader(), kernel/exit.c): after a restore that
 * is the main one, which made all.
 */
export function reportThreadParents(tasks: readonly Frozen[], log: Logger): void {
  for (const { pid, ppid, threads } of tasks) {
    if (threads.every(({ core }) => (core as CoreEntry).thread_core?.pdeath_sig === undefined)) continue;
    const parent = tasks.find((task) => task.pid === ppid);
    if (parent === undefined || parent.threads.length === 1) continue;
    const ofMain = readFileSync(`/proc/${parent.hostPid}/task/${parent.hostPid}/children`, 'latin1').trim().split(' ');
    if (!ofMain.includes(String(pid)))
      log.warn(
        { pid },
        `a thread of ${ppid} is its parent: after a restore the parent death signal comes when all of ${ppid} has ended`,
      );
  }
}

export function exitSignalOf(stat: Zombie['stat']): number {
  return Number(stat.exit_signal ?? SIGCHLD);
}

/** @throws CrtsError CRTS_EXIT_SIGNAL: clone3(2) takes no such signal, or the restore of a zombie would do to the parent what it does */
export function refuseExitSignal(pid: number, stat: Zombie['stat'], dead: boolean): void {
  const signal = exitSignalOf(stat);
  if (!isCarried(signal, dead)) throw exitSignal(pid, signal, dead);
}

function isCarried(signal: number, dead: boolean): boolean {
  return signal >= 0 && signal <= SIGNAL_MAX && !(dead && (signal === SIGKILL || signal === SIGSTOP));
}

function note({ images }: Frozen, own: CrtsThreadEntry): void {
  const { thread_core: thread } = images.core as CoreEntry;
  thread!.crts = { ...thread!.crts, ...own };
}

/** As the images have it. */
export function recordedExitSignal({ thread_core: thread, tc }: CoreEntry, pid: number, dead: boolean): number {
  const signal = thread?.crts?.exit_signal ?? SIGCHLD;
  if (!isCarried(signal, dead))
    throw badImage('CRTS_IMAGE_FIELD', `core-${pid}.img`, `exit signal ${signal} of ${tc?.comm ?? pid}`);
  return signal;
}

/** Signals by which a task heard of the deaths of the restore, once for each that queues. */
export function deathSignals(pid: number, { dead }: Pick<ImageSet, 'dead'>): number[] {
  const own = dead.filter(({ ppid, exitSignal }) => ppid === pid && exitSignal !== SIGCHLD && exitSignal !== 0);
  return [SIGCHLD, ...own.map(({ exitSignal: signal }) => signal)];
}

/**
 * Processes that have gone on, and wait(2) has not told: each is stopped and continued, while nothing of the program is in it
 * yet. What it gets by that is taken from it here; what the parent gets is forgotten with the deaths of the restore.
 */
export function continueUntold(tasks: readonly TaskSet[], stubOf: (pid: number) => StubTask): void {
  const pids = new Set(tasks.map(({ pid }) => pid));
  for (const { pid, ppid, images } of tasks) {
    const { tc, thread_core: thread } = images.core as CoreEntry;
    const isMeant = thread?.crts?.continue_untold === true && tc?.task_state !== TASK_STOPPED;
    if (!isMeant || !pids.has(ppid)) continue;
    const { hostPid, task } = stubOf(pid);
    syscall('kill', hostPid, SIGSTOP);
    stubOf(ppid).task.run((program) => {
      program.call('waitid', [P_PID, pid, null, WSTOPPED | WALL, null], { what: `wait until ${pid} is stopped` });
    });
    syscall('kill', hostPid, SIGCONT);
    task.run((program) => forgetSignal(program, SIGCONT));
  }
}

/** All signals are blocked. */
export function forgetSignal(program: Program, signal: number): void {
  const set = Buffer.alloc(8);
  set.writeBigUInt64LE(1n << BigInt(signal - 1));
  const now = program.bytes(Buffer.alloc(16));
  program.call('rt_sigtimedwait', [program.bytes(set), null, now, 8], { expect: 'any' });
}
