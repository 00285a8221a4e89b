// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A server's inner part: it has no compiler, loads an artefact of causal attention (f32, head dim
// 32), launches it from 8 threads at once, and compares with the definition.
//
//   serve FILE host            on threads of attnc's
//   serve FILE parallel        on threads of its own
//   serve FILE cuda            on the device of the driver that ATTNC_CUDA_DRIVER names
#include <atomic>
#include <attnc/runtime.hpp>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr int64_t kHeads = 2, kDim = 32;

/// Where a tensor's memory is: in this process, or on a device.
class Memory {
public:
  virtual ~Memory() = default;
  virtual void *place(const std::vector<float> &values) = 0;
  virtual std::vector<float> read(void *memory, size_t count) = 0;
  virtual DLDevice device() const = 0;
};

class HostMemory : public Memory {
public:
  ~HostMemory() override {
    for (void *block : blocks)
      std::free(block);
  }
  void *place(const std::vector<float> &values) override {
    void *memory = std::aligned_alloc(256, (values.size() * 4 + 255) / 256 * 256);
    std::memcpy(memory, values.data(), values.size() * 4);
    blocks.push_back(memory);
    return memory;
  }
  std::vector<float> read(void *memory, size_t count) override {
    auto *data = static_cast<float *>(memory);
    return {data, data + count};
  }
  DLDevice device() const override { return {kDLCPU, 0}; }

private:
  std::vector<void *> blocks;
};

/// The few calls of the CUDA driver that a program with memory of its own makes.
class CudaMemory : public Memory {
public:
  CudaMemory() {
    library = dlopen(std::getenv("ATTNC_CUDA_DRIVER"), RTLD_NOW);
    if (!library)
      throw std::runtime_error(dlerror());
    int device = 0;
    void *context = nullptr;
    call<int(unsigned)>("cuInit", 0u);
    call<int(int *, int)>("cuDeviceGet", &device, 0);
    call<int(void **, int)>("cuDevicePrimaryCtxRetain", &context, device);
    call<int(void *)>("cuCtxSetCurrent", context);
  }
  void *place(const std::vector<float> &values) override {
    unsigned long long address = 0;
    call<int(unsigned long long *, size_t)>("cuMemAlloc_v2", &address, values.size() * 4);
    call<int(unsigned long long, const void *, size_t)>("cuMemcpyHtoD_v2", address, values.data(),
                                                        values.size() * 4);
    return reinterpret_cast<void *>(address);
  }
  std::vector<float> read(void *memory, size_t count) override {
    std::vector<float> values(count);
    call<int()>("cuCtxSynchronize");
    call<int(void *, unsigned long long, size_t)>("cuMemcpyDtoH_v2", values.data(),
                                                  reinterpret_cast<uintptr_t>(memory), count * 4);
    return values;
  }
  DLDevice device() const override { return {kDLCUDA, 0}; }

private:
  template <typename Function, typename... T> void call(const char *name, T... arguments) {
    auto *function = reinterpret_cast<Function *>(dlsym(library, name));
    if (!function || function(arguments...) != 0)
      throw std::runtime_error(std::string(name) + " failed");
  }
  void *library;
};

/// One problem: its tensors, and what must come out.
class Problem {
public:
  Problem(Memory &memory, unsigned seed, int64_t queries, int64_t keys)
      : memory(memory), shapes{{1, kHeads, queries, kDim},
                               {1, kHeads, keys, kDim},
                               {1, kHeads, keys, kDim},
                               {1, kHeads, queries, kDim},
                               {1, kHeads, queries}} {
    std::mt19937 generator(seed);
    std::normal_distribution<float> normal;
    const char *names[] = {"Q", "K", "V", "out", "lse"};
    for (int i = 0; i < 5; ++i) {
      size_t count = 1;
      for (int64_t size : shapes[i])
        count *= static_cast<size_t>(size);
      values[i].resize(count, NAN);
      if (i < 3)
        for (float &x : values[i])
          x = normal(generator);
      dl[i].data = memory.place(values[i]);
      dl[i].device = memory.device();
      dl[i].ndim = static_cast<int>(shapes[i].size());
      dl[i].dtype = {kDLFloat, 32, 1};
      dl[i].shape = shapes[i].data();
      tensors.push_back({names[i], &dl[i]});
    }
  }

