// Many descriptors in one call: a dump asks a few things of each, and they may be a hundred thousand.
#include "addon.h"

#include <fcntl.h>
#include <linux/kcmp.h>
#include <linux/limits.h>
#include <sys/syscall.h>

#include <cstdio>
#include <cstring>

namespace {

constexpr int64_t kEintr = -4;
// Of a row of searchFile(): process, descriptor, and what the caller keeps there.
constexpr uint64_t kRowWords = 4;

struct linux_dirent64 {
  uint64_t ino;
  int64_t off;
  uint16_t size;
  uint8_t type;
  char name[];
};

// Arguments of a function that takes `count` of them.
bool Arguments(napi_env env, napi_callback_info info, napi_value* values, size_t count) {
  size_t given = count;
  return napi_get_cb_info(env, info, &given, values, nullptr, nullptr) == napi_ok && given == count;
}

bool ToArray(napi_env env, napi_value value, void** data, size_t* length) {
  return napi_get_typedarray_info(env, value, nullptr, length, data, nullptr, nullptr) == napi_ok;
}

napi_value Refuse(napi_env env, const char* text) {
  napi_throw_type_error(env, "ERR_CRTS_ARGUMENT", text);
  return nullptr;
}

// Whether the link `name` in the directory has `part` in it. One that is gone has not.
bool LinkHas(int64_t directory, const char* name, const void* part, size_t length) {
  char text[PATH_MAX];
  int64_t size = RawSyscall(SYS_readlinkat, directory, reinterpret_cast<uint64_t>(name), reinterpret_cast<uint64_t>(text),
                            sizeof(text), 0, 0);
  return size > 0 && memmem(text, size, part, length) != nullptr;
}

}  // namespace

// listDescriptors(pid, linkPart, into): numbers in /proc/PID/fd, of those alone whose link has `linkPart` in it where that is not empty:
// how many there are, also where `into` has no room for all, or -errno.
napi_value ListDescriptors(napi_env env, napi_callback_info info) {
  napi_value argv[3];
  uint64_t pid = 0;
  void *part = nullptr, *into = nullptr;
  size_t length = 0, room = 0;
  if (!Arguments(env, info, argv, 3) || !ToWord(env, argv[0], &pid) || !ToArray(env, argv[1], &part, &length) ||
      !ToArray(env, argv[2], &into, &room))
    return Refuse(env, "listDescriptors takes a number, a Uint8Array and an Int32Array");
  char path[64];
  snprintf(path, sizeof(path), "/proc/%lld/fd", static_cast<long long>(pid));
  int64_t directory = RawSyscall(SYS_openat, AT_FDCWD, reinterpret_cast<uint64_t>(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, 0, 0);
  if (directory < 0) return FromResult(env, directory);
  alignas(8) char entries[32 * 1024];
  int64_t found = 0, size;
  while ((size = RawSyscall(SYS_getdents64, directory, reinterpret_cast<uint64_t>(entries), sizeof(entries), 0, 0, 0)) > 0) {
    for (int64_t at = 0; at < size;) {
      auto* entry = reinterpret_cast<linux_dirent64*>(entries + at);
      at += entry->size;
      if (entry->name[0] < '0' || entry->name[0] > '9') continue;
      if (length > 0 && !LinkHas(directory, entry->name, part, length)) continue;
      int32_t number = 0;
      for (const char* digit = entry->name; *digit != 0; digit++) number = number * 10 + (*digit - '0');
      if (static_cast<uint64_t>(found) < room) static_cast<int32_t*>(into)[found] = number;
      found++;
    }
  }
  RawSyscall(SYS_close, directory, 0, 0, 0, 0, 0);
  return FromResult(env, size < 0 ? size : found);
}

// searchFile(rows, count, pid, fd): the place of a description among `count` rows of {pid, fd, ...} that are in the order of kcmp(2):
// twice its index, and 1 more where the row is of this very description; or -errno.
napi_value SearchFile(napi_env env, napi_callback_info info) {
  napi_value argv[4];
  uint64_t count = 0, pid = 0, fd = 0;
  void* rows = nullptr;
  size_t words = 0;
  if (!Arguments(env, info, argv, 4) || !ToArray(env, argv[0], &rows, &words) || !ToWord(env, argv[1], &count) ||
      !ToWord(env, argv[2], &pid) || !ToWord(env, argv[3], &fd) || count > words / kRowWords)
    return Refuse(env, "searchFile takes an Int32Array and three numbers");
  auto* table = static_cast<const int32_t*>(rows);
  uint64_t low = 0, high = count;
  while (low < high) {
    uint64_t middle = (low + high) / 2;
    const int32_t* row = table + middle * kRowWords;
    int64_t order = RawSyscall(SYS_kcmp, row[0], pid, KCMP_FILE, row[1], fd, 0);
    if (order == kEintr) continue;
    if (order < 0) return FromResult(env, order);
    if (order == 0) return FromResult(env, 2 * middle + 1);
    if (order == 1)
      low = middle + 1;
    else
      high = middle;
  }
  return FromResult(env, 2 * low);
}

// closeAll(fds, count): closes them all, and returns 0 or the first -errno.
napi_value CloseAll(napi_env env, napi_callback_info info) {
  napi_value argv[2];
  uint64_t count = 0;
  void* fds = nullptr;
  size_t words = 0;
  if (!Arguments(env, info, argv, 2) || !ToArray(env, argv[0], &fds, &words) || !ToWord(env, argv[1], &count) || count > words)
    return Refuse(env, "closeAll takes an Int32Array and a number");
  int64_t failure = 0;
  for (uint64_t i = 0; i < count; i++) {
    int64_t result = RawSyscall(SYS_close, static_cast<int32_t*>(fds)[i], 0, 0, 0, 0, 0);
    if (result < 0 && failure == 0) failure = result;
  }
  return FromResult(env, failure);
}
