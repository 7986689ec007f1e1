// The engine's share of a transfer that an agent does too: AGENT_OP_PAGES_TOGETHER of protocol.h.
#include "addon.h"
#include "protocol.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <vector>

namespace {

// UIO_MAXIOV, include/uapi/linux/uio.h.
constexpr uint32_t kVectors = 1024;
// include/uapi/asm-generic/mman-common.h, Linux 5.14.
constexpr uint64_t kPopulateWrite = 23;

struct Share {
  uint64_t pid;
  uint64_t fd;
  uint64_t fileSize;
  bool store;
  const agent_run* runs;
  const uint32_t* bounds;
  uint32_t count;
  uint32_t* next;
};

// A part of the file, for the kernel to read from or, `store`, to write to; or -errno.
int64_t MapWindow(const Share& share, uint64_t offset, uint64_t length) {
  if (!share.store) return RawSyscall(SYS_mmap, 0, length, PROT_READ, MAP_SHARED | MAP_POPULATE, share.fd, offset);
  const int64_t window = RawSyscall(SYS_mmap, 0, length, PROT_READ | PROT_WRITE, MAP_SHARED, share.fd, offset);
  if (window < 0 && window > -4096) return window;
  // Page cache in pieces as large as can be had: do_sync_mmap_readahead(), mm/filemap.c. Without, one CPU alone is as fast.
  RawSyscall(SYS_madvise, window, length, MADV_HUGEPAGE, 0, 0, 0);
  // A full disk is told here, as EFAULT.
  const int64_t made = RawSyscall(SYS_madvise, window, length, kPopulateWrite, 0, 0, 0);
  if (made == 0) return window;
  RawSyscall(SYS_munmap, window, length, 0, 0, 0, 0);
  return made;
}

// Copies runs that lie one behind the other in the file between the task's memory and a mapping: one copy. A file that has
// become shorter meanwhile is no SIGBUS, because it is the kernel that uses the mapping: process_vm_rw_core(),
// mm/process_vm_access.c, returns what it has copied, or EFAULT. Behind the file's end nothing is written: the mapping does not make it longer.
bool CopyGroup(const Share& share, const agent_run* runs, uint32_t count, uint64_t length) {
  iovec remote[kVectors];
  const uint64_t offset = runs[0].offset;
  if (offset > share.fileSize || length > share.fileSize - offset) return false;
  for (uint32_t i = 0; i < count; i++) {
    remote[i].iov_base = reinterpret_cast<void*>(runs[i].addr);
    remote[i].iov_len = runs[i].length;
  }
  const int64_t window = MapWindow(share, offset, length);
  if (window < 0 && window > -4096) return false;
  iovec local = {reinterpret_cast<void*>(window), length};
  const int64_t copied = RawSyscall(share.store ? SYS_process_vm_readv : SYS_process_vm_writev, share.pid,
                                    reinterpret_cast<uint64_t>(&local), 1, reinterpret_cast<uint64_t>(remote), count, 0);
  RawSyscall(SYS_munmap, window, length, 0, 0, 0, 0);
  return copied == static_cast<int64_t>(length);
}

bool CopyPiece(const Share& share, uint32_t piece) {
  const uint32_t end = share.bounds[piece + 1];
  for (uint32_t first = share.bounds[piece]; first < end;) {
    const agent_run* runs = share.runs + first;
    uint64_t length = runs[0].length;
    uint32_t count = 1;
    for (; first + count < end && count < kVectors && runs[count].offset == runs[0].offset + length; count++)
      length += runs[count].length;
    if (!CopyGroup(share, runs, count, length)) return false;
    first += count;
  }
  return true;
}

// Takes at most `most` pieces. A piece that cannot be copied is told, and it is the last one.
uint32_t Help(const Share& share, uint32_t most, int32_t* failed) {
  uint32_t done = 0;
  for (; done < most; done++) {
    const uint32_t piece = __atomic_fetch_add(share.next, 1, __ATOMIC_RELAXED);
    if (piece >= share.count) break;
    if (CopyPiece(share, piece)) continue;
    *failed = static_cast<int32_t>(piece);
    break;
  }
  return done;
}

struct Worker {
  const Share* share;
  uint32_t most;
  int32_t* failed;
  uint32_t done;
  pthread_t thread;
};

void* Work(void* argument) {
  auto* worker = static_cast<Worker*>(argument);
  worker->done = Help(*worker->share, worker->most, worker->failed);
  return nullptr;
}

}  // namespace

// helpPages(pid, fd, runs, bounds, count, next, threads, most, failed, store): copies pieces of the table (struct agent_run[], 32-bit
// bounds) of file `fd` into the memory of `pid`, or from there into the file, until none is left, or each of `threads` threads, the caller's among them, has
// copied `most`. `failed` has a word for each thread: the piece that it took and could not copy; -1 is the caller's to put
// there. The number of pieces that were copied, or -errno of fstat. All other threads are gone when it returns. threads >= 1.
napi_value HelpPages(napi_env env, napi_callback_info info) {
  uint64_t word[10];
  if (!ToWords(env, info, word, 10)) return nullptr;
  struct stat status;
  if (fstat(static_cast<int>(word[1]), &status) < 0) return FromResult(env, -9 /* EBADF */);
  const Share share = {word[0],
                       word[1],
                       static_cast<uint64_t>(status.st_size),
                       word[9] != 0,
                       reinterpret_cast<const agent_run*>(word[2]),
                       reinterpret_cast<const uint32_t*>(word[3]),
                       static_cast<uint32_t>(word[4]),
                       reinterpret_cast<uint32_t*>(word[5])};
  const uint32_t most = static_cast<uint32_t>(word[7]);
  int32_t* failed = reinterpret_cast<int32_t*>(word[8]);
  std::vector<Worker> workers;
  for (size_t i = 0; i < word[6]; i++) workers.push_back({&share, most, failed + i, 0, {}});
  // Where no more threads can be had, those that are there do the work.
  size_t started = 1;
  while (started < workers.size() && pthread_create(&workers[started].thread, nullptr, Work, &workers[started]) == 0) started++;
  Work(&workers[0]);
  int64_t total = workers[0].done;
  for (size_t i = 1; i < started; i++) {
    pthread_join(workers[i].thread, nullptr);
    total += workers[i].done;
  }
  return FromResult(env, total);
}
