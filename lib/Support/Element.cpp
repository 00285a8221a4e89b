// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Elements of tensors. Memory need not be aligned: bytes are copied.
#include "attnc/Support/Element.h"
#include "attnc/Support/Half.h"
#include <iterator>

using namespace attnc;

static constexpr const char *dtypeNames[] = {"f32", "f16", "bf16", "i32", "bool"}; // as in DType

const char *attnc::dtypeName(DType dtype) {
  auto index = static_cast<unsigned>(dtype);
  return index < std::size(dtypeNames) ? dtypeNames[index] : "unknown";
}

std::optional<DType> attnc::parseDType(std::string_view name) {
  for (unsigned index = 0; index < std::size(dtypeNames); ++index)
    if (name == dtypeNames[index])
      return static_cast<DType>(index);
  return std::nullopt;
}

template <typename T> static T load(const char *address) {
  T value;
  std::memcpy(&value, address, sizeof(value));
  return value;
}

template <typename T> static void store(char *address, T value) {
  std::memcpy(address, &value, sizeof(value));
}

static char *addressOf(const TensorView &tensor, int64_t offset) {
  return static_cast<char *>(tensor.data) + offset * dtypeSize(tensor.dtype);
}

double attnc::loadElement(const TensorView &tensor, int64_t offset) {
  const char *address = addressOf(tensor, offset);
  switch (tensor.dtype) {
  case DType::F32:
    return load<float>(address);
  case DType::F16:
    return f16ToFloat(load<uint16_t>(address));
  case DType::BF16:
    return bf16ToFloat(load<uint16_t>(address));
  case DType::I32:
    return load<int32_t>(address);
  case DType::Bool:
    return load<uint8_t>(address) != 0;
  }
  return 0;
}

void attnc::storeElement(const TensorView &tensor, int64_t offset, double value) {
  char *address = addressOf(tensor, offset);
  switch (tensor.dtype) {
  case DType::F32:
    return store(address, static_cast<float>(value));
  case DType::F16:
    return store(address, floatToF16(static_cast<float>(value)));
  case DType::BF16:
    return store(address, floatToBF16(static_cast<float>(value)));
  case DType::I32:
    return store(address, static_cast<int32_t>(value));
  case DType::Bool:
    return store(address, static_cast<uint8_t>(value != 0));
  }
}
