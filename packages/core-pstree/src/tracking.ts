/**
 * Keeps track of what a tree writes between two dumps. Each task has a userfaultfd in asynchronous write-protect mode, made inside
 * it and borrowed; a small process, the holder, has them while no crts runs, because closing the last descriptor ends the tracking.
 * The inventory of a set says who that is. A holder that is gone, or that is not what the inventory says, means a full dump.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import type { CrtsTrackerEntry, ImageReader, InventoryEntry } from '@crts/image-io';
import {
  closeFd,
  launchStub,
  ProgramBuilder,
  pidfdGetfd,
  pidfdOpen,
  pidfdSendSignal,
  rawSyscall,
  type StubTask,
  SyscallError,
  stubAreaSize,
  UFFD_CREATE_FLAGS,
  uffdForgetMarks,
  uffdRegister,
  uffdTrackWrites,
  waitPid,
} from '@crts/native-syscalls';
import { isHuge, type Logger, type VmaFacts } from '@crts/plugin-api';
import { cannotTrack } from './errors';
import { parseStat } from './proc';

const SIGKILL = 9;
const PR_SET_NAME = 15;
const POLLIN = 1;
const NAME = 'crts-track';
/** Anywhere: the holder has no memory of its own but the stub's. */
const AREA_START = 0x1000_0000_0000n;
const PROGRAM_BYTES = 64 * 1024;
const DOORBELL = 50;
/** VmFlags of a mapping whose writes are tracked, or given to a program of its own. */
const WRITE_PROTECT = 'uw';

interface Tracked {
  readonly uffd: number;
  readonly pidfd: number;
}

