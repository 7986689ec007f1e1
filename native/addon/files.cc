// Files of /proc: what a dump asks of every descriptor in one call, and small files read whole. Node's own calls take
// some 50 us each while they are interpreted, and a descriptor takes eight of them.
#include "addon.h"
#include "descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include <cstdio>
#include <cstring>

namespace {

constexpr int64_t kEintr = -4;
constexpr int64_t kEmfile = -24;
// Descriptors that are held open at once.
constexpr uint32_t kBatch = 64;

int64_t OpenForReading(int64_t at, const char* path, int flags = 0) {
  return RawSyscall(SYS_openat, at, reinterpret_cast<uint64_t>(path), O_RDONLY | O_CLOEXEC | flags, 0, 0, 0);
}

int64_t ReadLinkAt(int64_t at, const char* path, char* to, uint64_t room) {
  return RawSyscall(SYS_readlinkat, at, reinterpret_cast<uint64_t>(path), reinterpret_cast<uint64_t>(to), room, 0, 0);
}

void Close(int64_t fd) { RawSyscall(SYS_close, fd, 0, 0, 0, 0, 0); }

// The digits of a descriptor, which is not negative, in `room` of 16 bytes.
const char* Decimal(int32_t number, char* room) {
  char* at = room + 15;
  *at = 0;
  do *--at = '0' + number % 10;
  while ((number /= 10) > 0);
  return at;
}

// Directories of /proc/PID: names are looked up from there, which is a third of the way.
struct Places {
  int64_t fd;
  int64_t fdinfo;

  explicit Places(int64_t pid) : fd(Open(pid, "fd")), fdinfo(Open(pid, "fdinfo")) {}
  ~Places() {
    if (fd >= 0) Close(fd);
    if (fdinfo >= 0) Close(fdinfo);
  }
  Places(const Places&) = delete;
  Places& operator=(const Places&) = delete;

