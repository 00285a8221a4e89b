// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Compiles and runs tile kernels on random tensors whose gaps are poisoned with NaN, and the naive
// double loop that they are compared with.
#ifndef ATTNC_TEST_UNIT_HOST_HOSTHARNESS_H
#define ATTNC_TEST_UNIT_HOST_HOSTHARNESS_H

#include "FlashKernel.h"
#include "attnc/Pipelines/Phases.h"
#include "attnc/Runtime/HostLauncher.h"
#include "attnc/Target/Host/HostCodegen.h"
#include "attnc/Target/Host/HostLink.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "llvm/ADT/APFloat.h"
#include <cmath>
#include <functional>
#include <random>
#include <sys/mman.h>
#include <unistd.h>

namespace attnc::testing {

inline DType dtypeNamed(const std::string &name) {
  return name == "f32" ? DType::F32 : name == "f16" ? DType::F16 : DType::BF16;
}

inline uint16_t toBits16(float value, DType dtype) {
  llvm::APFloat x(value);
  bool lost;
  x.convert(dtype == DType::F16 ? llvm::APFloat::IEEEhalf() : llvm::APFloat::BFloat(),
            llvm::APFloat::rmNearestTiesToEven, &lost);
  return static_cast<uint16_t>(x.bitcastToAPInt().getZExtValue());
}

inline float fromBits16(uint16_t bits, DType dtype) {
  if (dtype == DType::BF16) {
    uint32_t wide = uint32_t(bits) << 16;
    float value;
    std::memcpy(&value, &wide, 4);
    return value;
  }
  llvm::APFloat x(llvm::APFloat::IEEEhalf(), llvm::APInt(16, bits));
  return x.convertToFloat();
}

/// Memory whose last byte is the last of a page; an access beyond it is a fault.
class GuardedBytes {
public:
  GuardedBytes() = default;
  GuardedBytes(const GuardedBytes &) = delete;
  GuardedBytes(GuardedBytes &&other) {
    std::swap(mapping, other.mapping), std::swap(length, other.length),
        std::swap(pages, other.pages);
  }
  ~GuardedBytes() {
    if (mapping)
      munmap(mapping, pages);
  }
  void allocate(size_t bytes, int value) {
    size_t page = size_t(sysconf(_SC_PAGESIZE));
    length = bytes;
    pages = (bytes + page - 1) / page * page + page;
    void *memory = mmap(nullptr, pages, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED ||
        mprotect(static_cast<char *>(memory) + pages - page, page, PROT_NONE))
      llvm::report_fatal_error("cannot map memory for a test tensor");
    mapping = static_cast<uint8_t *>(memory);
    guard = page;
    std::memset(data(), value, length);
  }
  uint8_t *data() const { return mapping + (pages - guard - length); }
  size_t size() const { return length; }
  uint8_t operator[](size_t i) const { return data()[i]; }
  std::vector<uint8_t> copy() const { return std::vector<uint8_t>(data(), data() + length); }

private:
  uint8_t *mapping = nullptr;
  size_t length = 0, pages = 0, guard = 4096;
};

/// A tensor with storage of its own that ends at a guard page. `gap` extra elements follow each row
/// but the last and hold NaN.
class Tensor {
public:
  Tensor(std::vector<int64_t> shape, DType dtype, int64_t gap = 0) {
    view.dtype = dtype;
    view.shape = shape;
    std::vector<int64_t> padded = shape;
    padded.back() += gap;
    view.strides = rowMajorStrides(padded);
    int64_t count = 1;
    for (int64_t size : padded)
      count *= size;
    bytes.allocate(std::max<int64_t>(count - gap, 1) * dtypeSize(dtype),
                   0xff); // a NaN in every float type
    view.data = bytes.data();
  }
  Tensor(const Tensor &) = delete;
  Tensor(Tensor &&) = default;

