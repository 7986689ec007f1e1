// System calls beside the engine's thread: thousands of images are made while JavaScript runs.
#include "addon.h"

#include <pthread.h>
#include <sys/syscall.h>

#include <csignal>

namespace {

// What a job touches belongs to JavaScript, which keeps it reachable until the job is finished.
struct Job {
  pthread_t thread;
  bool has_thread;
  int64_t* rows;
  uint64_t count;
};

// CPUs that the engine may run on, as they were when the addon was loaded: its thread binds itself to the CPU of a task, and a thread that
// it starts then would stand in the way there.
uint64_t allowed[128];
int64_t allowed_size = RawSyscall(SYS_sched_getaffinity, 0, sizeof(allowed), reinterpret_cast<uint64_t>(allowed), 0, 0, 0);

void* Begin(void* data) {
  auto* job = static_cast<Job*>(data);
  if (allowed_size > 0) RawSyscall(SYS_sched_setaffinity, 0, allowed_size, reinterpret_cast<uint64_t>(allowed), 0, 0, 0);
  MakeCalls(job->rows, job->count);
  return nullptr;
}

}  // namespace

// startSyscalls(table, count): syscalls() in a thread of its own. Returns what finish() takes, once.
napi_value StartSyscalls(napi_env env, napi_callback_info info) {
  size_t argc = 2, words = 0;
  napi_value argv[2];
  void* rows = nullptr;
  uint64_t count = 0;
  napi_typedarray_type type;
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  if (argc != 2 || !ToWord(env, argv[1], &count) ||
      napi_get_typedarray_info(env, argv[0], &type, &words, &rows, nullptr, nullptr) != napi_ok || type != napi_bigint64_array ||
      count > words / 8) {
    napi_throw_type_error(env, "ERR_CRTS_ARGUMENT", "startSyscalls takes a BigInt64Array of eight words a call, and their number");
    return nullptr;
  }
  auto* job = new Job();
  job->rows = static_cast<int64_t*>(rows);
  job->count = count;
  // Signals are for Node's threads.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  job->has_thread = pthread_create(&job->thread, nullptr, Begin, job) == 0;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  // Where there can be no thread, the work is done at once.
  if (!job->has_thread) MakeCalls(job->rows, job->count);
  napi_value handle;
  napi_create_external(env, job, nullptr, nullptr, &handle);
  return handle;
}

// finish(job): waits until all calls are made.
napi_value Finish(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  void* data = nullptr;
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  if (argc != 1 || napi_get_value_external(env, argv[0], &data) != napi_ok) {
    napi_throw_type_error(env, "ERR_CRTS_ARGUMENT", "finish takes what startSyscalls returned");
    return nullptr;
  }
  auto* job = static_cast<Job*>(data);
  if (job->has_thread) pthread_join(job->thread, nullptr);
  delete job;
  return nullptr;
}