export class WriteTracker {
  readonly #log: Logger;
  readonly #tasks = new Map<number, Tracked>();
  /** Who holds the descriptors as the parent set says. */
  #holder: number | undefined;
  /** Pid of the holder that was made for the set to come. */
  #made: number | undefined;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Takes over what the holder of the parent set has. Tasks that it does not know are not tracked. */
  static resume(parent: ImageReader | undefined, log: Logger): WriteTracker {
    const tracker = new WriteTracker(log);
    if (parent === undefined) return tracker;
    const { crts_tracker: entry } = parent.readOne<InventoryEntry>('inventory');
    if (entry !== undefined) tracker.#resume(entry);
    if (tracker.#tasks.size === 0)
      log.warn({}, 'nobody has kept track of what was written since the parent set: all memory is stored');
    return tracker;
  }

  /** Whether the mappings of a task are watched by somebody that the parent set does not know. */
  isStrange(pid: number, vmas: readonly VmaFacts[]): boolean {
    return !this.#tasks.has(pid) && isWatched(vmas);
  }

  /**
   * Mappings of a task as handlers are to see them: the tracking is no concern of theirs. What somebody else watches stays
   * as it is. `tracked` has the starts of those whose writes are known since the parent set.
   */
  view(pid: number, vmas: readonly VmaFacts[]): { readonly vmas: readonly VmaFacts[]; readonly tracked: Set<bigint> } {
    const tracked = new Set<bigint>();
    const known = this.#tasks.get(pid);
    if (known === undefined) return { vmas, tracked };
    const view = vmas.map((vma) => {
      // Registered again by its own descriptor, a mapping stays as it is; another's gives EBUSY: userfaultfd_register().
      if (!vma.vmFlags.has(WRITE_PROTECT) || !uffdRegister(known.uffd, vma.start, vma.end)) return vma;
      tracked.add(vma.start);
      return { ...vma, vmFlags: new Set([...vma.vmFlags].filter((flag) => flag !== WRITE_PROTECT)) };
    });
    return { vmas: view, tracked };
  }

  /**
   * Tracks the private mappings of a task from the next scan on, those but for `known`, which are tracked. `create` makes a userfaultfd inside the task and returns
   * its number there; `forget` closes it again.
   */
  start(
    pid: number,
    pidfd: number,
    vmas: readonly VmaFacts[],
    known: ReadonlySet<bigint>,
    inside: { create(flags: number): number; forget(fd: number): void },
  ): Set<bigint> {
    const { uffd } = this.#tasks.get(pid) ?? this.#add(pid, pidfd, inside);
    const tracked = new Set<bigint>();
    for (const vma of vmas) {
      // Of those that are tracked already the marks say what was written.
      if (known.has(vma.start) || !isTrackable(vma) || !uffdRegister(uffd, vma.start, vma.end)) continue;
      try {
        uffdForgetMarks(uffd, vma.start, vma.end);
      } catch (error) {
        throw cannotTrack(pid, (error as { errno?: string }).errno);
      }
      tracked.add(vma.start);
    }
    return tracked;
  }

  /**
   * From here on the parent set's own tracking is void: its holder ends before the first page starts over, so that whoever
   * builds on that set again stores everything.
   */
  leaveParent(): void {
    if (this.#holder === undefined) return;
    pidfdSendSignal(this.#holder, SIGKILL);
    closeFd(this.#holder);
    this.#holder = undefined;
  }

  /** Hands everything to a new holder, which lives as long as the root; returns what the inventory says of it. */
  hold(root: number): CrtsTrackerEntry {
    const area = { start: AREA_START, end: AREA_START + stubAreaSize(PROGRAM_BYTES) };
    const stub = launchStub({ pid: 0, flags: 0n, area, doorbellNumber: DOORBELL });
    this.#made = stub.hostPid;
    try {
      return this.#handOver(stub, root);
    } finally {
      stub.close();
    }
  }

  /** Ends the holder that hold() has made. */
  giveUp(): void {
    if (this.#made === undefined) return;
    rawSyscall('kill', this.#made, SIGKILL);
    waitPid(this.#made);
    this.#made = undefined;
  }

  #handOver(stub: StubTask, root: number): CrtsTrackerEntry {
    const program = new ProgramBuilder();
    program.origin = { plugin: 'engine', stage: 'dump', what: 'hand over to the holder of the tracking' };
    program.call('setsid', []);
    program.call('prctl', [PR_SET_NAME, program.cstring(NAME)]);
    program.call('chdir', [program.cstring('/')]);
    const taken = [...this.#tasks].map(([pid, { uffd, pidfd }]) => ({
      pid,
      uffd: program.receiveFd(uffd),
      pidfd: program.receiveFd(pidfd),
    }));
    stub.task.run(program);
    const tasks = taken.map(({ pid, uffd, pidfd }) => ({ pid, uffd: Number(uffd.value), pidfd: Number(pidfd.value) }));
    const wait = new ProgramBuilder();
    const set = Buffer.alloc(8);
    set.writeInt32LE(tasks.find(({ pid }) => pid === root)!.pidfd, 0);
    set.writeInt16LE(POLLIN, 4);
    wait.call('ppoll', [wait.bytes(set), 1, null, null, 0], { expect: 'any' });
    wait.call('exit_group', [0]);
    // Nobody waits for the end of this program: the engine leaves.
    stub.task.begin(wait).send();
    return { holder_pid: stub.hostPid, holder_start: startOf(stub.hostPid)!, tasks };
  }

  /** Lets go of the engine's descriptors. Without a holder the tracking ends. */
  close(): void {
    for (const { uffd, pidfd } of this.#tasks.values()) {
      closeFd(uffd);
      closeFd(pidfd);
    }
    this.#tasks.clear();
    if (this.#holder !== undefined) closeFd(this.#holder);
    this.#holder = undefined;
  }

  #add(pid: number, pidfd: number, inside: { create(flags: number): number; forget(fd: number): void }): Tracked {
    const number = inside.create(UFFD_CREATE_FLAGS);
    const uffd = pidfdGetfd(pidfd, number);
    inside.forget(number);
    try {
      uffdTrackWrites(uffd);
    } catch (error) {
      closeFd(uffd);
      throw cannotTrack(pid, (error as { errno?: string }).errno);
    }
    const tracked = { uffd, pidfd: pidfdOpen(pid) };
    this.#tasks.set(pid, tracked);
    return tracked;
  }

  #resume({ holder_pid, holder_start, tasks }: CrtsTrackerEntry): void {
    let holder: number;
    try {
      holder = pidfdOpen(holder_pid);
    } catch (error) {
      if (error instanceof SyscallError) return;
      throw error;
    }
    // Asked when the pidfd is there: it is the process that it will be.
    if (startOf(holder_pid) !== holder_start || nameOf(holder_pid) !== NAME) {
      closeFd(holder);
      return;
    }
    this.#holder = holder;
    for (const { pid, uffd, pidfd } of tasks) {
      // A pidfd is of one process for ever; one that is dead has no number: man 2 pidfd_open, fdinfo.
      if (this.#tasks.has(pid) || linkOf(holder_pid, uffd) !== 'anon_inode:[userfaultfd]') continue;
      if (pidOf(holder_pid, pidfd) !== pid) continue;
      try {
        this.#tasks.set(pid, { uffd: pidfdGetfd(holder, uffd), pidfd: pidfdGetfd(holder, pidfd) });
      } catch (error) {
        this.#log.warn({ pid }, `the tracking of writes cannot be taken over: ${(error as Error).message}`);
      }
    }
  }
}

/** How long a holder that was told to end may take. */
const END_MAX_MS = 2000;

/**
 * Ends holders that track a task for image sets other than the parent: their watch would be taken for one of the program's own.
 * True when there was one: what the kernel shows of the mappings has changed then.
 */
export function endOtherHolders(pid: number): boolean {
  const holders = readdirSync('/proc').filter((entry) => /^\d+$/.test(entry) && holds(Number(entry), pid));
  for (const holder of holders.map(Number)) {
    try {
      process.kill(holder, SIGKILL);
    } catch {
      // Gone by itself.
    }
    waitForEnd(holder);
  }
  return holders.length > 0;
}

function holds(holder: number, pid: number): boolean {
  if (nameOf(holder) !== NAME) return false;
  try {
    return readdirSync(`/proc/${holder}/fd`).some((fd) => pidOf(holder, Number(fd)) === pid);
  } catch {
    return false;
  }
}

/** Its descriptors are closed before it is a zombie: do_exit(), kernel/exit.c. */
function waitForEnd(pid: number): void {
  const sleeper = new Int32Array(new SharedArrayBuffer(4));
  for (const end = Date.now() + END_MAX_MS; Date.now() < end; Atomics.wait(sleeper, 0, 0, 1)) {
    const stat = readOptional(`/proc/${pid}/stat`);
    if (stat === '' || parseStat(stat).fields.state === 'Z') return;
  }
}

/**
 * Huge TLB pages are stored in every set: CRIU takes them from the set that it restores whatever their entries say (it leaves such
 * mappings to its restorer, which has one pages image open: premap_priv_vmas(), criu/mem.c), and its own sets have them so.
 */
function isTrackable(vma: VmaFacts): boolean {
  return !vma.shared && vma.write && !isHuge(vma) && !vma.vmFlags.has(WRITE_PROTECT) && !vma.name.startsWith('[v');
}

function readOptional(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

function startOf(pid: number): bigint | undefined {
  const text = readOptional(`/proc/${pid}/stat`);
  return text === '' ? undefined : BigInt(parseStat(text).fields.starttime ?? '0');
}

function nameOf(pid: number): string {
  return readOptional(`/proc/${pid}/comm`).trim();
}

function linkOf(pid: number, fd: number): string {
  try {
    return readlinkSync(`/proc/${pid}/fd/${fd}`);
  } catch {
    return '';
  }
}

/** The process that a pidfd is of; -1 when it has ended. */
function pidOf(pid: number, pidfd: number): number {
  return Number(/^Pid:\s*(-?\d+)/m.exec(readOptional(`/proc/${pid}/fdinfo/${pidfd}`))?.[1] ?? -1);
}

/** By list of mappings: tasks of a tree share them. */
const watched = new WeakMap<readonly VmaFacts[], boolean>();

function isWatched(vmas: readonly VmaFacts[]): boolean {
  const known = watched.get(vmas);
  if (known !== undefined) return known;
  const found = vmas.some(({ vmFlags }) => vmFlags.has(WRITE_PROTECT));
  watched.set(vmas, found);
  return found;
}
