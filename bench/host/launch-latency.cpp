// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// How long a short launch takes while a long one runs: both are causal attention in f32 on the
// host, the short one of one query and one key, from a thread of its own that pauses between
// launches. The same while as many threads spin, and on a machine that is otherwise idle, says what
// of it is the operating system's.
//
//   launch-latency SPEC [MILLISECONDS]      of the long launch; 800 if not given
#include "attnc/attnc.hpp"
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <thread>
#include <vector>

using Clock = std::chrono::steady_clock;
using attnc::api::Kernel;
using attnc::api::Launch;

static double microsecondsSince(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

namespace {
/// Tensors of causal attention, 4 heads of 64.
struct Problem {
  static constexpr int64_t heads = 4, dim = 64;
  explicit Problem(int64_t length) : memory(5), dl(5) {
    const char *names[] = {"Q", "K", "V", "out", "lse"};
    shape = {1, heads, length, dim};
    for (int i = 0; i < 5; ++i) {
      memory[i].assign(static_cast<size_t>(heads * length * dim), 0.5f);
      dl[i].data = memory[i].data();
      dl[i].device = {kDLCPU, 0};
      dl[i].ndim = i < 4 ? 4 : 3;
      dl[i].dtype = {kDLFloat, 32, 1};
      dl[i].shape = shape.data();
      tensors.push_back({names[i], &dl[i]});
    }
  }
  std::vector<std::vector<float>> memory;
  std::vector<DLTensor> dl;
  std::vector<int64_t> shape;
  std::vector<attnc_tensor> tensors;
};
} // namespace

/// Times short launches until `isOver`.
static std::vector<double> timeShort(const Launch &launch, const std::function<bool()> &isOver) {
  std::vector<double> times;
  while (!isOver()) {
    Clock::time_point start = Clock::now();
    launch.run();
    times.push_back(microsecondsSince(start));
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  std::sort(times.begin(), times.end());
  return times;
}

static void print(const char *what, const std::vector<double> &times) {
  if (times.empty())
    return;
  std::printf("%-28s %6zu launches, median %8.1f us, 99 %% %8.1f us, longest %8.1f us\n", what,
              times.size(), times[times.size() / 2], times[times.size() * 99 / 100], times.back());
}

static int measure(const char *spec, double milliseconds) {
  attnc_compile_options options = attnc_default_compile_options();
  options.dtype = "f32";
  Kernel kernel = Kernel::compileFile(spec, options);
  Problem small(1);
  Launch shortOne = kernel.prepare(small.tensors);
  // As long as asked for: twice the length is four times the work.
  double took = 0;
  std::unique_ptr<Problem> large;
  for (int64_t length = 1024; took < 1000 * milliseconds; length = length * 5 / 4) {
    large = std::make_unique<Problem>(length);
    Launch launch = kernel.prepare(large->tensors);
    Clock::time_point start = Clock::now();
    launch.run();
    took = microsecondsSince(start);
  }
  Launch longOne = kernel.prepare(large->tensors);

  Clock::time_point start = Clock::now();
  auto isOver = [&] { return microsecondsSince(start) > took; };
  print("alone", timeShort(shortOne, isOver));

  std::atomic<bool> stop{false};
  std::vector<std::thread> spinning;
  for (unsigned i = 0; i < std::thread::hardware_concurrency(); ++i)
    spinning.emplace_back([&] {
      while (!stop)
        ;
    });
  start = Clock::now();
  print("beside threads that spin", timeShort(shortOne, isOver));
  stop = true;
  for (std::thread &thread : spinning)
    thread.join();

  std::atomic<bool> done{false};
  std::thread other([&] {
    for (int i = 0; i < 3; ++i)
      longOne.run();
    done = true;
  });
  print("beside long launches", timeShort(shortOne, [&] { return done.load(); }));
  other.join();
  std::printf("a long launch of %lld queries took %.0f ms alone\n",
              static_cast<long long>(large->shape[2]), took / 1000);
  return 0;
}

int main(int argc, char **argv) {
  if (argc < 2 || argc > 3)
    return std::fprintf(stderr, "usage: launch-latency SPEC [MILLISECONDS]\n"), 2;
  try {
    return measure(argv[1], argc == 3 ? std::atof(argv[2]) : 800);
  } catch (const attnc::api::Error &error) {
    return std::fprintf(stderr, "%s\n", error.what()), 1;
  }
}
