// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Tensor maps: the 128-byte descriptors that tell the TMA unit where a tensor lies and which box of
// it to copy. By contract the object is opaque; ours holds the arguments of cuTensorMapEncodeTiled
// in plain fields behind a magic number, so that anything else is recognised as garbage.
#pragma once

#include <cstdint>
#include <string>

namespace attnc::emu {

struct TensorMap {
  static constexpr uint64_t magicValue = 0x50414d5f434e5441ull;
  /// CUtensorMapDataType.
  enum DataType { U8, U16, U32, S32, U64, S64, F16, F32, F64, BF16, F32Ftz, Tf32, Tf32Ftz };
  uint64_t magic;
  /// Holds nothing. The launch code of CUTLASS 4 clears bit 21 of this word of the opaque object,
  /// for tensors below 128 KiB and drivers up to 13.1; here as on a device that must not move the
  /// tensor.
  uint64_t tampered;
  uint64_t address;
  uint64_t strides[4]; ///< bytes, of dimensions 1..4; up to 2^40
  uint32_t dims[5];    ///< elements minus one, so that 2^32 fits
  uint16_t box[5];
  uint8_t elementStrides[5];
  uint8_t dataType, rank, interleave, swizzle, fillNan;
  uint8_t elementBytes;
  /// By tensormap.replace: the map is checked when it is used. `emptyDims` has a bit for each
  /// dimension of no elements, which `dims` cannot hold.
  uint8_t replaced, emptyDims;
  uint8_t reserved[29];
};
static_assert(sizeof(TensorMap) == 128);

/// Fills `map`; the arguments are those of cuTensorMapEncodeTiled. Returns what is wrong with them,
/// or an empty string.
std::string encodeTiled(TensorMap &map, int dataType, uint32_t rank, uint64_t address,
                        const uint64_t *dims, const uint64_t *strides, const uint32_t *box,
                        const uint32_t *elementStrides, int interleave, int swizzle, int fill);

/// The fields of tensormap.replace.
enum class MapField : uint8_t {
  GlobalAddress,
  Rank,
  BoxDim,
  GlobalDim,
  GlobalStride,
  ElementStride,
  ElementType,
  InterleaveLayout,
  SwizzleMode,
  FillMode,
};

/// tensormap.replace: any 128 bytes become a map, with `value` in a field (of the dimension
/// `ordinal`). A value that no map may have is kept, and found by checkTiled.
void replaceField(TensorMap &map, MapField field, unsigned ordinal, uint64_t value);

/// What is wrong with a map that was made or changed by tensormap.replace, or an empty string.
std::string checkTiled(const TensorMap &map);

/// XORs address bits as the swizzle mode (0 none, 1 32B, 2 64B, 3 128B) prescribes.
inline uint32_t swizzleAddress(uint32_t a, unsigned mode) {
  return mode == 0 ? a : a ^ ((a >> 3) & (mode == 1 ? 0x10u : mode == 2 ? 0x30u : 0x70u));
}

} // namespace attnc::emu
