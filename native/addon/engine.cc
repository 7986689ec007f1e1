// The engine's own runtime: what node:v8 does too, whose loading takes milliseconds.
#include <dlfcn.h>
#include <errno.h>

#include "addon.h"

// setFlags(text): flags of V8 from now on; `text` ends with NUL. 0, or -ENOSYS where this Node does not give the function away:
// v8::V8::SetFlagsFromString(const char*), v8-initialization.h.
napi_value SetFlags(napi_env env, napi_callback_info info) {
  uint64_t word[1];
  if (!ToWords(env, info, word, 1)) return nullptr;
  const auto set = reinterpret_cast<void (*)(const char*)>(dlsym(RTLD_DEFAULT, "_ZN2v82V818SetFlagsFromStringEPKc"));
  if (set == nullptr) return FromResult(env, -ENOSYS);
  set(reinterpret_cast<const char*>(word[0]));
  return FromResult(env, 0);
}
