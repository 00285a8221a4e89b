// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Device memory of the emulator: one reserved range of host addresses, so that a device pointer
// *is* a host pointer and the generic address windows for shared and local memory cannot collide
// with it.
//
// Every allocation is surrounded by red zones that no allocation ever covers, freed memory stays
// in quarantine until the range runs out, and each 4-byte word has a shadow byte that says which of
// its bytes have been written. Together they turn an out-of-bounds access, a use after free and a
// read of uninitialised memory into a report instead of a plausible number.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace attnc::emu {

class DeviceMemory {
public:
  DeviceMemory();
  ~DeviceMemory();
  DeviceMemory(const DeviceMemory &) = delete;

  struct Block {
    uint64_t begin = 0, end = 0;
    bool freed = false;
    std::string name; ///< of the module variable it holds, if any
    bool contains(uint64_t a, uint64_t bytes) const {
      return a >= begin && a + bytes <= end && a + bytes >= a;
    }
  };

  /// Returns 0 when the reserved range is used up or `bytes` is 0. 256-byte aligned.
  uint64_t allocate(uint64_t bytes, std::string name = {});
  /// False when `address` is not the start of a live allocation.
  bool free(uint64_t address);
  /// The block that contains the address, or null. Freed blocks are not returned.
  const Block *find(uint64_t address) const;
  /// The nearest block at or below, freed ones included; for reports.
  const Block *nearest(uint64_t address) const;
  uint64_t bytesInUse() const { return inUse; }

  /// Host copies into and out of a live allocation; false when out of bounds. Writing initialises.
  bool write(uint64_t address, const void *from, uint64_t bytes);
  bool read(uint64_t address, void *to, uint64_t bytes) const;
  /// Device-to-device copy; initialisation travels with the bytes.
  bool copy(uint64_t to, uint64_t from, uint64_t bytes);
  bool fill(uint64_t address, const void *pattern, unsigned patternBytes, uint64_t count);
  /// Bytes of live allocations that nothing has written become ones, zeros or random; they still
  /// count as unwritten.
  enum class Contents : uint8_t { Ones, Zeros, Random };
  void fillUnwritten(Contents contents, uint64_t seed);

  /// Four low bits per 4-byte word: bit i says byte i was written.
  uint8_t *shadow(uint64_t address) const { return shadowBase + ((address - base) >> 2); }
  void markInitialized(uint64_t address, uint64_t bytes);
  /// The first byte of the range that was never written, or 0.
  uint64_t firstUninitialized(uint64_t address, uint64_t bytes) const;

  /// Contents and initialisation of all live allocations.
  struct Image {
    uint64_t begin;
    std::vector<char> bytes;
    std::vector<uint8_t> shadow;
  };
  std::vector<Image> save() const;
  void restore(const std::vector<Image> &images);
  /// The first byte that differs from the images, or 0; of all bytes, or of those that something
  /// has written on either side.
  uint64_t firstDifference(const std::vector<Image> &images, bool writtenOnly) const;

  /// Generic addresses: [sharedWindow, +sharedWindowBytes) is shared memory, [localWindow, ..) the
  /// thread's local memory, [paramWindow, ..) its parameters. Bits 24 and up of a shared address
  /// are zero for the block's own memory; mapa puts the rank of a block in the cluster plus one.
  uint64_t sharedWindow() const { return base + arenaBytes; }
  uint64_t localWindow() const { return sharedWindow() + sharedWindowBytes; }
  uint64_t paramWindow() const { return localWindow() + localWindowBytes; }
  static constexpr uint64_t arenaBytes = 64ull << 30;
  static constexpr uint64_t sharedWindowBytes = 32ull << 24;
  static constexpr uint64_t localWindowBytes = 1ull << 24;
  static constexpr uint64_t paramWindowBytes = 1ull << 16;

private:
  uint64_t recycle(uint64_t bytes);
  uint64_t base = 0;
  uint8_t *shadowBase = nullptr;
  uint64_t next = 0, inUse = 0;
  std::map<uint64_t, Block> blocks; ///< by begin
};

} // namespace attnc::emu
