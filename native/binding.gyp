{
  'targets': [
    {
      'target_name': 'crts',
      'sources': [
        'addon/background.cc',
        'addon/checksum.cc',
        'addon/engine.cc',
        'addon/exports.cc',
        'addon/descriptors.cc',
        'addon/files.cc',
        'addon/memory.cc',
        'addon/pages.cc',
        'addon/probe.cc',
        'addon/spawn.cc',
        'addon/syscall.cc',
      ],
      'include_dirs': ['include'],
      'defines': ['NAPI_VERSION=8'],
      'cflags_cc': ['-std=c++17', '-O2', '-Wall', '-Wextra', '-fno-exceptions'],
    },
    {
      'target_name': 'freestanding',
      'type': 'none',
      'actions': [
        {
          'action_name': 'agent',
          'inputs': ['freestanding.sh', 'agent/agent.c', 'agent/calls.h', 'agent/pages.c', 'agent/pages.h', 'agent/agent.lds', 'agent/x86_64/entry.S', 'agent/x86_64/syscall.h', 'include/protocol.h', 'stub/stub.c', 'stub/x86_64/start.S'],
          'outputs': ['<(PRODUCT_DIR)/agent.bin', '<(PRODUCT_DIR)/stub'],
          'action': ['sh', 'freestanding.sh', '<(PRODUCT_DIR)'],
        },
      ],
    },
  ],
}
