#include "addon.h"

#include <elf.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>

static constexpr double kMaxSafe = 9007199254740991.0;

bool ToWord(napi_env env, napi_value value, uint64_t* word) {
  napi_valuetype type;
  *word = 0;
  if (napi_typeof(env, value, &type) != napi_ok) return false;
  switch (type) {
    case napi_undefined:
    case napi_null:
      return true;
    case napi_number: {
      double number;
      napi_get_value_double(env, value, &number);
      if (!(number >= -kMaxSafe && number <= kMaxSafe) || number != static_cast<double>(static_cast<int64_t>(number))) return false;
      *word = static_cast<uint64_t>(static_cast<int64_t>(number));
      return true;
    }
    case napi_bigint: {
      // Two's complement of the low 64 bits: a negative bigint is what C's cast would make of it.
      int sign;
      size_t words = 1;
      uint64_t magnitude = 0;
      napi_get_value_bigint_words(env, value, &sign, &words, &magnitude);
      if (words > 1) return false;
      *word = sign ? 0 - magnitude : magnitude;
      return true;
    }
    default: {
      void* data = nullptr;
      size_t length = 0;
      bool is = false;
      if (napi_is_buffer(env, value, &is) == napi_ok && is) {
        napi_get_buffer_info(env, value, &data, &length);
      } else if (napi_is_typedarray(env, value, &is) == napi_ok && is) {
        napi_get_typedarray_info(env, value, nullptr, &length, &data, nullptr, nullptr);
      } else if (napi_is_arraybuffer(env, value, &is) == napi_ok && is) {
        napi_get_arraybuffer_info(env, value, &data, &length);
      } else {
        return false;
      }
      *word = reinterpret_cast<uint64_t>(data);
      return true;
    }
  }
}

napi_value FromResult(napi_env env, int64_t result) {
  napi_value value;
  if (result >= -static_cast<int64_t>(kMaxSafe) && result <= static_cast<int64_t>(kMaxSafe)) {
    napi_create_int64(env, result, &value);
  } else {
    napi_create_bigint_int64(env, result, &value);
  }
  return value;
}

bool ToWords(napi_env env, napi_callback_info info, uint64_t* words, size_t count) {
  constexpr size_t kMost = 10;
  size_t given = kMost;
  napi_value arguments[kMost];
  napi_get_cb_info(env, info, &given, arguments, nullptr, nullptr);
  for (size_t i = 0; i < count; i++) {
    words[i] = 0;
    if (i >= given || ToWord(env, arguments[i], &words[i])) continue;
    napi_throw_type_error(env, "ERR_CRTS_ARGUMENT", "an argument must be a safe integer, a 64-bit bigint, a buffer or null");
    return false;
  }
  return true;
}

// syscall(nr, a0, ..., a5): the kernel's result; EINTR is given back like any other errno.
napi_value Syscall(napi_env env, napi_callback_info info) {
  uint64_t word[7];
  if (!ToWords(env, info, word, 7)) return nullptr;
  return FromResult(env, RawSyscall(static_cast<int64_t>(word[0]), word[1], word[2], word[3], word[4], word[5], word[6]));
}

void MakeCalls(int64_t* row, uint64_t count) {
  for (uint64_t i = 0; i < count; i++, row += 8)
    row[7] = RawSyscall(row[0], row[1], row[2], row[3], row[4], row[5], row[6]);
}

// syscalls(table, count): makes `count` calls, one after the other whatever they answer. A row of the table (BigInt64Array) is the
// number of the call, its six arguments, and the kernel's result.
napi_value Syscalls(napi_env env, napi_callback_info info) {
  size_t argc = 2, length = 0;
  napi_value argv[2];
  uint64_t count = 0;
  void* data = nullptr;
  napi_typedarray_type type;
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  if (argc != 2 || !ToWord(env, argv[1], &count) ||
      napi_get_typedarray_info(env, argv[0], &type, &length, &data, nullptr, nullptr) != napi_ok ||
      type != napi_bigint64_array || count > length / 8) {
    napi_throw_type_error(env, "ERR_CRTS_ARGUMENT", "syscalls takes a BigInt64Array of eight words a call, and their number");
    return nullptr;
  }
  MakeCalls(static_cast<int64_t*>(data), count);
  return nullptr;
}

// Resumes with `request` and waits for the next stop: the wait status, or -errno.
static int64_t Step(uint64_t request, uint64_t pid, uint64_t signal) {
  int64_t result = RawSyscall(SYS_ptrace, request, pid, 0, signal, 0, 0);
  int status = 0;
  if (result < 0) return result;
  do {
    result = RawSyscall(SYS_wait4, pid, reinterpret_cast<uint64_t>(&status), __WALL, 0, 0, 0);
  } while (result == -EINTR);
  return result < 0 ? result : status;
}

// ptraceStep(request, pid, signal): one step, as above.
napi_value PtraceStep(napi_env env, napi_callback_info info) {
  uint64_t word[3];
  if (!ToWords(env, info, word, 3)) return nullptr;
  return FromResult(env, Step(word[0], word[1], word[2]));
}

// ptraceSyscallStops(pid, stops, call, regs): goes from entry to exit to entry of system calls, `stops` times, or until one is of `call`;
// `regs`, a user_regs_struct, has the registers there. The last wait status, which is no stop when the task has ended, or -errno;
// -EAGAIN: signals stop it again and again. Signals that arrive on the way are delivered: a SIGSTOP makes a group stop, and takes effect
// again when the thread is let go (man 2 ptrace).
napi_value PtraceSyscallStops(napi_env env, napi_callback_info info) {
  constexpr int kSyscallTrap = SIGTRAP | 0x80;
  constexpr int kOtherStopsMax = 64;
  uint64_t word[4];
  if (!ToWords(env, info, word, 4)) return nullptr;
  auto* regs = reinterpret_cast<user_regs_struct*>(word[3]);
  iovec area = {regs, sizeof *regs};
  int64_t status = 0;
  uint64_t held = 0;
  int others = 0;
  for (uint64_t done = 0; done < word[1];) {
    status = Step(PTRACE_SYSCALL, word[0], held);
    if (status < 0 || !WIFSTOPPED(status)) return FromResult(env, status);
    held = 0;
    if (WSTOPSIG(status) != kSyscallTrap) {
      if (++others > kOtherStopsMax) return FromResult(env, -EAGAIN);
      // Only a stop for the delivery of a signal holds one.
      if (status >> 16 == 0) held = WSTOPSIG(status);
      continue;
    }
    int64_t result = RawSyscall(SYS_ptrace, PTRACE_GETREGSET, word[0], NT_PRSTATUS, reinterpret_cast<uint64_t>(&area), 0, 0);
    if (result < 0) return FromResult(env, result);
    if (regs->orig_rax == word[2]) break;
    done++;
  }
  return FromResult(env, status);
}
