#include "addon.h"

#include <sys/mman.h>
#include <sys/syscall.h>

// addressOf(buffer): address of its first byte, as a bigint, for structures that hold pointers. Valid while the
// buffer lives: V8 does not move backing stores once native code has seen them.
napi_value AddressOf(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  uint64_t word = 0;
  napi_value value;
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  if (argc != 1 || !ToWord(env, argv[0], &word)) {
    napi_throw_type_error(env, "ERR_CRTS_ARGUMENT", "addressOf takes a buffer");
    return nullptr;
  }
  napi_create_bigint_uint64(env, word, &value);
  return value;
}

static void Release(napi_env, void* data, void* hint) {
  RawSyscall(SYS_munmap, reinterpret_cast<uint64_t>(data), reinterpret_cast<uint64_t>(hint), 0, 0, 0, 0);
}

// V8 counts a mapping as memory that a collection could win back, and would collect all the time: the arenas of a tree are a mebibyte a
// process. They are let go by hand, so that they are not to count.
static void Count(napi_env env, int64_t size) {
  int64_t total;
  napi_adjust_external_memory(env, size, &total);
}

// mapShared(fd, size): the file's first `size` bytes, shared and writable, as an ArrayBuffer that unmaps itself when
// it is collected; or -errno.
napi_value MapShared(napi_env env, napi_callback_info info) {
  size_t argc = 2;
  napi_value argv[2];
  uint64_t fd = 0, size = 0;
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  ToWord(env, argv[0], &fd);
  ToWord(env, argv[1], &size);
  int64_t address = RawSyscall(SYS_mmap, 0, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (address < 0 && address > -4096) return FromResult(env, address);
  napi_value buffer;
  void* data = reinterpret_cast<void*>(address);
  if (napi_create_external_arraybuffer(env, data, size, Release, reinterpret_cast<void*>(size), &buffer) != napi_ok) {
    Release(env, data, reinterpret_cast<void*>(size));
    return FromResult(env, -12 /* ENOMEM */);
  }
  Count(env, -static_cast<int64_t>(size));
  return buffer;
}

// unmap(buffer): detaches the buffer, so that nobody can touch the mapping, and lets its finalizer unmap it.
napi_value Unmap(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  void* data = nullptr;
  size_t size = 0;
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  napi_get_arraybuffer_info(env, argv[0], &data, &size);
  napi_detach_arraybuffer(env, argv[0]);
  // V8 has taken it off.
  Count(env, static_cast<int64_t>(size));
  return nullptr;
}
