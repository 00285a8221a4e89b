// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Inputs on which decisions are exact: made of sampled ones, so that they are as reproducible.
#include "ExactInputs.h"
#include "llvm/ADT/StringSwitch.h"
#include <algorithm>
#include <cmath>
#include <cstring>

using namespace attnc;
using namespace attnc::driver;

std::optional<DrawnInputs> driver::parseDrawnInputs(std::string_view name) {
  return llvm::StringSwitch<std::optional<DrawnInputs>>(llvm::StringRef(name))
      .Case("sampled", DrawnInputs::Sampled)
      .Case("exact", DrawnInputs::Exact)
      .Case("neighbours", DrawnInputs::Neighbours)
      .Case("bits", DrawnInputs::Bits)
      .Default(std::nullopt);
}

/// A finite number whose bits are the low ones of `drawn`: an exponent of ones loses its last bit.
static void storeBits(const TensorView &tensor, int64_t i, uint32_t drawn) {
  uint32_t exponent = tensor.dtype == DType::F32   ? 0x7F800000u
                      : tensor.dtype == DType::F16 ? 0x7C00u
                                                   : 0x7F80u;
  if ((drawn & exponent) == exponent)
    drawn ^= exponent & ~(exponent - 1);
  size_t size = static_cast<size_t>(dtypeSize(tensor.dtype));
  auto half = static_cast<uint16_t>(drawn);
  std::memcpy(static_cast<char *>(tensor.data) + static_cast<size_t>(i) * size,
              size == 4 ? static_cast<void *>(&drawn) : static_cast<void *>(&half), size);
}

void driver::fillInput(DrawnInputs kind, const TensorDecl &decl, const BoundSizes &sizes,
                       uint64_t seed, TensorView tensor) {
  bool isReal = tensor.dtype != DType::I32 && tensor.dtype != DType::Bool;
  if (kind == DrawnInputs::Sampled || !isReal || (kind == DrawnInputs::Exact && decl.sample)) {
    fillSample(decl, sizes, seed, tensor);
    for (int64_t i = 0; isReal && kind == DrawnInputs::Exact && i < tensor.numElements(); ++i)
      storeElement(tensor, i, std::nearbyint(loadElement(tensor, i) * 4) / 4);
    return;
  }
  // 32 random bits for each element, as two ints.
  std::vector<int32_t> words(static_cast<size_t>(2 * tensor.numElements()));
  TensorDecl ints = decl;
  ints.sample = SampleDecl{SampleDecl::Uniform, {{0, ""}, {65536, ""}}};
  TensorView view;
  view.data = words.data();
  view.dtype = DType::I32;
  view.shape = {static_cast<int64_t>(words.size())};
  view.strides = {1};
  fillSample(ints, sizes, seed, view);
  for (int64_t i = 0; i < tensor.numElements(); ++i) {
    auto high = static_cast<uint32_t>(words[static_cast<size_t>(2 * i)]);
    auto low = static_cast<uint32_t>(words[static_cast<size_t>(2 * i + 1)]);
    if (kind == DrawnInputs::Exact)
      storeElement(tensor, i, static_cast<double>(static_cast<int>(high % 9) - 4) / 4);
    else if (kind == DrawnInputs::Bits)
      storeBits(tensor, i, high << 16 | low);
    else // 0x3F800000 is 1 in f32, 0x3C00 in f16, 0x3F80 in bf16
      storeBits(tensor, i,
                (tensor.dtype == DType::F32   ? 0x3F800000u
                 : tensor.dtype == DType::F16 ? 0x3C00u
                                              : 0x3F80u) +
                    high % 17 - 8);
  }
}
