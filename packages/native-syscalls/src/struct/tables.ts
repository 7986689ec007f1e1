/** The kernel's structures that crts reads and writes, one table each, by header. */
import { struct } from './struct';

export const timespec = struct('struct timespec', '<time.h>', { tv_sec: 'i64', tv_nsec: 'i64' });
/** struct itimerspec, its two timespecs laid out flat. */
export const itimerspec = struct('struct itimerspec', '<time.h>', {
  'it_interval.tv_sec': 'i64',
  'it_interval.tv_nsec': 'i64',
  'it_value.tv_sec': 'i64',
  'it_value.tv_nsec': 'i64',
});
/** struct sigevent as the kernel reads it, its two unions laid out flat. */
export const sigevent = struct('struct sigevent', '<signal.h>', {
  'sigev_value.sival_ptr': 'u64',
  sigev_signo: 'i32',
  sigev_notify: 'i32',
  '_sigev_un._tid': 'i32',
  padding: { array: 'u8', length: 44 },
});
/** struct itimerval, its two timevals laid out flat. */
export const itimerval = struct('struct itimerval', '<sys/time.h>', {
  'it_interval.tv_sec': 'u64',
  'it_interval.tv_usec': 'u64',
  'it_value.tv_sec': 'u64',
  'it_value.tv_usec': 'u64',
});
/** What rt_sigaction(2) takes; libc's struct sigaction is another one. */
export const kernelSigaction = struct('struct sigaction', '<asm/signal.h>', {
  sa_handler: 'u64',
  sa_flags: 'u64',
  sa_restorer: 'u64',
  sa_mask: 'u64',
});
export const stackT = struct('stack_t', '<asm/signal.h>', { ss_sp: 'u64', ss_flags: 'i32', ss_size: 'u64' });
export const siginfo = struct('siginfo_t', '<asm/signal.h> <asm/siginfo.h>', {
  si_signo: 'i32',
  si_errno: 'i32',
  si_code: 'i32',
  padding: { array: 'u64', length: 14 },
});
export const userRegs = struct('struct user_regs_struct', '<sys/user.h>', {
  r15: 'u64',
  r14: 'u64',
  r13: 'u64',
  r12: 'u64',
  rbp: 'u64',
  rbx: 'u64',
  r11: 'u64',
  r10: 'u64',
  r9: 'u64',
  r8: 'u64',
  rax: 'u64',
  rcx: 'u64',
  rdx: 'u64',
  rsi: 'u64',
  rdi: 'u64',
  orig_rax: 'u64',
  rip: 'u64',
  cs: 'u64',
  eflags: 'u64',
  rsp: 'u64',
  ss: 'u64',
  fs_base: 'u64',
  gs_base: 'u64',
  ds: 'u64',
  es: 'u64',
  fs: 'u64',
  gs: 'u64',
});
/** Registers of a signal frame, as rt_sigreturn(2) reads them. */
export const sigcontext = struct('struct sigcontext', '<asm/sigcontext.h>', {
  r8: 'u64',
  r9: 'u64',
  r10: 'u64',
  r11: 'u64',
  r12: 'u64',
  r13: 'u64',
  r14: 'u64',
  r15: 'u64',
  rdi: 'u64',
  rsi: 'u64',
  rbp: 'u64',
  rbx: 'u64',
  rdx: 'u64',
  rax: 'u64',
  rcx: 'u64',
  rsp: 'u64',
  rip: 'u64',
  eflags: 'u64',
  cs: 'u16',
  gs: 'u16',
  fs: 'u16',
  ss: 'u16',
  err: 'u64',
  trapno: 'u64',
  oldmask: 'u64',
  cr2: 'u64',
  fpstate: 'u64',
  reserved1: { array: 'u64', length: 8 },
});
/** Head of struct ucontext: uc_mcontext and uc_sigmask follow at 40 and 296. */
export const ucontext = struct('struct ucontext', '<asm/signal.h> <asm/sigcontext.h> <asm/ucontext.h>', {
  uc_flags: 'u64',
  uc_link: 'u64',
  'uc_stack.ss_sp': 'u64',
  'uc_stack.ss_flags': 'i32',
  'uc_stack.ss_size': 'u64',
  uc_mcontext: { array: 'u64', length: 32 },
  uc_sigmask: 'u64',
});
/** Behind the legacy area of a signal frame's extended state. */
export const fpxSwBytes = struct('struct _fpx_sw_bytes', '<asm/sigcontext.h>', {
  magic1: 'u32',
  extended_size: 'u32',
  xfeatures: 'u64',
  xstate_size: 'u32',
  padding: { array: 'u32', length: 7 },
});
export const xsaveHeader = struct('struct _header', '<asm/sigcontext.h>', {
  xfeatures: 'u64',
  reserved1: { array: 'u64', length: 2 },
  reserved2: { array: 'u64', length: 5 },
});
export const iovec = struct('struct iovec', '<sys/uio.h>', { iov_base: 'u64', iov_len: 'u64' });
export const msghdr = struct('struct msghdr', '<sys/socket.h>', {
  msg_name: 'u64',
  msg_namelen: 'u32',
  msg_iov: 'u64',
  msg_iovlen: 'u64',
  msg_control: 'u64',
  msg_controllen: 'u64',
  msg_flags: 'i32',
});
export const cmsghdr = struct('struct cmsghdr', '<sys/socket.h>', {
  cmsg_len: 'u64',
  cmsg_level: 'i32',
  cmsg_type: 'i32',
});
export const rlimit = struct('struct rlimit', '<sys/resource.h>', { rlim_cur: 'u64', rlim_max: 'u64' });
export const cloneArgs = struct('struct clone_args', '<linux/sched.h>', {
  flags: 'u64',
  pidfd: 'u64',
  child_tid: 'u64',
  parent_tid: 'u64',
  exit_signal: 'u64',
  stack: 'u64',
  stack_size: 'u64',
  tls: 'u64',
  set_tid: 'u64',
  set_tid_size: 'u64',
  cgroup: 'u64',
});
export const prctlMmMap = struct('struct prctl_mm_map', '<linux/prctl.h>', {
  start_code: 'u64',
  end_code: 'u64',
  start_data: 'u64',
  end_data: 'u64',
  start_brk: 'u64',
  brk: 'u64',
  start_stack: 'u64',
  arg_start: 'u64',
  arg_end: 'u64',
  env_start: 'u64',
  env_end: 'u64',
  auxv: 'u64',
  auxv_size: 'u32',
  exe_fd: 'u32',
});
export const shmidDs = struct('struct shmid64_ds', '<linux/shm.h>', {
  'shm_perm.key': 'i32',
  'shm_perm.uid': 'u32',
  'shm_perm.gid': 'u32',
  'shm_perm.cuid': 'u32',
  'shm_perm.cgid': 'u32',
  'shm_perm.mode': 'u32',
  'shm_perm.seq': 'u16',
  'shm_perm.__unused1': 'u64',
  'shm_perm.__unused2': 'u64',
  shm_segsz: 'u64',
  shm_atime: 'i64',
  shm_dtime: 'i64',
  shm_ctime: 'i64',
  shm_cpid: 'i32',
  shm_lpid: 'i32',
  shm_nattch: 'u64',
  __unused4: 'u64',
  __unused5: 'u64',
});
export const capHeader = struct('struct __user_cap_header_struct', '<linux/capability.h>', {
  version: 'u32',
  pid: 'i32',
});
export const capData = struct('struct __user_cap_data_struct', '<linux/capability.h>', {
  effective: 'u32',
  permitted: 'u32',
  inheritable: 'u32',
});
export const fOwnerEx = struct('struct f_owner_ex', '<fcntl.h>', { type: 'i32', pid: 'i32' });
export const flock = struct('struct flock', '<fcntl.h>', {
  l_type: 'u16',
  l_whence: 'u16',
  l_start: 'u64',
  l_len: 'u64',
  l_pid: 'i32',
});
export const termios = struct('struct termios', '<asm/termbits.h>', {
  c_iflag: 'u32',
  c_oflag: 'u32',
  c_cflag: 'u32',
  c_lflag: 'u32',
  c_line: 'u8',
  c_cc: { array: 'u8', length: 19 },
});
export const winsize = struct('struct winsize', '<asm/termios.h>', {
  ws_row: 'u16',
  ws_col: 'u16',
  ws_xpixel: 'u16',
  ws_ypixel: 'u16',
});
export const ptraceRseqConfiguration = struct('struct ptrace_rseq_configuration', '<linux/ptrace.h>', {
  rseq_abi_pointer: 'u64',
  rseq_abi_size: 'u32',
  signature: 'u32',
  flags: 'u32',
  pad: 'u32',
});
export const peekSiginfoArgs = struct('struct ptrace_peeksiginfo_args', '<linux/ptrace.h>', {
  off: 'u64',
  flags: 'u32',
  nr: 'i32',
});
export const rseqCs = struct('struct rseq_cs', '<linux/rseq.h>', {
  version: 'u32',
  flags: 'u32',
  start_ip: 'u64',
  post_commit_offset: 'u64',
  abort_ip: 'u64',
});
export const schedAttr = struct('struct sched_attr', '<linux/sched/types.h>', {
  size: 'u32',
  sched_policy: 'u32',
  sched_flags: 'u64',
  sched_nice: 'i32',
  sched_priority: 'u32',
  sched_runtime: 'u64',
  sched_deadline: 'u64',
  sched_period: 'u64',
  sched_util_min: 'u32',
  sched_util_max: 'u32',
});
/** struct ptrace_sud_config of Linux 6.4; older headers do not have it. */
export const ptraceSudConfig = struct(
  'struct { long long mode; long long selector; long long offset; long long len; }',
  '<stddef.h>',
  {
    mode: 'u64',
    selector: 'u64',
    offset: 'u64',
    len: 'u64',
  },
);
/** Argument of PTRACE_SECCOMP_GET_METADATA. */
export const seccompMetadata = struct('struct seccomp_metadata', '<sys/types.h> <linux/ptrace.h>', {
  filter_off: 'u64',
  flags: 'u64',
});
/** A classic BPF program as seccomp(2) takes it; `filter` is a pointer. */
export const sockFprog = struct('struct sock_fprog', '<linux/filter.h>', { len: 'u16', filter: 'u64' });
/** What the addon says of a descriptor, before two texts: native/include/descriptor.h. */
export const descriptorRecord = struct('struct descriptor_record', '"descriptor.h"', {
  dev: 'u64',
  ino: 'u64',
  rdev: 'u64',
  size: 'u64',
  nlink: 'u64',
  change_ns: 'u64',
  fs_type: 'u64',
  pos: 'u64',
  flags: 'u32',
  mnt_id: 'u32',
  mode: 'u32',
  uid: 'u32',
  gid: 'u32',
  local: 'i32',
  owner_type: 'i32',
  owner_pid: 'i32',
  owner_signal: 'i32',
  owner_uid: 'u32',
  owner_euid: 'u32',
  link_size: 'u32',
  fdinfo_size: 'u32',
  record_size: 'u32',
});
