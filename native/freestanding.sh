#!/bin/sh
# Builds the agent's blob and the stub into directory $1. Refuses a blob that needs relocations or writable data.
set -eu
out=$1
here=$(dirname "$0")
arch=$here/agent/x86_64
# General registers only: the agent must not touch the vector state of the task that it runs in.
flags="-Os -std=gnu11 -ffreestanding -fno-stack-protector -fno-asynchronous-unwind-tables -fcf-protection=none
  -mgeneral-regs-only -fno-tree-loop-distribute-patterns -nostdlib -Wall -Wextra -Werror -I$here/include -I$arch"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cc $flags -fPIC -c "$here/agent/agent.c" -o "$work/agent.o"
cc $flags -fPIC -c "$here/agent/pages.c" -o "$work/pages.o"
cc $flags -fPIC -c "$arch/entry.S" -o "$work/entry.o"
ld --no-warn-rwx-segments -T "$here/agent/agent.lds" -e 0 "$work/entry.o" "$work/agent.o" "$work/pages.o" -o "$work/agent.elf"
if readelf -r "$work/agent.elf" | grep -q R_X86_64; then
  echo "agent: the blob needs relocations, which nobody applies:" >&2
  readelf -r "$work/agent.elf" >&2
  exit 1
fi
objcopy -O binary -j .blob "$work/agent.elf" "$work/agent.bin"
cc $flags -fno-pic -c "$here/stub/stub.c" -o "$work/stub.o"
cc -I"$work" -Wa,-I"$work" -c "$here/stub/x86_64/start.S" -o "$work/start.o"
ld -static -z norelro -z noexecstack -z max-page-size=4096 --build-id=none -Ttext-segment=0x10000 \
  "$work/start.o" "$work/stub.o" -o "$work/stub"
strip "$work/stub"
mv "$work/agent.bin" "$work/stub" "$out/"
