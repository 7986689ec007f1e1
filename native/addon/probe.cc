#include "addon.h"

#include <cpuid.h>

// cpuid(leaf, subleaf): [eax, ebx, ecx, edx].
napi_value Cpuid(napi_env env, napi_callback_info info) {
  size_t argc = 2;
  napi_value argv[2];
  uint64_t leaf = 0, subleaf = 0;
  unsigned int out[4] = {0};
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  ToWord(env, argv[0], &leaf);
  ToWord(env, argv[1], &subleaf);
  __get_cpuid_count(static_cast<unsigned int>(leaf), static_cast<unsigned int>(subleaf), &out[0], &out[1], &out[2], &out[3]);
  napi_value array;
  napi_create_array_with_length(env, 4, &array);
  for (uint32_t i = 0; i < 4; i++) {
    napi_value number;
    napi_create_uint32(env, out[i], &number);
    napi_set_element(env, array, i, number);
  }
  return array;
}