 private:
  static int64_t Open(int64_t pid, const char* name) {
    char path[64];
    snprintf(path, sizeof(path), "/proc/%lld/%s", static_cast<long long>(pid), name);
    return OpenForReading(AT_FDCWD, path, O_DIRECTORY);
  }
};

// Reads until the end or until `room` is full: the number of bytes, or -errno.
int64_t ReadAll(int64_t fd, char* to, uint64_t room, uint64_t most = UINT64_MAX) {
  uint64_t done = 0;
  while (done < room) {
    const uint64_t size = room - done < most ? room - done : most;
    int64_t n = RawSyscall(SYS_read, fd, reinterpret_cast<uint64_t>(to + done), size, 0, 0, 0);
    if (n == kEintr) continue;
    if (n < 0) return n;
    if (n == 0) break;
    done += n;
  }
  return done;
}

struct Failure {
  int32_t step;
  int32_t fd;
};

// Who gets SIGIO (man 2 fcntl). O_PATH descriptors answer EBADF: they have no owner.
void AskOwner(int64_t local, descriptor_record* record) {
  struct f_owner_ex owner = {};
  if (RawSyscall(SYS_fcntl, local, F_GETOWN_EX, reinterpret_cast<uint64_t>(&owner), 0, 0, 0) < 0) return;
  int64_t signal = RawSyscall(SYS_fcntl, local, F_GETSIG, 0, 0, 0, 0);
  record->owner_type = owner.type;
  record->owner_pid = owner.pid;
  record->owner_signal = signal < 0 ? 0 : signal;
  // An owner that died counts as none.
  uint32_t uids[2] = {0, 0};
  if (owner.pid != 0) RawSyscall(SYS_fcntl, local, 17 /* F_GETOWNER_UIDS */, reinterpret_cast<uint64_t>(uids), 0, 0, 0);
  record->owner_uid = uids[0];
  record->owner_euid = uids[1];
}

// The number behind `name`, which is where `*text` is; `*text` is then behind its line. False: something else is there.
bool TakeLine(const char** text, const char* end, const char* name, int base, uint64_t* value) {
  size_t length = strlen(name);
  const char* at = *text;
  if (static_cast<size_t>(end - at) < length || memcmp(at, name, length) != 0) return false;
  uint64_t found = 0;
  for (at += length; at < end && *at != '\n'; at++)
    if (*at >= '0' && *at < '0' + base) found = found * base + (*at - '0');
  *value = found;
  *text = at < end ? at + 1 : end;
  return true;
}

// pos, flags and mnt_id: seq_show(), fs/proc/fd.c. What is not there stays 0.
void ReadHead(const char* text, uint64_t size, descriptor_record* record) {
  const char* end = text + size;
  uint64_t pos = 0, flags = 0, mnt_id = 0;
  if (TakeLine(&text, end, "pos:", 10, &pos) && TakeLine(&text, end, "flags:", 8, &flags))
    TakeLine(&text, end, "mnt_id:", 10, &mnt_id);
  record->pos = pos;
  record->flags = flags;
  record->mnt_id = mnt_id;
}

// What fstat and fstatfs say of a file. Returns 0, or -errno with `step` set. A file that is open and that fstat does not find
// (proc_fd_getattr(), fs/proc/fd.c) has nothing but the type of its file system.
int64_t AskFile(int64_t local, descriptor_record* record, int32_t* step) {
  struct stat status;
  *step = DESCRIBE_STAT;
  int64_t result = RawSyscall(SYS_fstat, local, reinterpret_cast<uint64_t>(&status), 0, 0, 0, 0);
  if (result == -ENOENT) memset(&status, 0, sizeof(status));
  if (result < 0 && result != -ENOENT) return result;
  record->dev = status.st_dev;
  record->ino = status.st_ino;
  record->rdev = status.st_rdev;
  record->size = status.st_size;
  record->nlink = status.st_nlink;
  record->change_ns = status.st_ctim.tv_sec * 1000000000ull + status.st_ctim.tv_nsec;
  record->mode = status.st_mode;
  record->uid = status.st_uid;
  record->gid = status.st_gid;
  struct statfs filesystem;
  *step = DESCRIBE_STATFS;
  result = RawSyscall(SYS_fstatfs, local, reinterpret_cast<uint64_t>(&filesystem), 0, 0, 0, 0);
  if (result < 0) return result;
  record->fs_type = filesystem.f_type;
  return 0;
}

// Size of the record, 0 where it does not fit, or -errno with `failure` filled. `record->local` is open unless it failed.
int64_t DescribeOne(const Places& places, int64_t pidfd, int32_t fd, char* out, uint64_t room, Failure* failure) {
  if (room < sizeof(descriptor_record) + PATH_MAX) return 0;
  auto* record = reinterpret_cast<descriptor_record*>(out);
  memset(record, 0, sizeof(*record));
  int64_t result = pidfd < 0 ? fd : RawSyscall(SYS_pidfd_getfd, pidfd, fd, 0, 0, 0, 0);
  *failure = {DESCRIBE_GETFD, fd};
  if (result < 0) return result;
  int64_t local = record->local = result;
  auto fail = [&](int32_t step, int64_t error) {
    failure->step = step;
    if (pidfd >= 0) Close(local);
    return error;
  };

  int32_t step = 0;
  result = AskFile(local, record, &step);
  if (result < 0) return fail(step, result);
  AskOwner(local, record);

  char path[16];
  char* text = out + sizeof(*record);
  if (places.fd < 0) return fail(DESCRIBE_LINK, places.fd);
  result = ReadLinkAt(places.fd, Decimal(fd, path), text, PATH_MAX);
  if (result < 0) return fail(DESCRIBE_LINK, result);
  record->link_size = result;
  text += result;

  if (places.fdinfo < 0) return fail(DESCRIBE_FDINFO, places.fdinfo);
  int64_t file = OpenForReading(places.fdinfo, Decimal(fd, path));
  if (file < 0) return fail(DESCRIBE_FDINFO, file);
  uint64_t rest = room - (text - out);
  result = ReadAll(file, text, rest);
  Close(file);
  if (result < 0) return fail(DESCRIBE_FDINFO, result);
  record->fdinfo_size = result;
  ReadHead(text, result, record);
  uint64_t size = (text - out + result + 7) & ~7ull;
  // What fills all that is left may go on.
  if (static_cast<uint64_t>(result) == rest || size > room) {
    if (pidfd >= 0) Close(local);
    return 0;
  }
  record->record_size = size;
  return size;
}

}  // namespace

