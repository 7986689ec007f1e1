#include "addon.h"

#include <sys/ptrace.h>
#include <sys/syscall.h>

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

static napi_value Refuse(napi_env env) {
  napi_throw_type_error(env, "ERR_CRTS_ARGUMENT", "an argument must be a safe integer, a 64-bit bigint, a buffer or null");
  return nullptr;
}

// syscall(nr, a0, ..., a5): the kernel's result; EINTR is given back like any other errno.
napi_value Syscall(napi_env env, napi_callback_info info) {
  size_t argc = 7;
  napi_value argv[7];
  uint64_t word[7] = {0};
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  for (size_t i = 0; i < argc && i < 7; i++) {
    if (!ToWord(env, argv[i], &word[i])) return Refuse(env);
  }
  return FromResult(env, RawSyscall(static_cast<int64_t>(word[0]), word[1], word[2], word[3], word[4], word[5], word[6]));
}

// ptraceStep(request, pid, signal): resumes with `request` and waits for the next stop: the wait status, or -errno.
napi_value PtraceStep(napi_env env, napi_callback_info info) {
  size_t argc = 3;
  napi_value argv[3];
  uint64_t word[3] = {0};
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  for (size_t i = 0; i < argc && i < 3; i++) {
    if (!ToWord(env, argv[i], &word[i])) return Refuse(env);
  }
  int64_t result = RawSyscall(SYS_ptrace, word[0], word[1], 0, word[2], 0, 0);
  int status = 0;
  if (result >= 0) {
    do {
      result = RawSyscall(SYS_wait4, word[1], reinterpret_cast<uint64_t>(&status), 0x40000000 /* __WALL */, 0, 0, 0);
    } while (result == -4 /* EINTR */);
  }
  return FromResult(env, result < 0 ? result : status);
}