  int64_t offset(std::initializer_list<int64_t> index) const {
    int64_t at = 0, dim = 0;
    for (int64_t i : index)
      at += i * view.strides[dim++];
    return at;
  }
  float get(std::initializer_list<int64_t> index) const {
    int64_t at = offset(index);
    if (view.dtype == DType::F32)
      return reinterpret_cast<const float *>(bytes.data())[at];
    return fromBits16(reinterpret_cast<const uint16_t *>(bytes.data())[at], view.dtype);
  }
  void set(std::initializer_list<int64_t> index, float value) {
    int64_t at = offset(index);
    if (view.dtype == DType::F32)
      reinterpret_cast<float *>(bytes.data())[at] = value;
    else
      reinterpret_cast<uint16_t *>(bytes.data())[at] = toBits16(value, view.dtype);
  }
  /// Normal values in a rank-4 tensor.
  void randomize(unsigned seed, float deviation = 1.0f) {
    std::mt19937 engine(seed);
    std::normal_distribution<float> normal(0.0f, deviation);
    for (int64_t i = 0; i < view.shape[0]; ++i)
      for (int64_t j = 0; j < view.shape[1]; ++j)
        for (int64_t k = 0; k < view.shape[2]; ++k)
          for (int64_t l = 0; l < view.shape[3]; ++l)
            set({i, j, k, l}, normal(engine));
  }