// describe(pid, pidfd, fds, first, out): writes records (descriptor.h) of fds[first...] into `out`, at most kBatch: their number, 0
// where `out` is too small for the first, or -errno with `out` saying where. With pidfd -1 the descriptors are the caller's own.
napi_value Describe(napi_env env, napi_callback_info info) {
  size_t argc = 5;
  napi_value argv[5];
  uint64_t pid = 0, pidfd = 0, fds = 0, first = 0, out = 0;
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  size_t count = 0, room = 0;
  bool ok = argc == 5 && ToWord(env, argv[0], &pid) && ToWord(env, argv[1], &pidfd) && ToWord(env, argv[2], &fds) &&
            ToWord(env, argv[3], &first) && ToWord(env, argv[4], &out) &&
            napi_get_typedarray_info(env, argv[2], nullptr, &count, nullptr, nullptr, nullptr) == napi_ok &&
            napi_get_typedarray_info(env, argv[4], nullptr, &room, nullptr, nullptr, nullptr) == napi_ok;
  if (!ok || out % 8 != 0 || first > count) {
    napi_throw_type_error(env, "ERR_CRTS_ARGUMENT", "describe takes two numbers, an Int32Array, an index and a Uint8Array");
    return nullptr;
  }
  auto* numbers = reinterpret_cast<const int32_t*>(fds);
  char* at = reinterpret_cast<char*>(out);
  char* end = at + room;
  uint32_t done = 0;
  Places places(pid);
  for (; done < kBatch && first + done < count; done++) {
    Failure failure;
    int64_t size = DescribeOne(places, pidfd, numbers[first + done], at, end - at, &failure);
    // The engine's own limit ends a batch: what is described so far is closed before the next one.
    if (size == 0 || (size == kEmfile && done > 0)) break;
    if (size < 0) {
      // The caller never sees the records before this one.
      char* record = reinterpret_cast<char*>(out);
      for (uint32_t i = 0; i < done && static_cast<int64_t>(pidfd) >= 0; i++) {
        auto* good = reinterpret_cast<descriptor_record*>(record);
        record += good->record_size;
        Close(good->local);
      }
      if (room >= sizeof(failure)) memcpy(reinterpret_cast<char*>(out), &failure, sizeof(failure));
      return FromResult(env, size);
    }
    at += size;
  }
  return FromResult(env, done);
}

