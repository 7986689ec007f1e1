// Shared by the families of the addon. Values or -errno go back to TypeScript; nothing here throws text.
#ifndef CRTS_ADDON_H
#define CRTS_ADDON_H

#include <node_api.h>

#include <cstddef>
#include <cstdint>

// A system call without libc: the result is the kernel's, -errno included.
static inline int64_t RawSyscall(int64_t nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f) {
  register uint64_t r10 __asm__("r10") = d;
  register uint64_t r8 __asm__("r8") = e;
  register uint64_t r9 __asm__("r9") = f;
  int64_t result;
  __asm__ volatile("syscall" : "=a"(result) : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
  return result;
}

// A word of C from a number, bigint, buffer (its address), null or undefined (0). False: none of these.
bool ToWord(napi_env env, napi_value value, uint64_t* word);
// All of a call's arguments, those that are missing 0. False: one is no word, and a TypeError is thrown.
bool ToWords(napi_env env, napi_callback_info info, uint64_t* words, size_t count);
// A number where it is exact, else a bigint.
napi_value FromResult(napi_env env, int64_t result);

// Makes `count` calls in their order; a row is the number of the call, its six arguments, and the kernel's answer.
void MakeCalls(int64_t* rows, uint64_t count);

napi_value Syscall(napi_env env, napi_callback_info info);
napi_value Syscalls(napi_env env, napi_callback_info info);
napi_value PtraceStep(napi_env env, napi_callback_info info);
napi_value PtraceSyscallStops(napi_env env, napi_callback_info info);
napi_value AddressOf(napi_env env, napi_callback_info info);
napi_value MapShared(napi_env env, napi_callback_info info);
napi_value Unmap(napi_env env, napi_callback_info info);
napi_value Spawn(napi_env env, napi_callback_info info);
napi_value Checksum(napi_env env, napi_callback_info info);
napi_value Cpuid(napi_env env, napi_callback_info info);
napi_value Describe(napi_env env, napi_callback_info info);
napi_value DescribePath(napi_env env, napi_callback_info info);
napi_value Identify(napi_env env, napi_callback_info info);
napi_value HelpPages(napi_env env, napi_callback_info info);
napi_value ListDescriptors(napi_env env, napi_callback_info info);
napi_value SetFlags(napi_env env, napi_callback_info info);
napi_value SearchFile(napi_env env, napi_callback_info info);
napi_value CloseAll(napi_env env, napi_callback_info info);
napi_value ReadFile(napi_env env, napi_callback_info info);
napi_value ReadMappings(napi_env env, napi_callback_info info);
napi_value ReadFiles(napi_env env, napi_callback_info info);
napi_value StartSyscalls(napi_env env, napi_callback_info info);
napi_value Finish(napi_env env, napi_callback_info info);

#endif