  TensorView view;
  GuardedBytes bytes;
};

struct HostCompileOptions {
  HostISA isa = HostFeatures::native().isa;
  bool verify = false;
};

/// Native code in relocatable form and what is needed to launch it.
struct HostObject {
  std::unique_ptr<llvm::MemoryBuffer> object; ///< ELF
  Program program;
  /// Of each phase, and of the steps inside the one that makes the code.
  std::map<std::string, double> milliseconds;
};

/// Features that make the lowering choose a level: this CPU's own where it is its level.
inline std::string featuresFor(HostISA isa) {
  if (isa == HostFeatures::native().isa)
    return "native";
  switch (isa) {
  case HostISA::Generic:
    return "x86-64";
  case HostISA::AVX2:
    return "x86-64-v3";
  case HostISA::AVX512:
    return "x86-64-v4";
  case HostISA::AVX512BF16:
    return "x86-64-v4,+avx512bf16";
  case HostISA::AMX:
    return "x86-64-v4,+avx512bf16,+amx-bf16";
  }
  return "";
}

/// Compiles the tile kernels of `module`.
inline llvm::Expected<HostObject> compileForHost(mlir::ModuleOp module,
                                                 HostCompileOptions options = {}) {
  CompileRequest request;
  request.options.hostFeatures = featuresFor(options.isa);
  request.from = Phase::Tile;
  request.to = Phase::Object;
  request.verify = options.verify;
  llvm::Expected<CompileResult> result = runPhases(module, request);
  if (!result)
    return result.takeError();
  HostObject object{llvm::MemoryBuffer::getMemBufferCopy(result->code),
                    std::move(result->launch->program),
                    {result->codeSteps.begin(), result->codeSteps.end()}};
  for (const PhaseResult &phase : result->phases)
    object.milliseconds[phaseName(phase.phase).str()] = phase.milliseconds;
  return std::move(object);
}

/// Compiles the text of a module with tile kernels.
struct CompiledHost {
  HostObject object;
  std::unique_ptr<HostImage> code;
  HostKernelFn kernel = nullptr;
  std::string error;
};

inline CompiledHost compileText(const std::string &text, HostCompileOptions options = {}) {
  CompiledHost result;
  mlir::DialectRegistry registry;
  registerHostTarget(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  auto module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
  if (!module) {
    result.error = "the kernel does not parse";
    return result;
  }
  auto object = compileForHost(*module, options);
  if (!object) {
    result.error = llvm::toString(object.takeError());
    return result;
  }
  result.object = std::move(*object);
  auto code = loadHostObject(result.object.object->getBuffer());
  if (!code) {
    result.error = llvm::toString(code.takeError());
    return result;
  }
  result.code = std::move(*code);
  result.kernel = result.code->lookup(result.object.program.launches.front().symbol);
  if (!result.kernel)
    result.error = "the code does not have the kernel";
  return result;
}

/// What is special about an attention; positions of queries are counted on the key axis (bottom
/// right) unless `topLeft`.
struct Definition {
  std::function<double(double s, int64_t b, int64_t h, int64_t q, int64_t kv)> score;
  std::function<bool(int64_t b, int64_t h, int64_t q, int64_t kv)> mask;
  std::function<double(int64_t h)> sink;
  double scale = 0; ///< 0 = 1 / sqrt(head dim)
  bool topLeft = false;
};

inline Definition causalDefinition(bool causal = true) {
  Definition definition;
  if (causal)
    definition.mask = [](int64_t, int64_t, int64_t q, int64_t kv) { return kv <= q; };
  return definition;
}

/// All elements of a rank-4 tensor, dense.
inline std::vector<float> denseValues(const Tensor &x) {
  std::vector<float> values;
  for (int64_t i = 0; i < x.view.shape[0]; ++i)
    for (int64_t j = 0; j < x.view.shape[1]; ++j)
      for (int64_t k = 0; k < x.view.shape[2]; ++k)
        for (int64_t l = 0; l < x.view.shape[3]; ++l)
          values.push_back(x.get({i, j, k, l}));
  return values;
}

/// Attention by definition, in double: out(b, h, q, e) and lse(b, h, q), dense.
inline void naiveAttention(const Tensor &q, const Tensor &k, const Tensor &v,
                           const Definition &definition, std::vector<double> &out,
                           std::vector<double> &lse) {
  int64_t batch = q.view.shape[0], heads = q.view.shape[1], rows = q.view.shape[2];
  int64_t depth = q.view.shape[3], groups = k.view.shape[1], keys = k.view.shape[2];
  int64_t width = v.view.shape[3];
  double scale = definition.scale != 0 ? definition.scale : 1.0 / std::sqrt(double(depth));
  std::vector<float> qs = denseValues(q), ks = denseValues(k), vs = denseValues(v);
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t h = 0; h < heads; ++h) {
      int64_t g = h / (heads / groups);
      for (int64_t i = 0; i < rows; ++i) {
        int64_t position = definition.topLeft ? i : i + keys - rows;
        const float *query = &qs[((b * heads + h) * rows + i) * depth];
        std::vector<std::pair<int64_t, double>> scores;
        double largest = definition.sink ? definition.sink(h) : -INFINITY;
        for (int64_t j = 0; j < keys; ++j) {
          if (definition.mask && !definition.mask(b, h, position, j))
            continue;
          const float *key = &ks[((b * groups + g) * keys + j) * depth];
          double s = 0;
          for (int64_t d = 0; d < depth; ++d)
            s += double(query[d]) * key[d];
          s *= scale;
          if (definition.score)
            s = definition.score(s, b, h, position, j);
          scores.emplace_back(j, s);
          largest = std::max(largest, s);
        }
        std::vector<double> row(width, 0.0);
        double sum = definition.sink ? std::exp(definition.sink(h) - largest) : 0.0;
        for (auto [j, s] : scores) {
          double p = std::exp(s - largest);
          sum += p;
          for (int64_t e = 0; e < width; ++e)
            row[e] += p * vs[((b * groups + g) * keys + j) * width + e];
        }
        for (int64_t e = 0; e < width; ++e)
          out.push_back(sum > 0 ? row[e] / sum : 0.0);
        lse.push_back(sum > 0 ? largest + std::log(sum) : -INFINITY);
      }
    }
}

/// ||x - y|| / ||y|| over all elements of a rank-4 tensor; its absolute norm if y is 0.
inline double relativeError(const Tensor &x, const std::vector<double> &y) {
  double difference = 0, norm = 0;
  size_t at = 0;
  for (int64_t i = 0; i < x.view.shape[0]; ++i)
    for (int64_t j = 0; j < x.view.shape[1]; ++j)
      for (int64_t k = 0; k < x.view.shape[2]; ++k)
        for (int64_t l = 0; l < x.view.shape[3]; ++l, ++at) {
          double d = x.get({i, j, k, l}) - y[at];
          difference += d * d;
          norm += y[at] * y[at];
        }
  return norm > 0 ? std::sqrt(difference / norm) : std::sqrt(difference);
}

} // namespace attnc::testing

#endif // ATTNC_TEST_UNIT_HOST_HOSTHARNESS_H