  /// Whether `out` is what the definition says; it is NaN again behind that.
  bool isRight() {
    std::vector<float> out = memory.read(dl[3].data, values[3].size());
    int64_t queries = shapes[0][2], keys = shapes[1][2];
    double worst = 0;
    for (int64_t h = 0; h < kHeads; ++h)
      for (int64_t q = 0; q < queries; ++q)
        for (int64_t e = 0; e < kDim; e += 13) {
          double sum = 0, weighted = 0;
          for (int64_t j = 0; j <= q + keys - queries; ++j) {
            double dot = 0;
            for (int64_t d = 0; d < kDim; ++d)
              dot += double(values[0][(h * queries + q) * kDim + d]) *
                     values[1][(h * keys + j) * kDim + d];
            double weight = std::exp(dot / std::sqrt(double(kDim)));
            sum += weight;
            weighted += weight * values[2][(h * keys + j) * kDim + e];
          }
          double error = std::fabs(out[(h * queries + q) * kDim + e] - weighted / sum);
          worst = error <= worst ? worst : error; // NaN is worse than anything
        }
    return worst < 2e-3;
  }

  std::vector<attnc_tensor> tensors;

private:
  Memory &memory;
  std::vector<int64_t> shapes[5];
  std::vector<float> values[5];
  DLTensor dl[5] = {};
};

std::atomic<int> callsOfParallelFor{0};

void parallelFor(void *, int32_t count, void (*body)(void *, int32_t), void *argument) {
  ++callsOfParallelFor;
  std::vector<std::thread> threads;
  for (int32_t i = 1; i < count; ++i)
    threads.emplace_back(body, argument, i);
  body(argument, 0);
  for (std::thread &thread : threads)
    thread.join();
}

int run(const std::string &file, const std::string &where) {
  using namespace attnc::api;
  bool isCuda = where == "cuda";
  LoadedKernel kernel = LoadedKernel::load(file, isCuda ? "cuda" : "host");
  attnc_parallel parallel = {sizeof parallel, nullptr, 3, parallelFor};
  if (where == "parallel")
    kernel.setParallel(&parallel);
  std::unique_ptr<Memory> memory;
  if (isCuda)
    memory = std::make_unique<CudaMemory>();
  else
    memory = std::make_unique<HostMemory>();
  constexpr int kThreads = 8;
  std::vector<std::unique_ptr<Problem>> problems;
  for (unsigned i = 0; i < kThreads; ++i)
    problems.push_back(std::make_unique<Problem>(*memory, i, 40 + 3 * i, 90 + 7 * i));
  std::atomic<int> failures{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i)
    threads.emplace_back([&, i] {
      try {
        Launch launch = kernel.prepare(problems[i]->tensors);
        for (int round = 0; round < (isCuda ? 1 : 20); ++round)
          launch.run();
        kernel.launch(problems[i]->tensors);
      } catch (const Error &error) {
        std::fprintf(stderr, "%s\n", error.what());
        ++failures;
      }
    });
  for (std::thread &thread : threads)
    thread.join();
  for (auto &problem : problems)
    failures += !problem->isRight();
  // Every launch on the caller's threads went through its function.
  if (where == "parallel" && callsOfParallelFor != kThreads * 21)
    ++failures;
  std::printf("%s on %s: %d failures\n", version().c_str(), where.c_str(), failures.load());
  return failures != 0;
}

} // namespace

int main(int argc, char **argv) {
  if (argc != 3)
    return std::fprintf(stderr, "usage: serve FILE host|parallel|cuda\n"), 2;
  try {
    return run(argv[1], argv[2]);
  } catch (const std::exception &error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
