/** A task under ptrace: stopped, infected, let go. */
import { closeSync, openSync, readFileSync } from 'node:fs';
import {
  closeFd,
  findGadgets,
  type Gadgets,
  getReg,
  Infection,
  NT_PRSTATUS,
  NT_X86_XSTATE,
  PTRACE_O_TRACESYSGOOD,
  pidfdOpen,
  pidfdSendSignal,
  preadFull,
  ptraceContinue,
  ptraceDetach,
  ptraceGetRegset,
  ptraceGetRseq,
  ptraceGetSigmask,
  ptraceInterrupt,
  ptracePeekSignals,
  ptraceSeize,
  rseqCs,
  type SyscallError,
  setReg,
  undoStopInterruption,
  verifyGadgets,
  waitForEventStop,
  waitPid,
} from '@crts/native-syscalls';
import type { Logger, TaskFacts, ThreadState, VmaFacts } from '@crts/plugin-api';
import { noSuchTask, notOurs, zombie } from './errors';
import { parseStatus, readTaskFacts } from './proc';

const SIGKILL = 9;
const SIGSTOP = 19;

/** What can be found out, and opened, while the task still runs. */
export class Target {
  readonly pid: number;
  readonly pidfd: number;
  readonly mem: number;
  readonly pagemap: number;
  readonly #log: Logger;
  #gadgets: Gadgets;
  #thread: ThreadState | undefined;
  #infection: Infection | undefined;
  #seized = false;
  #endedAt = 0n;

  constructor(pid: number, log: Logger) {
    this.pid = pid;
    this.#log = log;
    const facts = factsOf(pid);
    if (facts.stat.state === 'Z' || facts.stat.state === 'X') throw zombie(pid);
    this.pidfd = pidfdOpen(pid);
    this.mem = openSync(`/proc/${pid}/mem`, 'r+');
    this.pagemap = openSync(`/proc/${pid}/pagemap`, 'r');
    // Half a millisecond over a libc: done before the freeze, and checked in it.
    this.#gadgets = findGadgets(this.mem, facts.vmas);
  }

  get thread(): ThreadState {
    return this.#thread!;
  }

  /** When the task ran on, or was gone: process.hrtime. */
  get endedAt(): bigint {
    return this.#endedAt;
  }

  get infection(): Infection {
    return this.#infection!;
  }

  /** Stops the task. @throws CrtsError CRTS_SEIZE when it may not be traced */
  freeze(): TaskFacts {
    try {
      ptraceSeize(this.pid, PTRACE_O_TRACESYSGOOD);
    } catch (error) {
      const status = parseStatus(readFileSync(`/proc/${this.pid}/status`, 'utf8'));
      throw notOurs(this.pid, (error as SyscallError).errno, status.get('TracerPid') ?? '0');
    }
    this.#seized = true;
    ptraceInterrupt(this.pid);
    waitForEventStop(this.pid, waitPid(this.pid)!.status);
    const rseq = ptraceGetRseq(this.pid);
    const prstatus = ptraceGetRegset(this.pid, NT_PRSTATUS);
    this.#thread = {
      prstatus,
      xstate: ptraceGetRegset(this.pid, NT_X86_XSTATE),
      sigmask: ptraceGetSigmask(this.pid),
      rseq,
    };
    const facts = factsOf(this.pid);
    undoStopInterruption(prstatus, signalWaits(facts));
    if (rseq !== undefined) this.#abortCriticalSection(rseq.pointer, prstatus);
    return facts;
  }

  infect(vmas: readonly VmaFacts[]): void {
    if (!verifyGadgets(this.mem, this.#gadgets)) this.#gadgets = findGadgets(this.mem, vmas);
    if (this.#gadgets.restorer === undefined || this.#gadgets.syscallRet === undefined) {
      this.#log.warn(
        { pid: this.pid },
        'no way back in the text of the program: if crts is killed now, an idle mapping stays in it',
      );
    }
    this.#infection = Infection.start({
      pid: this.pid,
      pidfd: this.pidfd,
      mem: this.mem,
      pagemap: this.pagemap,
      thread: this.thread,
      vmas,
      gadgets: this.#gadgets,
    });
  }

  /** Signals that wait for the process, or for the thread. The agent, if any, is stopped for a moment. */
  pendingSignals(shared: boolean): Buffer[] {
    ptraceInterrupt(this.pid);
    waitForEventStop(this.pid, waitPid(this.pid)!.status);
    const pending = ptracePeekSignals(this.pid, shared);
    ptraceContinue(this.pid);
    return pending;
  }

  /** Lets the task run on as it was; `stop`: SIGSTOP is the first thing it gets. */
  thaw(stop: boolean): void {
    if (!this.#seized) return;
    this.#seized = false;
    const infection = this.#infection;
    this.#infection = undefined;
    infection?.cure();
    if (stop) pidfdSendSignal(this.pidfd, SIGSTOP);
    // The task may run on this very CPU at once: the time is taken before.
    this.#endedAt = process.hrtime.bigint();
    ptraceDetach(this.pid);
  }

  /** Ends the task and waits until its memory and descriptors are gone. */
  kill(): void {
    this.#seized = false;
    pidfdSendSignal(this.pidfd, SIGKILL);
    // The tracer learns of the death first; the parent's wait comes after (man 2 ptrace).
    waitPid(this.pid);
    this.#endedAt = process.hrtime.bigint();
    this.#infection?.close();
    this.#infection = undefined;
  }

  close(): void {
    closeFd(this.pidfd);
    closeSync(this.mem);
    closeSync(this.pagemap);
  }

  /**
   * A thread stopped inside an rseq critical section continues at the section's abort handler, as after any
   * preemption: rseq_ip_fixup(), kernel/rseq.c. Calls made by the agent would else clear the section behind its back.
   */
  #abortCriticalSection(pointer: bigint, prstatus: Buffer): void {
    const section = this.#read(pointer + 8n, 8).readBigUInt64LE(0);
    if (section === 0n) return;
    const cs = this.#read(section, rseqCs.size);
    const start = rseqCs.get(cs, 'start_ip');
    const ip = getReg(prstatus, 'rip');
    if (ip - start >= 0n && ip - start < rseqCs.get(cs, 'post_commit_offset'))
      setReg(prstatus, 'rip', rseqCs.get(cs, 'abort_ip'));
  }

  #read(address: bigint, length: number): Buffer {
    const bytes = Buffer.alloc(length);
    preadFull(this.mem, bytes, address);
    return bytes;
  }
}

/** Whether a signal is queued that the thread does not block. */
function signalWaits({ status }: TaskFacts): boolean {
  const mask = (field: string) => BigInt(`0x${status.get(field) ?? '0'}`);
  return ((mask('SigPnd') | mask('ShdPnd')) & ~mask('SigBlk')) !== 0n;
}

function factsOf(pid: number): TaskFacts {
  try {
    return readTaskFacts(pid);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH') throw noSuchTask(pid);
    throw error;
  }
}
