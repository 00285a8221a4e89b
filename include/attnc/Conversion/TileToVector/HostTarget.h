// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the host lowering knows about a CPU: a level of vector instructions, and what follows from
// it. The level is chosen at run time from the CPU, or forced (tests do that to run narrower code
// here).
#ifndef ATTNC_CONVERSION_TILETOVECTOR_HOSTTARGET_H
#define ATTNC_CONVERSION_TILETOVECTOR_HOSTTARGET_H

#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringRef.h"
#include <cstdint>
#include <optional>

namespace attnc {

/// Vector instruction levels, narrowest first.
enum class HostISA : uint8_t {
  Generic,    ///< 128-bit vectors, nothing beyond what every 64-bit CPU has
  AVX2,       ///< 256-bit vectors, FMA, F16C
  AVX512,     ///< 512-bit vectors: AVX-512 F, BW, DQ, VL
  AVX512BF16, ///< the same with `vdpbf16ps`
  AMX,        ///< the same with tiles of bf16 that a matrix unit multiplies: AMX-TILE, AMX-BF16
};

/// The level's name in options and cache keys: generic, avx2, avx512, avx512bf16, amx.
llvm::StringRef stringifyHostISA(HostISA isa);
/// The inverse; no value for an unknown name.
std::optional<HostISA> parseHostISA(llvm::StringRef name);
/// The highest level that a CPU with `features` runs; a feature that is absent counts as false.
HostISA hostISAOf(const llvm::StringMap<bool> &features);
/// The highest level that this CPU (and operating system) runs.
HostISA detectHostISA();

/// A level with its consequences for the lowering.
struct HostTarget {
  HostISA isa = HostISA::Generic;

  unsigned vectorBits() const { return hasAVX512() ? 512 : isa == HostISA::AVX2 ? 256 : 128; }
  /// Number of f32 elements of a vector.
  int64_t lanes() const { return vectorBits() / 32; }
  bool hasAVX512() const { return isa >= HostISA::AVX512; }
  bool hasFMA() const { return isa >= HostISA::AVX2; }
  /// f16 <-> f32 conversion instructions.
  bool hasF16Convert() const { return isa >= HostISA::AVX2; }
  /// Products of bf16 pairs accumulated in f32.
  bool hasBF16Dot() const { return isa >= HostISA::AVX512BF16; }
  /// Products of tiles of 16 rows of 32 bf16, accumulated in f32.
  bool hasMatrixUnit() const { return isa == HostISA::AMX; }
};

} // namespace attnc

#endif // ATTNC_CONVERSION_TILETOVECTOR_HOSTTARGET_H