// describePath(path, out): opens the file behind a name, a link of /proc for instance, by path only, and writes a record of it, and the text that
// /proc/self/fd shows, into `out`: 0, or -errno with `out` saying where. `local` is open then. Nothing that is only a description's is asked.
napi_value DescribePath(napi_env env, napi_callback_info info) {
  size_t argc = 2;
  napi_value argv[2];
  uint64_t path = 0, out = 0;
  size_t room = 0;
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  if (argc != 2 || !ToWord(env, argv[0], &path) || !ToWord(env, argv[1], &out) || out % 8 != 0 ||
      napi_get_typedarray_info(env, argv[1], nullptr, &room, nullptr, nullptr, nullptr) != napi_ok ||
      room < sizeof(descriptor_record) + PATH_MAX) {
    napi_throw_type_error(env, "ERR_CRTS_ARGUMENT", "describePath takes a name and a Uint8Array");
    return nullptr;
  }
  auto* record = reinterpret_cast<descriptor_record*>(out);
  memset(record, 0, sizeof(*record));
  int64_t local = OpenForReading(AT_FDCWD, reinterpret_cast<const char*>(path), O_PATH);
  auto fail = [&](int32_t step, int64_t error) {
    if (local >= 0) Close(local);
    Failure failure = {step, -1};
    memcpy(record, &failure, sizeof(failure));
    return FromResult(env, error);
  };
  if (local < 0) return fail(DESCRIBE_OPEN, local);
  record->local = local;
  int32_t step = 0;
  int64_t result = AskFile(local, record, &step);
  if (result < 0) return fail(step, result);
  // The number of a mount as fdinfo has it: man 2 statx.
  struct statx mount;
  result = RawSyscall(SYS_statx, local, reinterpret_cast<uint64_t>(""), AT_EMPTY_PATH, STATX_MNT_ID,
                      reinterpret_cast<uint64_t>(&mount), 0);
  if (result < 0) return fail(DESCRIBE_STAT, result);
  record->mnt_id = mount.stx_mnt_id;
  char link[32];
  snprintf(link, sizeof(link), "/proc/self/fd/%d", record->local);
  result = ReadLinkAt(AT_FDCWD, link, reinterpret_cast<char*>(record + 1), PATH_MAX);
  if (result < 0) return fail(DESCRIBE_LINK, result);
  record->link_size = result;
  record->record_size = (sizeof(*record) + result + 7) & ~7ull;
  return FromResult(env, 0);
}

// identify(path, follow, into): device and inode of what a name leads to into a BigUint64Array: 0 or -errno.
napi_value Identify(napi_env env, napi_callback_info info) {
  size_t argc = 3;
  napi_value argv[3];
  uint64_t path = 0, follow = 0;
  size_t count = 0;
  void* into = nullptr;
  napi_typedarray_type type;
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  if (argc != 3 || !ToWord(env, argv[0], &path) || !ToWord(env, argv[1], &follow) ||
      napi_get_typedarray_info(env, argv[2], &type, &count, &into, nullptr, nullptr) != napi_ok || type != napi_biguint64_array ||
      count < 2) {
    napi_throw_type_error(env, "ERR_CRTS_ARGUMENT", "identify takes a name, 0 or 1, and a BigUint64Array");
    return nullptr;
  }
  struct stat status;
  int64_t result = RawSyscall(SYS_newfstatat, AT_FDCWD, path, reinterpret_cast<uint64_t>(&status),
                              follow != 0 ? 0 : AT_SYMLINK_NOFOLLOW, 0, 0);
  if (result < 0) return FromResult(env, result);
  static_cast<uint64_t*>(into)[0] = status.st_dev;
  static_cast<uint64_t*>(into)[1] = status.st_ino;
  return FromResult(env, 0);
}

