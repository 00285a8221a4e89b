// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A host program that uses attnc as a library: it compiles a spec at run time, launches it on
// memory and a stream that it owns, and checks a few rows against the definition of attention.
//
//   attnc-example-host-program specs/sliding_window.attn
#include "attnc/attnc.hpp"
#include <cmath>
#include <cstdio>
#include <random>
#include <vector>

namespace {

constexpr int64_t kBatch = 1, kHeads = 4, kKVHeads = 2, kQueries = 100, kKeys = 300, kDim = 64;
constexpr int64_t kWindow = 48;

/// A dense f32 tensor in host memory with its DLPack description.
struct Tensor {
  std::vector<int64_t> shape;
  std::vector<float> data;
  DLTensor dl{};

  explicit Tensor(std::vector<int64_t> dims) : shape(std::move(dims)) {
    size_t count = 1;
    for (int64_t size : shape)
      count *= static_cast<size_t>(size);
    data.resize(count);
    dl.data = data.data();
    dl.device = DLDevice{kDLCPU, 0};
    dl.ndim = static_cast<int>(shape.size());
    dl.dtype = DLDataType{kDLFloat, 32, 1};
    dl.shape = shape.data(); // no strides: dense row-major
  }
};

/// One output element of causal sliding-window attention, from the definition, in double.
double expected(const Tensor &q, const Tensor &k, const Tensor &v, int64_t h, int64_t row,
                int64_t e) {
  int64_t g = h / (kHeads / kKVHeads), position = row + kKeys - kQueries;
  double sum = 0, weighted = 0;
  for (int64_t j = std::max<int64_t>(0, position - kWindow + 1); j <= position; ++j) {
    double dot = 0;
    for (int64_t d = 0; d < kDim; ++d)
      dot += double(q.data[(h * kQueries + row) * kDim + d]) * k.data[(g * kKeys + j) * kDim + d];
    double weight = std::exp(dot / std::sqrt(double(kDim)));
    sum += weight;
    weighted += weight * v.data[(g * kKeys + j) * kDim + e];
  }
  return weighted / sum;
}

} // namespace

int main(int argc, char **argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s specs/sliding_window.attn\n", argv[0]);
    return 2;
  }
  Tensor q({kBatch, kHeads, kQueries, kDim}), k({kBatch, kKVHeads, kKeys, kDim}),
      v({kBatch, kKVHeads, kKeys, kDim}), out({kBatch, kHeads, kQueries, kDim}),
      lse({kBatch, kHeads, kQueries});
  std::mt19937 generator(7);
  std::normal_distribution<float> normal;
  for (Tensor *tensor : {&q, &k, &v})
    for (float &x : tensor->data)
      x = normal(generator);

  try {
    attnc_compile_options options = attnc_default_compile_options();
    options.dtype = "f32";
    options.head_dim = kDim;
    attnc::api::Kernel kernel = attnc::api::Kernel::compileFile(argv[1], options);
    // The stream belongs to the caller; on the host there is none.
    void *stream = nullptr;
    kernel.launch({{"Q", &q.dl}, {"K", &k.dl}, {"V", &v.dl}, {"out", &out.dl}, {"lse", &lse.dl}},
                  {{"window", double(kWindow)}}, stream);
  } catch (const attnc::api::Error &error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  double worst = 0;
  for (int64_t h = 0; h < kHeads; ++h)
    for (int64_t row : {int64_t(0), int64_t(31), kQueries - 1})
      for (int64_t e : {int64_t(0), kDim - 1})
        worst = std::max(worst, std::fabs(out.data[(h * kQueries + row) * kDim + e] -
                                          expected(q, k, v, h, row, e)));
  std::printf("%s: largest difference %.2e\n", attnc_version(), worst);
  std::printf(worst < 1e-5 ? "the result agrees with the definition\n" : "the result is WRONG\n");
  return worst < 1e-5 ? 0 : 1;
}
