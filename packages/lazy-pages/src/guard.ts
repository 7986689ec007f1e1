/**
 * A process that outlives this one for a moment: should the server die while programs still miss pages, they must not run on, since
 * the kernel would give them zeroes in place of their memory once the last descriptor of the watch is closed. The guard has
 * duplicates, so that faults go on waiting, and ends the programs.
 */
import {
  closeFd,
  launchStub,
  ProgramBuilder,
  pidfdOpen,
  rawSyscall,
  type StubTask,
  stubAreaSize,
  waitPid,
} from '@crts/native-syscalls';

const PR_SET_NAME = 15;
const NAME = 'crts-lazy-guard';
const SIGKILL = 9;
const POLLIN = 1;
/** Anywhere: the guard has no memory of its own but the stub's. */
const AREA_START = 0x1000_0000_0000n;
const PROGRAM_BYTES = 320 * 1024;
const DOORBELL = 50;

export interface Guarded {
  readonly uffd: number;
  readonly pidfd: number;
}

export class Guard {
  readonly #stub: StubTask;

  /** Watches over this very process. */
  constructor(tasks: readonly Guarded[]) {
    const area = { start: AREA_START, end: AREA_START + stubAreaSize(PROGRAM_BYTES) };
    this.#stub = launchStub({ pid: 0, flags: 0n, area, doorbellNumber: DOORBELL });
    const self = pidfdOpen(process.pid);
    try {
      this.#watch(self, tasks);
    } catch (error) {
      this.end();
      throw error;
    } finally {
      closeFd(self);
    }
  }

  #watch(self: number, tasks: readonly Guarded[]): void {
    const program = new ProgramBuilder();
    program.call('setsid', []);
    program.call('prctl', [PR_SET_NAME, program.cstring(NAME)]);
    program.call('chdir', [program.cstring('/')]);
    const server = program.receiveFd(self);
    for (const { uffd } of tasks) program.receiveFd(uffd);
    const pidfds = tasks.map(({ pidfd }) => program.receiveFd(pidfd));
    this.#stub.task.run(program);
    const wait = new ProgramBuilder();
    const set = Buffer.alloc(8);
    set.writeInt32LE(Number(server.value), 0);
    set.writeInt16LE(POLLIN, 4);
    wait.call('ppoll', [wait.bytes(set), 1, null, null, 0], { expect: 'any' });
    for (const { value } of pidfds) wait.call('pidfd_send_signal', [value, SIGKILL, null, 0], { expect: 'any' });
    wait.call('exit_group', [1]);
    this.#stub.task.begin(wait).send();
  }

  /** Everything is in place: nobody needs it any more. */
  end(): void {
    rawSyscall('kill', this.#stub.hostPid, SIGKILL);
    waitPid(this.#stub.hostPid);
    this.#stub.close();
  }
}
