import { CrtsError } from '@crts/plugin-api';
import { ERRNO_NAMES } from './arch/x86_64/errno-names';

/** `ENOENT` for 2; numbers that have no name stay numbers. */
export function errnoName(errno: number): string {
  return ERRNO_NAMES[errno] ?? `errno ${errno}`;
}

/** A system call of the engine itself failed. */
export class SyscallError extends CrtsError {
  /** Positive errno. */
  readonly number: number;

  constructor(call: string, errno: number, what = 'system call failed', path?: string) {
    const pid = /^\/proc\/(\d+)\//.exec(path ?? '')?.[1];
    super({
      code: 'CRTS_SYSCALL',
      what,
      call,
      errno: errnoName(errno),
      path,
      pid: pid === undefined ? undefined : Number(pid),
    });
    this.number = errno;
  }
}

export function nativeMissing(tried: readonly string[], cause: unknown): CrtsError {
  return new CrtsError({
    code: 'CRTS_NATIVE_MISSING',
    what: `the native addon of crts was not found; tried ${tried.join(', ')}`,
    hint: 'In a checkout run `npm run build`; from npm install @crts/native-linux-x64 (Linux on x86-64 only), or set CRTS_NATIVE to the directory that holds crts.node.',
    cause,
  });
}

export function nativeProtocol(path: string, found: number, want: number): CrtsError {
  return new CrtsError({
    code: 'CRTS_NATIVE_PROTOCOL',
    what: `the native addon speaks protocol ${found}, this crts needs ${want}`,
    path,
    hint: 'Install all packages of crts in the same version, or build again.',
  });
}

export function taskGone(pid: number, during: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_TASK_GONE',
    what: `the task died during ${during}`,
    pid,
    hint: 'Nothing is left to thaw. See the log of the program or `dmesg` for what killed it: with too little memory (of the machine, or the limit of its memory cgroup) the kernel does.',
  });
}

export function agentSilent(pid: number, what: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_AGENT_LOST',
    pid,
    what: `the agent ${what}`,
    hint: 'The log has the last steps; please report it with -v4.',
  });
}

export function noAddressSpace(pid: number, sizeBytes: bigint): CrtsError {
  return new CrtsError({
    code: 'CRTS_NO_ADDRESS_SPACE',
    pid,
    what: `no free stretch of ${sizeBytes} bytes in the address space for the agent`,
  });
}

export function infectFailed(pid: number, what: string, call: string, errno: number): CrtsError {
  return new CrtsError({
    code: 'CRTS_INFECT',
    kind: 'failed',
    pid,
    what,
    call,
    errno: errnoName(errno),
    hint: 'The task runs on unharmed. ENOMEM: its RLIMIT_AS, or its number of mappings (vm.max_map_count), leaves no room for the agent; EAGAIN: it locks all that it maps (mlockall), and its RLIMIT_MEMLOCK is reached; EMFILE: it has no free descriptor.',
  });
}

export function stubStopped(pid: number, seconds: number): CrtsError {
  return new CrtsError({
    code: 'CRTS_STUB_STOPPED',
    pid,
    what: `the task under restore has been stopped for ${seconds} s by a signal from outside`,
    hint: 'Restore again, and send its processes no signals before the restore has ended.',
  });
}
