import type { Fd, HostPid, Pid } from './brands';

/** One line of /proc/PID/smaps with the flags that only smaps tells (man 5 proc). Addresses in bytes. */
export interface VmaFacts {
  readonly start: bigint;
  readonly end: bigint;
  readonly read: boolean;
  readonly write: boolean;
  readonly exec: boolean;
  readonly shared: boolean;
  /** Offset in the mapped object, bytes. */
  readonly offset: bigint;
  readonly major: number;
  readonly minor: number;
  readonly inode: bigint;
  /** Path or `[heap]`, `[stack]`, `[vdso]`, `[anon:name]`; empty for nameless anonymous memory. Octal escapes undone. */
  readonly name: string;
  /** Whether the kernel appended ` (deleted)`; not part of `name`. */
  readonly deleted: boolean;
  /** Two-letter codes of VmFlags, `rd`, `wr`, `gd`. */
  readonly vmFlags: ReadonlySet<string>;
  /** Memory protection key (man 7 pkeys); absent where the CPU has none. */
  readonly protectionKey?: number | undefined;
}

/** Values by the name of their field. */
export interface FieldTable {
  get(name: string): string | undefined;
}

/** What the engine learns of a task from /proc while it is frozen; each file is read once. */
export interface TaskFacts {
  readonly comm: string;
  /** Fields of /proc/PID/stat by their name in man 5 proc, as text. */
  readonly stat: Readonly<Record<string, string>>;
  /** Fields of /proc/PID/status by name, values trimmed. */
  readonly status: FieldTable;
  readonly vmas: readonly VmaFacts[];
}

/** What the engine learns of a thread from /proc/PID/task/TID while it is frozen. */
export interface ThreadFacts {
  readonly comm: string;
  /** Fields of stat and status, as in TaskFacts. */
  readonly stat: Readonly<Record<string, string>>;
  readonly status: FieldTable;
}

/** Facts of one open file description, all gathered from outside before any handler is asked. */
export interface FdFacts {
  readonly pid: Pid;
  readonly fd: Fd;
  /** A duplicate in the engine, borrowed with pidfd_getfd; the engine closes it. */
  readonly local: Fd;
  /** A /proc path that opens the file anew while the tree is frozen: `/proc/12/fd/3`, `/proc/12/map_files/...`. */
  readonly via: string;
  /** Text of the /proc/PID/fd link, ` (deleted)` undone. */
  readonly link: string;
  readonly deleted: boolean;
  /** From fstat: file type and permission bits, device and inode. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly dev: bigint;
  readonly ino: bigint;
  readonly rdev: bigint;
  readonly sizeBytes: bigint;
  readonly nlink: bigint;
  /** st_ctim, in nanoseconds: while it is the same, so are contents and attributes of a file. */
  readonly changeNs: bigint;
  /** f_type of fstatfs (man 2 statfs): which filesystem. */
  readonly fsType: bigint;
  /** F_GETFL. */
  readonly flags: number;
  /** Text of /proc/PID/fdinfo/FD. */
  readonly fdinfo: string;
  readonly pos: bigint;
  readonly mntId: number;
}

/** Registers and masks of a stopped thread as ptrace gave them, restart adjustments not applied. */
export interface ThreadState {
  /** NT_PRSTATUS: struct user_regs_struct. */
  readonly prstatus: Buffer;
  /** NT_X86_XSTATE: the xsave area in standard format; in a dump as far as components are in use. */
  readonly xstate: Buffer;
  /** Blocked signals, bit n-1 for signal n. */
  readonly sigmask: bigint;
  /** rseq(2) registration, PTRACE_GET_RSEQ_CONFIGURATION; absent when the thread has none. */
  readonly rseq?:
    | { readonly pointer: bigint; readonly size: number; readonly signature: number; readonly flags: number }
    | undefined;
  /** Restore: syscall user dispatch is on when the thread runs again. */
  readonly syscallDispatch?: SyscallDispatch | undefined;
}

/** prctl(PR_SET_SYSCALL_USER_DISPATCH) as the kernel keeps it: calls from outside of [offset, offset + length) are dispatched. */
export interface SyscallDispatch {
  readonly offset: bigint;
  /** The sum with `offset` wraps around where calls from inside of a range are dispatched. */
  readonly length: bigint;
  /** Address of the byte that says whether, 0 where none does. */
  readonly selector: bigint;
}

/** How much further the clocks of a tree in a time namespace of its own are than those of crts, in nanoseconds (man 7 time_namespaces). */
export interface ClockShift {
  readonly monotonic: bigint;
  readonly boottime: bigint;
}

export interface TaskIdentity {
  readonly pid: Pid;
  readonly hostPid: HostPid;
}

export interface ThreadIdentity {
  /** Number of the thread in the dumped tree's pid namespace; the main thread's is the pid. */
  readonly tid: Pid;
  readonly hostTid: HostPid;
  readonly isMain: boolean;
}
