// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Device memory: a bump allocator over a reserved range with red zones, quarantine and a shadow of
// written bytes. See Memory.h for why. Pages become real when touched, so reserving 64 GiB costs
// nothing; freed blocks give their pages back but keep their addresses.
#include "attnc/Emulator/Memory.h"

#include <cstring>
#include <new>
#include <sys/mman.h>

namespace attnc::emu {
namespace {

constexpr uint64_t redZone = 512, alignment = 256;

void *reserve(uint64_t bytes, int protection) {
  void *p = mmap(nullptr, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED)
    throw std::bad_alloc();
  return p;
}

constexpr uint64_t windowsBytes = DeviceMemory::sharedWindowBytes + DeviceMemory::localWindowBytes +
                                  DeviceMemory::paramWindowBytes;
} // namespace

DeviceMemory::DeviceMemory() {
  base = reinterpret_cast<uint64_t>(reserve(arenaBytes + windowsBytes, PROT_READ | PROT_WRITE));
  shadowBase = static_cast<uint8_t *>(reserve(arenaBytes / 4, PROT_READ | PROT_WRITE));
  next = (base + alignment - 1) / alignment * alignment + redZone;
}

DeviceMemory::~DeviceMemory() {
  munmap(reinterpret_cast<void *>(base), arenaBytes + windowsBytes);
  munmap(shadowBase, arenaBytes / 4);
}

uint64_t DeviceMemory::allocate(uint64_t bytes, std::string name) {
  uint64_t size = (bytes + alignment - 1) / alignment * alignment + redZone;
  if (!bytes || size < bytes)
    return 0;
  uint64_t begin = next;
  if (size > base + arenaBytes - next)
    begin = recycle(bytes);
  else
    next += size;
  if (!begin)
    return 0;
  blocks[begin] = Block{begin, begin + bytes, false, std::move(name)};
  inUse += bytes;
  return begin;
}

/// Ends the quarantine of the first freed block that is large enough; only when the range is used
/// up.
uint64_t DeviceMemory::recycle(uint64_t bytes) {
  for (auto &[begin, block] : blocks)
    if (block.freed && block.end - block.begin >= bytes) {
      memset(shadow(begin), 0, (block.end - block.begin + 3) / 4);
      return begin;
    }
  return 0;
}

bool DeviceMemory::free(uint64_t address) {
  auto it = blocks.find(address);
  if (it == blocks.end() || it->second.freed)
    return false;
  it->second.freed = true;
  inUse -= it->second.end - it->second.begin;
  uint64_t page = 4096, from = (address + page - 1) / page * page,
           to = it->second.end / page * page;
  if (to > from)
    madvise(reinterpret_cast<void *>(from), to - from, MADV_DONTNEED);
  return true;
}

const DeviceMemory::Block *DeviceMemory::nearest(uint64_t address) const {
  auto it = blocks.upper_bound(address);
  if (it == blocks.begin())
    return nullptr;
  return &std::prev(it)->second;
}

const DeviceMemory::Block *DeviceMemory::find(uint64_t address) const {
  const Block *b = nearest(address);
  return b && !b->freed && address < b->end ? b : nullptr;
}

void DeviceMemory::markInitialized(uint64_t address, uint64_t bytes) {
  uint64_t end = address + bytes;
  for (; address < end && (address & 3); ++address)
    *shadow(address) |= static_cast<uint8_t>(1u << (address & 3));
  if (end >= address + 4) {
    uint64_t words = (end - address) / 4;
    memset(shadow(address), 0xf, words);
    address += words * 4;
  }
  for (; address < end; ++address)
    *shadow(address) |= static_cast<uint8_t>(1u << (address & 3));
}

uint64_t DeviceMemory::firstUninitialized(uint64_t address, uint64_t bytes) const {
  for (uint64_t a = address; a < address + bytes;) {
    uint8_t bits = *shadow(a);
    if ((a & 3) == 0 && a + 4 <= address + bytes && (bits & 0xf) == 0xf) {
      a += 4;
      continue;
    }
    if (!(bits >> (a & 3) & 1))
      return a;
    ++a;
  }
  return 0;
}

bool DeviceMemory::write(uint64_t address, const void *from, uint64_t bytes) {
  const Block *b = find(address);
  if (!bytes)
    return true;
  if (!b || !b->contains(address, bytes))
    return false;
  memcpy(reinterpret_cast<void *>(address), from, bytes);
  markInitialized(address, bytes);
  return true;
}

bool DeviceMemory::read(uint64_t address, void *to, uint64_t bytes) const {
  const Block *b = find(address);
  if (!bytes)
    return true;
  if (!b || !b->contains(address, bytes))
    return false;
  memcpy(to, reinterpret_cast<const void *>(address), bytes);
  return true;
}

bool DeviceMemory::copy(uint64_t to, uint64_t from, uint64_t bytes) {
  if (!bytes)
    return true;
  const Block *t = find(to), *f = find(from);
  if (!t || !f || !t->contains(to, bytes) || !f->contains(from, bytes))
    return false;
  memmove(reinterpret_cast<void *>(to), reinterpret_cast<const void *>(from), bytes);
  for (uint64_t i = 0; i < bytes; ++i) {
    uint8_t bit = static_cast<uint8_t>(1u << ((to + i) & 3));
    bool init = *shadow(from + i) >> ((from + i) & 3) & 1;
    uint8_t *s = shadow(to + i);
    *s = static_cast<uint8_t>(init ? *s | bit : *s & ~bit);
  }
  return true;
}

bool DeviceMemory::fill(uint64_t address, const void *pattern, unsigned patternBytes,
                        uint64_t count) {
  uint64_t bytes = patternBytes * count;
  const Block *b = find(address);
  if (!bytes)
    return true;
  if (!b || !b->contains(address, bytes))
    return false;
  for (uint64_t i = 0; i < count; ++i)
    memcpy(reinterpret_cast<char *>(address) + i * patternBytes, pattern, patternBytes);
  markInitialized(address, bytes);
  return true;
}

void DeviceMemory::fillUnwritten(Contents contents, uint64_t seed) {
  auto byteAt = [&](uint64_t address) -> uint8_t {
    if (contents != Contents::Random)
      return contents == Contents::Ones ? 0xff : 0;
    uint64_t h = ((address - base) / 8 + seed * 0x9e3779b97f4a7c15u) * 0xbf58476d1ce4e5b9u;
    h = (h ^ h >> 31) * 0x94d049bb133111ebu;
    return static_cast<uint8_t>((h ^ h >> 29) >> 8 * (address & 7));
  };
  for (auto &[begin, b] : blocks)
    for (uint64_t a = begin; a < b.end && !b.freed; ++a)
      if (!(*shadow(a) >> (a & 3) & 1))
        *reinterpret_cast<uint8_t *>(a) = byteAt(a);
}

std::vector<DeviceMemory::Image> DeviceMemory::save() const {
  std::vector<Image> images;
  for (auto &[begin, b] : blocks)
    if (!b.freed) {
      const char *from = reinterpret_cast<const char *>(begin);
      images.push_back({begin, {from, from + (b.end - begin)}, {shadow(begin), shadow(b.end + 3)}});
    }
  return images;
}

void DeviceMemory::restore(const std::vector<Image> &images) {
  for (const Image &i : images) {
    memcpy(reinterpret_cast<char *>(i.begin), i.bytes.data(), i.bytes.size());
    memcpy(shadow(i.begin), i.shadow.data(), i.shadow.size());
  }
}

uint64_t DeviceMemory::firstDifference(const std::vector<Image> &images, bool writtenOnly) const {
  for (const Image &i : images) {
    const char *now = reinterpret_cast<const char *>(i.begin);
    if (!memcmp(now, i.bytes.data(), i.bytes.size()))
      continue;
    for (size_t k = 0; k < i.bytes.size(); ++k) {
      bool written = (*shadow(i.begin + k) | i.shadow[k / 4]) >> (k & 3) & 1;
      if (now[k] != i.bytes[k] && (written || !writtenOnly))
        return i.begin + k;
    }
  }
  return 0;
}

} // namespace attnc::emu
