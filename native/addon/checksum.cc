// CRC-32C of the blocks of a file: what a page image is checked by. Nothing here knows what the bytes mean.
#include "addon.h"

#include <nmmintrin.h>
#include <sys/syscall.h>

#include <cstring>
#include <thread>

namespace {

constexpr uint64_t kBlock = 4096;
// Read at once: three blocks are summed side by side, because one instruction takes three cycles.
constexpr uint64_t kPiece = 48 * kBlock;
// Less is not worth a thread.
constexpr uint64_t kShared = 16 * 1024 * 1024;

struct Table {
  uint32_t word[256];
  constexpr Table() : word() {
    for (uint32_t i = 0; i < 256; i++) {
      uint32_t crc = i;
      for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (crc & 1 ? 0x82f63b78u : 0);
      word[i] = crc;
    }
  }
};
constexpr Table kTable;

uint32_t SumPlain(const uint8_t* bytes, uint64_t length) {
  uint32_t crc = ~0u;
  for (uint64_t i = 0; i < length; i++) crc = (crc >> 8) ^ kTable.word[(crc ^ bytes[i]) & 255];
  return ~crc;
}

__attribute__((target("sse4.2"))) uint32_t SumOne(const uint8_t* bytes, uint64_t length) {
  uint64_t crc = ~0u, word;
  for (; length >= 8; bytes += 8, length -= 8) {
    memcpy(&word, bytes, 8);
    crc = _mm_crc32_u64(crc, word);
  }
  uint32_t rest = static_cast<uint32_t>(crc);
  for (; length > 0; bytes++, length--) rest = _mm_crc32_u8(rest, *bytes);
  return ~rest;
}

__attribute__((target("sse4.2"))) void SumThree(const uint8_t* bytes, uint32_t* out) {
  uint64_t a = ~0u, b = ~0u, c = ~0u, word;
  for (uint64_t i = 0; i < kBlock; i += 8) {
    memcpy(&word, bytes + i, 8);
    a = _mm_crc32_u64(a, word);
    memcpy(&word, bytes + kBlock + i, 8);
    b = _mm_crc32_u64(b, word);
    memcpy(&word, bytes + 2 * kBlock + i, 8);
    c = _mm_crc32_u64(c, word);
  }
  out[0] = ~static_cast<uint32_t>(a);
  out[1] = ~static_cast<uint32_t>(b);
  out[2] = ~static_cast<uint32_t>(c);
}

void SumPiece(const uint8_t* bytes, uint64_t length, uint32_t* out, bool fast) {
  if (fast)
    for (; length >= 3 * kBlock; bytes += 3 * kBlock, length -= 3 * kBlock, out += 3) SumThree(bytes, out);
  while (length > 0) {
    uint64_t size = length < kBlock ? length : kBlock;
    *out++ = fast ? SumOne(bytes, size) : SumPlain(bytes, size);
    bytes += size;
    length -= size;
  }
}

// 0 or -errno; -ENODATA where the file ends before.
int64_t SumRange(uint64_t fd, uint64_t offset, uint64_t length, uint32_t* out) {
  alignas(64) static thread_local uint8_t piece[kPiece];
  const bool fast = __builtin_cpu_supports("sse4.2");
  while (length > 0) {
    uint64_t want = length < kPiece ? length : kPiece, have = 0;
    while (have < want) {
      int64_t n = RawSyscall(SYS_pread64, fd, reinterpret_cast<uint64_t>(piece + have), want - have, offset + have, 0, 0);
      if (n == -4 /* EINTR */) continue;
      if (n <= 0) return n < 0 ? n : -61 /* ENODATA */;
      have += static_cast<uint64_t>(n);
    }
    SumPiece(piece, want, out, fast);
    out += kPiece / kBlock;
    offset += want;
    length -= want;
  }
  return 0;
}

}  // namespace

// checksum(fd, offset, length, out): CRC-32C of each block of 4096 bytes of [offset, offset + length), the last one maybe
// shorter, into `out`, four bytes each. 0 or -errno. Two threads where that pays; both are gone when it returns.
napi_value Checksum(napi_env env, napi_callback_info info) {
  uint64_t word[4];
  if (!ToWords(env, info, word, 4)) return nullptr;
  const uint64_t fd = word[0], offset = word[1], length = word[2];
  uint32_t* out = reinterpret_cast<uint32_t*>(word[3]);
  if (length < kShared) return FromResult(env, SumRange(fd, offset, length, out));
  const uint64_t half = length / 2 / kPiece * kPiece;
  int64_t first = 0;
  std::thread other([&] { first = SumRange(fd, offset, half, out); });
  int64_t second = SumRange(fd, offset + half, length - half, out + half / kBlock);
  other.join();
  return FromResult(env, first < 0 ? first : second);
}
