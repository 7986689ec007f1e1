/** What the tasks of a frozen tree share by clone(2), found by kcmp(2), and whether a restore can make them share it. */
import { readFileSync } from 'node:fs';
import { KCMP, kcmp, SyscallError } from '@crts/native-syscalls';
import type { TaskFacts } from '@crts/plugin-api';
import { type Objects, SHARED_KINDS } from './forks/objects';
import { planForks } from './forks/plan';
import type { FrozenTree } from './freeze';
import { parseStat } from './proc';
import { sharedOutside } from './sharing-errors';
import { SIGCHLD } from './signal-numbers';
import { exitSignalOf, refuseExitSignal } from './wait-states';

interface Member {
  readonly pid: number;
  readonly ppid: number;
  readonly facts: Pick<TaskFacts, 'stat'>;
  /** Of each kind the first task that has it. */
  readonly owners: Objects;
}

/**
 * Asked before the freeze, because the parent may have many children. Who shares with the root comes from a clone(2) of a task above,
 * or of one of the root's own with CLONE_PARENT.
 * @throws CrtsError CRTS_SHARED
 */
export function refuseOutsiders(root: number): void {
  for (const other of relatives(root))
    for (const kind of SHARED_KINDS) if (isSame(root, other, kind)) throw sharedOutside(root, kind, other);
}

/** @throws CrtsError CRTS_SHARED or CRTS_EXIT_SIGNAL when no restore can make them share what they do, or with such signals */
export function refuseSharing(members: readonly Member[], { zombies, sequence }: FrozenTree): void {
  for (const { pid, facts } of members.slice(1)) refuseExitSignal(pid, facts.stat, false);
  for (const { pid, stat } of zombies) refuseExitSignal(pid, stat, true);
  const signals = [...members.slice(1).map(({ facts }) => facts.stat), ...zombies.map(({ stat }) => stat)];
  const isPlain = members.every(({ pid, owners }) => SHARED_KINDS.every((kind) => owners[kind] === pid));
  if (isPlain && signals.every((stat) => exitSignalOf(stat) === SIGCHLD)) return;
  const tasks = new Map(
    members.map(({ pid, ppid, facts: { stat }, owners: objects }) => [
      pid,
      {
        pid,
        ppid,
        pgid: Number(stat.pgrp),
        sid: Number(stat.session),
        dead: false,
        subreaper: false,
        objects,
        exitSignal: exitSignalOf(stat),
      },
    ]),
  );
  const dead = zombies.map(({ pid, ppid, stat }) => ({
    pid,
    ppid,
    pgid: Number(stat.pgrp),
    sid: Number(stat.session),
    dead: true,
    subreaper: false,
    exitSignal: exitSignalOf(stat),
  }));
  const all = new Map([...tasks, ...dead.map((task) => [task.pid, task] as const)]);
  let helper = 0;
  planForks(
    sequence.map((pid) => all.get(pid)!),
    { shellJob: true, freePid: () => --helper },
  );
}

/** The parent of the root, and its other children; none when the parent is out of sight. */
function relatives(root: number): number[] {
  try {
    const { ppid } = parseStat(readFileSync(`/proc/${root}/stat`, 'latin1')).fields;
    const children = readFileSync(`/proc/${ppid}/task/${ppid}/children`, 'latin1').trim().split(' ');
    const all = [ppid!, ...children.filter(Boolean)].map(Number);
    return all.filter((pid) => pid !== root && pid !== process.pid);
  } catch {
    return [];
  }
}

function isSame(pid: number, other: number, kind: keyof Objects): boolean {
  try {
    return kcmp(pid, other, KCMP[kind]) === 0;
  } catch (error) {
    // It has ended, or is none that may be looked at: a thread of the kernel.
    if (error instanceof SyscallError) return false;
    throw error;
  }
}
