// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// From the addresses a warp computed to host pointers it may touch. Every memory instruction, be it
// a load, an atomic, ldmatrix or an asynchronous copy, goes through `resolve`, which checks bounds,
// alignment, initialisation and races, and keeps the traffic counters. After it returned true, the
// handler moves bytes and needs no further check.
#pragma once

#include "Launch.h"

namespace attnc::emu {

enum class Mode : uint8_t { Load, Store, Atomic };

/// On a lambda for `eachLane`: what it captures then stays in registers.
#define ATTNC_INLINE __attribute__((always_inline))

/// Calls `f(lane)` for the lanes of `mask`; the whole warp, by far the most common, without
/// searching for bits.
template <class F> [[gnu::always_inline]] inline void eachLane(uint32_t mask, F f) {
  if (mask == allLanes)
    for (int l = 0; l < 32; ++l)
      f(l);
  else
    for (; mask; mask &= mask - 1)
      f(__builtin_ctz(mask));
}

/// One warp-wide access: at most 32 addresses of the same size.
struct Access {
  uint64_t address[32];
  char *host[32];
  uint32_t lanes = 0;
  uint32_t bytes = 0;
  Mode mode = Mode::Load;
  Space space = Space::Generic;
  bool nonCoherent = false;
  bool synchronizing = false; ///< atomics and volatile/relaxed accesses do not race with each other
  bool asynchronous = false;  ///< not by the warp itself: the caller records it for whoever does it
  Cta *owner = nullptr;       ///< whose shared memory, when not the warp's own block's
  bool collective = false;    ///< ldmatrix and stmatrix: lanes are rows, for the bank model
  /// The bytes that a plain store writes for a lane, at most 32; null for everything else. Two
  /// stores of the same value do not race with each other.
  void (*stored)(Warp &, const Rec *, int lane, char *bytes) = nullptr;
};

/// The value of a lane's store in the bytes of `mask` of the word at `wordAddress`, and what is
/// there now: equal, or in words for a report.
struct StoredWord {
  StoredWord(Warp &w, const Rec *r, int lane, const Access &a, uint64_t wordAddress, uint8_t mask);
  bool equal() const { return before == after; }
  std::string words() const;

private:
  uint32_t before = 0, after = 0;
  int digits = 0;
};

/// Fills `host`. False after a report.
bool resolve(Warp &w, const Rec *r, Access &a);

/// The quick form of gathering and resolving for plain reads of shared memory, which tensor kernels
/// consist of. Fills `address` for `lanes` and returns true when the read may go ahead; false means
/// nothing but that the general way has to decide.
bool quickSharedRead(Warp &w, const Rec *r, uint32_t lanes, uint32_t bytes, uint32_t *address);

/// Reads the address column of a record: o[0] plus imm; bit 16 of aux when it is 64 bits wide.
void gatherAddresses(Warp &w, const Rec *r, Access &a);

/// The byte of the block's shared memory at an offset or null (after a report); for instructions
/// that name single objects such as barriers.
char *sharedObject(Cta &cta, Warp &w, const Rec *r, int lane, uint64_t address, uint32_t bytes);

/// `smem+0x1230 (tile+0x30)`, `global 0x.. (16 bytes past x)`: an address in words.
std::string describeAddress(Warp &w, Space space, uint64_t address);
/// The same for an offset in the shared memory of `owner`, perhaps another block of the cluster.
std::string describeShared(const Cta &owner, const Warp &w, uint64_t offset);

// Bits of Rec::aux for loads and stores.
constexpr uint32_t memBytesMask = 0xff; ///< bytes of one element
constexpr uint32_t memCountShift = 8;   ///< elements, in bits 8-11
constexpr uint32_t memAddress64 = 1u << 16;
constexpr uint32_t memSigned = 1u << 17;
constexpr uint32_t memNonCoherent = 1u << 18;
constexpr uint32_t memSync = 1u << 19;
constexpr uint32_t memSpaceShift = 20; ///< Space, in bits 20-23
constexpr uint32_t memRegShift = 24;   ///< bytes of the data registers: 2, 4 or 8

// Bits of Rec::aux2 for loads, stores and atomics; the low 17 are those of atomicOp.
constexpr uint32_t memAcquire = 1u << 17;
constexpr uint32_t memRelease = 1u << 18;
constexpr uint32_t memCtaScope = 1u << 19; ///< does not synchronize with other blocks

/// Stands for all lanes of a warp in a lane's place.
constexpr int collectiveLane = 32;

const Rec *loadOp(Warp &, const Rec *);
const Rec *storeOp(Warp &, const Rec *);
const Rec *cvtaParamOp(Warp &, const Rec *);
/// atom and red. ext: b (per element), c, then the old values when bit 16 of aux2 is set.
enum class AtomicOp : uint8_t { Add, Min, Max, And, Or, Xor, Exch, Cas, Inc, Dec };
const Rec *atomicOp(Warp &, const Rec *);
/// The new value of one element: `old` op `b`; `c` is the value that a compare-and-swap stores.
/// `inGlobal`: sums in single precision take subnormals for zeros and make zeros of them, as the
/// manual says of global memory; shared memory keeps them.
uint64_t combine(AtomicOp op, Type type, uint64_t old, uint64_t b, uint64_t c, bool inGlobal);

} // namespace attnc::emu
