// ptrace on the real kernel: a child is seized, read, changed and let go.
import { spawn } from 'node:child_process';
import {
  NT_PRSTATUS,
  NT_X86_XSTATE,
  PTRACE_EVENT_STOP,
  PTRACE_O_EXITKILL,
  PTRACE_O_TRACESYSGOOD,
  ptraceContinue,
  ptraceDetach,
  ptraceGetRegset,
  ptraceGetRseq,
  ptraceGetSigmask,
  ptraceGetSyscallDispatch,
  ptraceInterrupt,
  ptracePeekSignals,
  ptraceSeize,
  ptraceSetRegset,
  ptraceSetSigmask,
  SIGINFO_SIZE,
} from './ptrace';
import { siginfo, userRegs } from './struct/tables';
import { ptraceThreadStates } from './thread-states';
import { WNOHANG, waitPid, waitStatus } from './wait';
import { wholeXstate, xstateComponents, xstateSize } from './xstate';

/** The child's pid, seized and stopped; it dies with this process, and at the end of the test. */
function stopped(use: (pid: number) => void): void {
  const child = spawn('sleep', ['60'], { stdio: 'ignore' });
  const pid = child.pid!;
  try {
    ptraceSeize(pid, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
    ptraceInterrupt(pid);
    const { status } = waitPid(pid)!;
    expect([waitStatus.stopped(status), waitStatus.event(status)]).toEqual([true, PTRACE_EVENT_STOP]);
    use(pid);
  } finally {
    child.kill('SIGKILL');
  }
}

test('registers are read and written back whole', () => {
  stopped((pid) => {
    const regs = ptraceGetRegset(pid, NT_PRSTATUS);
    expect(regs.length).toBe(userRegs.size);
    expect(userRegs.get(regs, 'cs')).toBe(0x33n);
    const changed = Buffer.from(regs);
    userRegs.set(changed, 'r15', 2n ** 64n - 1n);
    userRegs.set(changed, 'r14', 2n ** 53n + 1n);
    ptraceSetRegset(pid, NT_PRSTATUS, changed);
    expect(ptraceGetRegset(pid, NT_PRSTATUS)).toEqual(changed);
    ptraceSetRegset(pid, NT_PRSTATUS, regs);
  });
});

test('the extended state is as long as cpuid says', () => {
  stopped((pid) => {
    const area = ptraceGetRegset(pid, NT_X86_XSTATE);
    expect(area.length).toBe(xstateSize());
    // Component 2 is AVX: xstate_bv may have only bits of components that cpuid lists, or x87 and SSE.
    const listed = [...xstateComponents().keys()].reduce((bits, index) => bits | (1n << BigInt(index)), 3n);
    expect(area.readBigUInt64LE(512) & ~listed).toBe(0n);
    for (const { index, offset, sizeBytes } of xstateComponents().values()) {
      if ((area.readBigUInt64LE(512) & (1n << BigInt(index))) !== 0n)
        expect(offset + sizeBytes).toBeLessThanOrEqual(area.length);
    }
    ptraceSetRegset(pid, NT_X86_XSTATE, area);
  });
});

test('states of threads are what the single calls say, the extended state as far as it is in use', () => {
  stopped((pid) => {
    const [state] = ptraceThreadStates([pid]);
    expect(state!.prstatus).toEqual(ptraceGetRegset(pid, NT_PRSTATUS));
    expect(state!.sigmask).toBe(ptraceGetSigmask(pid));
    expect(state!.rseq).toEqual(ptraceGetRseq(pid));
    const whole = ptraceGetRegset(pid, NT_X86_XSTATE);
    expect(state!.xstate.length).toBeLessThanOrEqual(whole.length);
    expect(wholeXstate(state!.xstate)).toEqual(whole);
  });
});

test('states of a thread that is gone are an error with its call', () => {
  expect(() => ptraceThreadStates([2 ** 22 + 1])).toThrow(expect.objectContaining({ errno: 'ESRCH' }));
});

test('the signal mask keeps all 64 bits but SIGKILL and SIGSTOP', () => {
  stopped((pid) => {
    const before = ptraceGetSigmask(pid);
    ptraceSetSigmask(pid, 2n ** 64n - 1n);
    expect(ptraceGetSigmask(pid)).toBe((2n ** 64n - 1n) & ~(1n << 8n) & ~(1n << 18n));
    ptraceSetSigmask(pid, before);
  });
});

test('queued signals are seen and stay queued', () => {
  stopped((pid) => {
    ptraceSetSigmask(pid, 1n << 9n);
    process.kill(pid, 'SIGUSR1');
    for (let i = 0; i < 2; i++) {
      const queued = ptracePeekSignals(pid, true);
      expect(queued.map((info) => [info.length, siginfo.get(info, 'si_signo')])).toEqual([[SIGINFO_SIZE, 10]]);
    }
    expect(ptracePeekSignals(pid, false)).toEqual([]);
  });
});

test('libc has registered rseq, with its signature', () => {
  stopped((pid) => {
    const rseq = ptraceGetRseq(pid);
    // glibc 2.35 and later; other libcs have none. RSEQ_SIG of x86: arch/x86 of librseq and glibc.
    if (rseq !== undefined) expect(rseq.signature).toBe(0x53053053);
  });
});

test('syscall user dispatch is off', () => {
  stopped((pid) => expect(ptraceGetSyscallDispatch(pid)).toBeUndefined());
});

test('a continued task runs, a detached one has no tracer', () => {
  stopped((pid) => {
    ptraceContinue(pid);
    expect(waitPid(pid, WNOHANG)).toBeUndefined();
    ptraceInterrupt(pid);
    waitPid(pid);
    ptraceDetach(pid);
    expect(() => ptraceGetSyscallDispatch(pid)).toThrow(expect.objectContaining({ errno: 'ESRCH' }));
    expect(() => ptraceDetach(pid)).toThrow(expect.objectContaining({ code: 'CRTS_SYSCALL', errno: 'ESRCH' }));
  });
});
