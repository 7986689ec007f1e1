// The one list of what TypeScript sees.
#include "addon.h"
#include "protocol.h"

static napi_value Init(napi_env env, napi_value exports) {
  const napi_property_descriptor properties[] = {
      {"syscall", nullptr, Syscall, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"syscalls", nullptr, Syscalls, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"ptraceStep", nullptr, PtraceStep, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"ptraceSyscallStops", nullptr, PtraceSyscallStops, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"addressOf", nullptr, AddressOf, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"mapShared", nullptr, MapShared, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"unmap", nullptr, Unmap, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"spawn", nullptr, Spawn, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"checksum", nullptr, Checksum, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"cpuid", nullptr, Cpuid, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"describe", nullptr, Describe, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"describePath", nullptr, DescribePath, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"identify", nullptr, Identify, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"helpPages", nullptr, HelpPages, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"readFiles", nullptr, ReadFiles, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"listDescriptors", nullptr, ListDescriptors, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"searchFile", nullptr, SearchFile, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"closeAll", nullptr, CloseAll, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"setFlags", nullptr, SetFlags, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"readFile", nullptr, ReadFile, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"startSyscalls", nullptr, StartSyscalls, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"finish", nullptr, Finish, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"readMappings", nullptr, ReadMappings, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
  };
  napi_define_properties(env, exports, sizeof(properties) / sizeof(properties[0]), properties);
  napi_value protocol;
  napi_create_int32(env, CRTS_PROTOCOL, &protocol);
  napi_set_named_property(env, exports, "protocol", protocol);
  return exports;
}

NAPI_MODULE(NODE_GYP_MODULE_NAME, Init)
