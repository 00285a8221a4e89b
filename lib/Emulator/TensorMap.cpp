// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The checks of cuTensorMapEncodeTiled, each with a sentence; the real driver says only
// CUDA_ERROR_INVALID_VALUE.
#include "attnc/Emulator/TensorMap.h"

#include <algorithm>
#include <cstring>

namespace attnc::emu {

static constexpr uint8_t bytesOf[] = {1, 2, 4, 4, 8, 8, 2, 4, 8, 2, 4, 4, 4};

std::string encodeTiled(TensorMap &map, int dataType, uint32_t rank, uint64_t address,
                        const uint64_t *dims, const uint64_t *strides, const uint32_t *box,
                        const uint32_t *elementStrides, int interleave, int swizzle, int fill) {
  auto n = [](uint64_t v) { return std::to_string(v); };
  if (dataType >= 13 && dataType <= 15)
    return "packed data types of 4 and 6 bits need sm_100 and are not supported by the emulator";
  if (dataType < 0 || dataType > 12)
    return "unknown data type " + std::to_string(dataType);
  if (rank < 1 || rank > 5)
    return "rank must be 1 to 5, is " + n(rank);
  if (interleave < 0 || interleave > 2)
    return "unknown interleaved layout " + std::to_string(interleave);
  if (interleave && rank < 3)
    return "interleaved layouts need a rank of at least 3, which is " + n(rank);
  if (interleave)
    return "interleaved layouts are not supported by the emulator";
  if (swizzle >= 4 && swizzle <= 6)
    return "swizzles of 32 and 64 byte atoms need sm_100 and are not supported by the emulator";
  if (swizzle < 0 || swizzle > 6)
    return "unknown swizzle mode " + std::to_string(swizzle);
  if (fill < 0 || fill > 1)
    return "unknown fill mode " + std::to_string(fill);
  if (address % 16)
    return "global address must be a multiple of 16";
  uint32_t e = bytesOf[dataType];
  bool isFloat = dataType >= TensorMap::F16;
  if (fill && !isFloat)
    return "NaN fill needs a floating-point type";
  memset(&map, 0, sizeof map);
  for (uint32_t i = 0; i < rank; ++i) {
    if (dims[i] < 1 || dims[i] > (1ull << 32))
      return "dimension " + n(i) + " must be 1 to 2^32, is " + n(dims[i]);
    if (box[i] < 1 || box[i] > 256)
      return "box of dimension " + n(i) + " must be 1 to 256, is " + n(box[i]);
    if (elementStrides[i] < 1 || elementStrides[i] > 8)
      return "element stride of dimension " + n(i) + " must be 1 to 8, is " + n(elementStrides[i]);
    if (i && (strides[i - 1] % 16 || strides[i - 1] >= (1ull << 40)))
      return "stride of dimension " + n(i) + " must be a multiple of 16 below 2^40, is " +
             n(strides[i - 1]);
    map.dims[i] = static_cast<uint32_t>(dims[i] - 1);
    map.box[i] = static_cast<uint16_t>(box[i]);
    map.elementStrides[i] = static_cast<uint8_t>(i ? elementStrides[i] : 1);
    if (i)
      map.strides[i - 1] = strides[i - 1];
  }
  uint32_t inner = box[0] * e, span = swizzle == 0 ? ~0u : 16u << swizzle;
  if (inner % 16)
    return "the inner box must be a multiple of 16 bytes, is " + n(inner);
  if (inner > span)
    return "the inner box of " + n(inner) + " bytes exceeds the swizzle span of " + n(span);
  map.magic = TensorMap::magicValue;
  map.address = address;
  map.dataType = static_cast<uint8_t>(dataType);
  map.rank = static_cast<uint8_t>(rank);
  map.swizzle = static_cast<uint8_t>(swizzle);
  map.fillNan = fill != 0;
  map.elementBytes = static_cast<uint8_t>(e);
  return "";
}

void replaceField(TensorMap &map, MapField field, unsigned ordinal, uint64_t value) {
  // The instruction has its own order of types: singles that flush before doubles.
  static constexpr uint8_t types[] = {
      TensorMap::U8,   TensorMap::U16,  TensorMap::U32,    TensorMap::S32,    TensorMap::U64,
      TensorMap::S64,  TensorMap::F16,  TensorMap::F32,    TensorMap::F32Ftz, TensorMap::F64,
      TensorMap::BF16, TensorMap::Tf32, TensorMap::Tf32Ftz};
  map.magic = TensorMap::magicValue;
  map.replaced = 1;
  map.elementBytes = bytesOf[map.dataType % sizeof bytesOf];
  auto small = [&](uint64_t most) { return std::min(value, most); };
  switch (field) {
  case MapField::GlobalAddress:
    map.address = value;
    break;
  case MapField::Rank: // one less than the number of dimensions
    map.rank = static_cast<uint8_t>(small(254) + 1);
    break;
  case MapField::BoxDim:
    map.box[ordinal] = static_cast<uint16_t>(small(0xffff));
    break;
  case MapField::GlobalDim:
    map.dims[ordinal] = static_cast<uint32_t>(value ? value - 1 : 0);
    map.emptyDims =
        static_cast<uint8_t>((map.emptyDims & ~(1u << ordinal)) | (value ? 0u : 1u << ordinal));
    break;
  case MapField::GlobalStride:
    if (ordinal < 4) // a map has room for five, and use for four
      map.strides[ordinal] = value;
    break;
  case MapField::ElementStride:
    map.elementStrides[ordinal] = static_cast<uint8_t>(small(0xff));
    break;
  case MapField::ElementType:
    map.dataType = types[value];
    map.elementBytes = bytesOf[map.dataType];
    break;
  case MapField::InterleaveLayout:
    map.interleave = static_cast<uint8_t>(value);
    break;
  case MapField::SwizzleMode:
    map.swizzle = static_cast<uint8_t>(value);
    break;
  case MapField::FillMode:
    map.fillNan = static_cast<uint8_t>(value);
    break;
  }
}

std::string checkTiled(const TensorMap &map) {
  uint64_t dims[5];
  uint32_t box[5], elementStrides[5];
  for (unsigned i = 0; i < 5; ++i) {
    dims[i] = map.emptyDims >> i & 1 ? 0 : uint64_t(map.dims[i]) + 1;
    box[i] = map.box[i];
    elementStrides[i] = map.elementStrides[i];
  }
  TensorMap same;
  return encodeTiled(same, map.dataType, map.rank, map.address, dims, map.strides, box,
                     elementStrides, map.interleave, map.swizzle, map.fillNan);
}

} // namespace attnc::emu
