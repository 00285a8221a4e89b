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

  /// An allocation: the bytes at addresses [begin, end).
  struct Block {
    uint64_t begin = 0, end = 0;
    bool freed = false;
    std::string name; ///< of the module variable it holds, if any
    bool contains(uint64_t a, uint64_t bytes) const {
      return a >= begin && a + bytes <= end && a + bytes >= a;
    }
  };

  /// The address of `bytes` new bytes, none of them initialised, at a multiple of 256; 0 when the
  /// reserved range is used up or `bytes` is 0. Reports call the block `name`.
  uint64_t allocate(uint64_t bytes, std::string name = {});
  /// False when `address` is not the start of a live allocation.
  bool free(uint64_t address);
  /// The block that contains the address, or null. Freed blocks are not returned.
  const Block *find(uint64_t address) const;
  /// The nearest block at or below, freed ones included; for reports.
  const Block *nearest(uint64_t address) const;
  /// Bytes of all live allocations, without red zones and rounding.
  uint64_t bytesInUse() const { return inUse; }

  /// Copies `bytes` bytes from or to host memory. False, and nothing is copied, unless all of them
  /// lie in one live allocation; 0 bytes fit at any address. Writing initialises; reading does not
  /// ask whether bytes are initialised.
  bool write(uint64_t address, const void *from, uint64_t bytes);
  bool read(uint64_t address, void *to, uint64_t bytes) const;
  /// The same within device memory, for ranges that may overlap. Whether a byte is initialised is
  /// copied with it.
  bool copy(uint64_t to, uint64_t from, uint64_t bytes);
  /// Writes the `patternBytes` bytes at `pattern` `count` times, one after the other; the product
  /// must fit 64 bits. Bounds and result as for `write`.
  bool fill(uint64_t address, const void *pattern, unsigned patternBytes, uint64_t count);
  /// Bytes of live allocations that nothing has written become ones, zeros or random; they still
  /// count as unwritten.
  enum class Contents : uint8_t { Ones, Zeros, Random };
  void fillUnwritten(Contents contents, uint64_t seed);

  /// Four low bits per 4-byte word: bit i says byte i was written.
  uint8_t *shadow(uint64_t address) const { return shadowBase + ((address - base) >> 2); }
  /// Marks the bytes [address, address + bytes) as written. The range must lie in the reserved
  /// range; blocks are not looked up.
  void markInitialized(uint64_t address, uint64_t bytes);
  /// The address of the first byte of [address, address + bytes) that was never written, or 0.
  uint64_t firstUninitialized(uint64_t address, uint64_t bytes) const;

  /// Contents of one allocation, and which of its bytes are initialised.
  struct Image {
    uint64_t begin;              ///< address of the first byte
    std::vector<char> bytes;     ///< all of the allocation
    std::vector<uint8_t> shadow; ///< of each 4-byte word, as `shadow()` has it
  };
  /// Images of all live allocations, in order of address.
  std::vector<Image> save() const;
  /// Puts back what `save` returned. Each allocation must still be live; ones made since are left.
  void restore(const std::vector<Image> &images);
  /// The address of the first byte whose value differs from that in the images, or 0; of all bytes,
  /// or of those that something has written on either side. Allocations must be live, as for
  /// `restore`.
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