namespace {

// Of /proc/PID/smaps what a dump needs, in place: the line of each mapping (they begin with a digit, in small letters), its key and its
// flags. The rest is nine tenths, and text in V8 costs more than in here. Returns the new size.
uint64_t KeepMappings(char* text, uint64_t size) {
  char* to = text;
  const char* end = text + size;
  auto is = [](const char* line, uint64_t length, const char* name) {
    return length >= strlen(name) && memcmp(line, name, strlen(name)) == 0;
  };
  for (const char* line = text; line < end;) {
    const auto* newline = static_cast<const char*>(memchr(line, '\n', end - line));
    uint64_t length = (newline == nullptr ? end : newline + 1) - line;
    if (*line < 'A' || *line > 'Z' || is(line, length, "VmFlags:") || is(line, length, "ProtectionKey:")) {
      memmove(to, line, length);
      to += length;
    }
    line += length;
  }
  return to - text;
}

napi_value ReadInto(napi_env env, napi_callback_info info, uint64_t (*finish)(char* text, uint64_t size)) {
  size_t argc = 2;
  napi_value argv[2];
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  char path[PATH_MAX];
  size_t length = 0, room = 0;
  void* data = nullptr;
  if (argc != 2 || napi_get_value_string_utf8(env, argv[0], path, sizeof(path), &length) != napi_ok ||
      napi_get_typedarray_info(env, argv[1], nullptr, &room, &data, nullptr, nullptr) != napi_ok) {
    napi_throw_type_error(env, "ERR_CRTS_ARGUMENT", "readFile and readMappings take a path and a Uint8Array");
    return nullptr;
  }
  if (length + 1 >= sizeof(path)) return FromResult(env, -36 /* ENAMETOOLONG */);
  int64_t fd = OpenForReading(AT_FDCWD, path);
  if (fd < 0) return FromResult(env, fd);
  // seq_read_iter(), fs/seq_file.c, makes records in a buffer of a page until it has what was asked for; one that does not fit is thrown
  // away and made again by the next read, and of smaps that is a walk through the page tables of a mapping: 3.5 instead of 7 ms where it
  // meets 1 GiB (Linux 6.18). Asked for so little, records of 2 kB fit.
  int64_t result = ReadAll(fd, static_cast<char*>(data), room, finish != nullptr ? 2048 : UINT64_MAX);
  Close(fd);
  if (finish != nullptr && result > 0 && result < static_cast<int64_t>(room)) result = finish(static_cast<char*>(data), result);
  return FromResult(env, result);
}

}  // namespace

// readFile(path, into): reads a whole file into `into`: the number of bytes, `into.length` where there may be more, or -errno.
napi_value ReadFile(napi_env env, napi_callback_info info) { return ReadInto(env, info, nullptr); }

// readMappings(path, into): the same of /proc/PID/smaps, without what says how much of a mapping is in memory.
napi_value ReadMappings(napi_env env, napi_callback_info info) { return ReadInto(env, info, KeepMappings); }

// readFiles(paths, first, into, ends): reads files whole into `into`, one behind the other. `paths`: their names, each with a NUL behind it;
// ends[i] (Int32Array): where file i ends, or -errno. Returns how many of the files from `first` on were done before there was no room.
napi_value ReadFiles(napi_env env, napi_callback_info info) {
  size_t argc = 4;
  napi_value argv[4];
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  uint64_t paths = 0, first = 0;
  size_t length = 0, room = 0, count = 0;
  void* into = nullptr;
  void* ends = nullptr;
  napi_typedarray_type type;
  if (argc != 4 || !ToWord(env, argv[0], &paths) || !ToWord(env, argv[1], &first) ||
      napi_get_typedarray_info(env, argv[0], nullptr, &length, nullptr, nullptr, nullptr) != napi_ok ||
      napi_get_typedarray_info(env, argv[2], nullptr, &room, &into, nullptr, nullptr) != napi_ok ||
      napi_get_typedarray_info(env, argv[3], &type, &count, &ends, nullptr, nullptr) != napi_ok || type != napi_int32_array ||
      room > INT32_MAX || length == 0 || reinterpret_cast<const char*>(paths)[length - 1] != 0) {
    napi_throw_type_error(env, "ERR_CRTS_ARGUMENT", "readFiles takes names, an index, a Uint8Array and an Int32Array");
    return nullptr;
  }
  const char* path = reinterpret_cast<const char*>(paths);
  const char* end = path + length;
  for (uint64_t i = 0; i < first && path < end; i++) path += strlen(path) + 1;
  uint64_t at = 0, done = 0;
  for (; path < end && first + done < count; path += strlen(path) + 1, done++) {
    int64_t result = OpenForReading(AT_FDCWD, path);
    if (result >= 0) {
      int64_t fd = result;
      result = ReadAll(fd, static_cast<char*>(into) + at, room - at);
      Close(fd);
      // What fills all that is left may go on.
      if (result >= 0 && at + result == room) break;
      if (result >= 0) result = at += result;
    }
    static_cast<int32_t*>(ends)[first + done] = static_cast<int32_t>(result);
  }
  return FromResult(env, done);
}
