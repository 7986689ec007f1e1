// clone3 + exec of a static program. The child shares the address space until exec (CLONE_VM | CLONE_VFORK) and runs
// only raw system calls on a stack of its own: other threads of Node may hold any lock of libc.
#include "addon.h"

#include <linux/sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>

namespace {

struct Order {
  const char* path;
  const char* const* argv;
  uint64_t doorbell;  // descriptor of the engine that the child keeps,
  uint64_t number;    // under this number; all others are closed
  // Written by the child: the call that failed, and its errno.
  int64_t failed_call;
  int64_t failed_errno;
};

// struct sigaction as rt_sigaction(2) takes it: include/linux/signal_types.h.
struct KernelSigaction {
  uint64_t handler;
  uint64_t flags;
  uint64_t restorer;
  uint64_t mask;
};

constexpr uint64_t kStackSize = 64 * 1024;

extern "C" __attribute__((noreturn, used)) void CrtsSpawnChild(Order* order) {
  static const char* const kNoEnvironment[] = {nullptr};
  int64_t result;
  // CLONE_CLEAR_SIGHAND leaves ignored signals ignored (man 2 clone), and so does execve: Node ignores SIGPIPE. The
  // table is the child's own, since CLONE_SIGHAND is not set. SIGKILL and SIGSTOP give EINVAL, which is no failure.
  static const KernelSigaction kDefault = {};
  for (uint64_t signal = 1; signal <= 64; signal++) {
    RawSyscall(SYS_rt_sigaction, signal, reinterpret_cast<uint64_t>(&kDefault), 0, 8, 0, 0);
  }
  order->failed_call = SYS_dup3;
  if (order->doorbell == order->number) {
    result = RawSyscall(SYS_fcntl, order->doorbell, 2 /* F_SETFD */, 0, 0, 0, 0);
  } else {
    result = RawSyscall(SYS_dup3, order->doorbell, order->number, 0, 0, 0, 0);
  }
  if (result >= 0) {
    order->failed_call = SYS_close_range;
    if (order->number > 0) result = RawSyscall(SYS_close_range, 0, order->number - 1, 0, 0, 0, 0);
    if (result >= 0) result = RawSyscall(SYS_close_range, order->number + 1, ~0u, 0, 0, 0, 0);
  }
  if (result >= 0) {
    order->failed_call = SYS_execve;
    result = RawSyscall(SYS_execve, reinterpret_cast<uint64_t>(order->path), reinterpret_cast<uint64_t>(order->argv),
                        reinterpret_cast<uint64_t>(kNoEnvironment), 0, 0, 0);
  }
  order->failed_errno = result;
  for (;;) RawSyscall(SYS_exit_group, 127, 0, 0, 0, 0, 0);
}

// The child must not return into the parent's frame: it calls CrtsSpawnChild on its own stack at once.
int64_t Clone3(clone_args* args, Order* order) {
  int64_t result;
  register Order* kept __asm__("r12") = order;
  __asm__ volatile(
      "syscall\n\t"
      "test %%rax, %%rax\n\t"
      "jnz 1f\n\t"
      "mov %%r12, %%rdi\n\t"
      "xor %%ebp, %%ebp\n\t"
      "call CrtsSpawnChild\n\t"
      "1:"
      : "=a"(result)
      : "a"(SYS_clone3), "D"(args), "S"(sizeof(*args)), "r"(kept)
      : "rcx", "r11", "memory");
  return result;
}

}  // namespace

// spawn(path, argv, doorbell, number, pid, flags, failure): the child's pid or -errno of clone3 or of the child's
// call, whose number is then in failure[0] (BigInt64Array). `path` is NUL-terminated; `argv` a BigUint64Array of
// pointers with a zero at the end; `pid` 0 lets the kernel choose. All signals are blocked and
// at their default action in the child.
napi_value Spawn(napi_env env, napi_callback_info info) {
  size_t argc = 7;
  napi_value argv[7];
  uint64_t word[7] = {0};
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  for (size_t i = 0; i < argc && i < 7; i++) {
    if (!ToWord(env, argv[i], &word[i])) {
      napi_throw_type_error(env, "ERR_CRTS_ARGUMENT", "spawn: bad argument");
      return nullptr;
    }
  }
  Order order = {reinterpret_cast<const char*>(word[0]), reinterpret_cast<const char* const*>(word[1]), word[2], word[3], 0, 0};
  int32_t set_tid = static_cast<int32_t>(word[4]);
  int64_t stack = RawSyscall(SYS_mmap, 0, kStackSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, ~0ul, 0);
  if (stack < 0 && stack > -4096) return FromResult(env, stack);
  clone_args args = {};
  args.flags = CLONE_VM | CLONE_VFORK | CLONE_CLEAR_SIGHAND | word[5];
  // With CLONE_PARENT the exit signal is the caller's own: man 2 clone. It must be 0 in the call then.
  args.exit_signal = (word[5] & CLONE_PARENT) ? 0 : 17 /* SIGCHLD */;
  args.stack = static_cast<uint64_t>(stack);
  args.stack_size = kStackSize;
  if (set_tid > 0) {
    args.set_tid = reinterpret_cast<uint64_t>(&set_tid);
    args.set_tid_size = 1;
  }
  uint64_t all = ~0ul, old = 0;
  RawSyscall(SYS_rt_sigprocmask, 0 /* SIG_BLOCK */, reinterpret_cast<uint64_t>(&all), reinterpret_cast<uint64_t>(&old), 8, 0, 0);
  int64_t pid = Clone3(&args, &order);
  RawSyscall(SYS_rt_sigprocmask, 2 /* SIG_SETMASK */, reinterpret_cast<uint64_t>(&old), 0, 8, 0, 0);
  RawSyscall(SYS_munmap, static_cast<uint64_t>(stack), kStackSize, 0, 0, 0, 0);
  int64_t* failure = reinterpret_cast<int64_t*>(word[6]);
  if (pid < 0) {
    if (failure) failure[0] = SYS_clone3;
    return FromResult(env, pid);
  }
  if (order.failed_errno < 0) {
    if (failure) failure[0] = order.failed_call;
    int status;
    int64_t reaped;
    do {
      // With CLONE_PARENT it is our sibling, not our child: ECHILD, and our parent reaps it.
      reaped = RawSyscall(SYS_wait4, static_cast<uint64_t>(pid), reinterpret_cast<uint64_t>(&status), 0x40000000 /* __WALL */, 0, 0, 0);
    } while (reaped == -4 /* EINTR */);
    return FromResult(env, order.failed_errno);
  }
  return FromResult(env, pid);
}
