// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The host's grid: threads take points from a shared counter, the first grid dimension fastest, so
// that the query tiles of a head find its keys in the cache. Kernels whose programs differ in
// length number them longest first (see convert-attn-to-tile), so the last points are short and
// threads end together.
#include "attnc/Runtime/HostLauncher.h"
#include "llvm/Support/ThreadPool.h"
#include "llvm/Support/Threading.h"
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <new>
#include <thread>

using namespace attnc;

namespace {
/// 64-byte aligned memory that grows.
class Scratch {
public:
  Scratch() = default;
  Scratch(const Scratch &) = delete;
  ~Scratch() { std::free(memory); }

  bool reserve(size_t bytes) {
    if (bytes <= size)
      return true;
    std::free(memory);
    size = (bytes + 63) / 64 * 64;
    memory = std::aligned_alloc(64, size);
    if (!memory)
      size = 0;
    return memory != nullptr;
  }
  void *get() const { return memory; }

private:
  void *memory = nullptr;
  size_t size = 0;
};
} // namespace

struct HostLauncher::State {
  explicit State(unsigned threads) : threads(threads), scratch(threads) {
    if (threads > 1)
      pool = std::make_unique<llvm::StdThreadPool>(llvm::hardware_concurrency(threads - 1));
  }
  unsigned threads;
  std::vector<Scratch> scratch;
  std::unique_ptr<llvm::StdThreadPool> pool;
  std::mutex inUse;
};

static unsigned defaultThreads() {
  if (const char *text = std::getenv("ATTNC_NUM_THREADS")) {
    char *end = nullptr;
    long value = std::strtol(text, &end, 10);
    if (end != text && *end == 0 && value >= 1 && value <= 4096)
      return static_cast<unsigned>(value);
  }
  return std::max(1u, llvm::hardware_concurrency().compute_thread_count());
}

HostLauncher::HostLauncher(unsigned threads)
    : state(std::make_unique<State>(threads ? threads : defaultThreads())) {}
HostLauncher::~HostLauncher() = default;

unsigned HostLauncher::numThreads() const { return state->threads; }

bool HostLauncher::launch(const KernelABI &abi, HostKernelFn kernel, const LaunchInputs &inputs,
                          std::string &error) {
  std::optional<PackedArguments> arguments = packArguments(abi, inputs, error);
  return arguments && launch(abi, kernel, *arguments, error);
}

bool HostLauncher::launch(const KernelABI &abi, HostKernelFn kernel,
                          const PackedArguments &arguments, std::string &error) {
  const auto [n0, n1, n2] = arguments.grid;
  const int64_t points = n0 * n1 * n2;
  if (points == 0)
    return true;
  std::lock_guard<std::mutex> lock(state->inUse);
  unsigned workers = static_cast<unsigned>(std::min<int64_t>(state->threads, points));
  for (unsigned i = 0; i < workers; ++i)
    if (!state->scratch[i].reserve(std::max<int64_t>(abi.scratchBytes, 64))) {
      error = "out of memory: kernel '" + abi.symbol + "' needs " +
              std::to_string(abi.scratchBytes) + " bytes of scratch memory for each of " +
              std::to_string(workers) + " threads; set ATTNC_NUM_THREADS to a smaller number";
      return false;
    }

  std::atomic<int64_t> next{0};
  auto work = [&, n0 = n0, n1 = n1](unsigned worker) {
    for (int64_t point = next++; point < points; point = next++)
      kernel(arguments.slots.data(), static_cast<int32_t>(point % n0),
             static_cast<int32_t>(point / n0 % n1), static_cast<int32_t>(point / n0 / n1),
             state->scratch[worker].get());
  };
  for (unsigned i = 1; i < workers; ++i)
    state->pool->async([&work, i] { work(i); });
  work(0);
  if (workers > 1)
    state->pool->wait();
  return true;
}
