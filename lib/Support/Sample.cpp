// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Seeded test values. The generator is splitmix64 with our own transforms, because the
// distributions of the C++ library differ between implementations.
#include "attnc/Support/Binding.h"
#include "attnc/Support/Half.h"

#include <algorithm>
#include <cmath>

using namespace attnc;

namespace {
class Random {
public:
  explicit Random(uint64_t seed) : state(seed) {}
  uint64_t next() {
    uint64_t z = (state += 0x9E3779B97F4A7C15ull);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
  }
  /// In [0, 1), a multiple of 2^-53.
  double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }
  /// Box-Muller, one of the pair.
  double normal() {
    double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
    return radius * std::cos(6.283185307179586 * uniform());
  }

private:
  uint64_t state;
};

void store(const TensorView &tensor, int64_t i, double value) {
  switch (tensor.dtype) {
  case DType::F32:
    static_cast<float *>(tensor.data)[i] = static_cast<float>(value);
    return;
  case DType::F16:
    static_cast<uint16_t *>(tensor.data)[i] = floatToF16(static_cast<float>(value));
    return;
  case DType::BF16:
    static_cast<uint16_t *>(tensor.data)[i] = floatToBF16(static_cast<float>(value));
    return;
  case DType::I32:
    static_cast<int32_t *>(tensor.data)[i] =
        static_cast<int32_t>(std::clamp(std::floor(value), -2147483648.0, 2147483647.0));
    return;
  case DType::Bool:
    static_cast<uint8_t *>(tensor.data)[i] = value != 0;
    return;
  }
}
} // namespace

void attnc::fillSample(const TensorDecl &decl, const BoundSizes &sizes, uint64_t seed,
                       TensorView tensor) {
  SampleDecl sample = decl.sample.value_or(
      tensor.dtype == DType::I32    ? SampleDecl{SampleDecl::Uniform, {{0, ""}, {0, "kv"}}}
      : tensor.dtype == DType::Bool ? SampleDecl{SampleDecl::Bernoulli, {{0.75, ""}}}
                                    : SampleDecl{SampleDecl::Normal, {{0, ""}, {1, ""}}});
  auto argument = [&](size_t i) {
    if (i >= sample.args.size())
      return 0.0;
    auto it = sizes.spaces.find(sample.args[i].space);
    return it == sizes.spaces.end() ? sample.args[i].number : static_cast<double>(it->second);
  };
  const double a = argument(0), b = argument(1);
  uint64_t hash = 0xCBF29CE484222325ull; // FNV-1a of the name: inputs of one seed differ
  for (char c : decl.name)
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3ull;
  Random random(seed ^ hash);
  int64_t count = tensor.numElements();
  int64_t inner = tensor.shape.empty() ? 1 : std::max<int64_t>(1, tensor.shape.back());
  std::vector<double> row(static_cast<size_t>(std::min(inner, count)));
  bool isInteger = tensor.dtype == DType::I32;
  auto uniform = [&] {
    double value = a + random.uniform() * std::max(0.0, b - a);
    return isInteger ? std::floor(value) : value;
  };
  for (int64_t first = 0; first < count; first += inner) {
    for (size_t i = 0; i < row.size(); ++i) {
      switch (sample.distribution) {
      case SampleDecl::Uniform:
      case SampleDecl::Sorted:
        row[i] = uniform();
        break;
      case SampleDecl::Normal:
        row[i] = a + b * random.normal();
        break;
      case SampleDecl::Bernoulli:
        row[i] = random.uniform() < a;
        break;
      case SampleDecl::Geometric:
        row[i] = a * std::pow(b, static_cast<double>(i));
        break;
      }
    }
    if (sample.distribution == SampleDecl::Sorted)
      std::sort(row.begin(), row.end());
    for (size_t i = 0; i < row.size(); ++i)
      store(tensor, first + static_cast<int64_t>(i), row[i]);
  }
}
