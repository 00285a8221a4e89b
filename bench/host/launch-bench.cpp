// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What a launch from C costs: causal attention of one query and one key at head dim 16, on one host
// thread, by names (attnc_kernel_launch), prepared (attnc_launch_run), and prepared in other memory
// (attnc_launch_run_on), in turns.
//
//   launch-bench SPEC        CPU time of this thread, best and median of 20 rounds of 20,000
//   launches
#include "attnc/attnc.h"
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <vector>

static double threadMicroseconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

/// `launch` returns a status.
template <typename Launch> static double microsecondsOf(Launch launch) {
  constexpr int count = 20000;
  double start = threadMicroseconds();
  for (int i = 0; i < count; ++i)
    if (launch() != ATTNC_OK)
      return -1;
  return (threadMicroseconds() - start) / count;
}

int main(int argc, char **argv) {
  if (argc != 2)
    return std::fprintf(stderr, "usage: launch-bench SPEC\n"), 2;
  attnc_compile_options options = attnc_default_compile_options();
  options.dtype = "f32";
  options.head_dim = 16;
  options.num_threads = 1;
  attnc_kernel *kernel = nullptr;
  if (attnc_kernel_compile_file(argv[1], &options, &kernel) != ATTNC_OK)
    return std::fprintf(stderr, "%s\n", attnc_last_error()), 1;
  alignas(64) static float memory[5][16];
  int64_t shape[4] = {1, 1, 1, 16};
  const char *names[5] = {"Q", "K", "V", "out", "lse"};
  DLTensor dl[5] = {};
  std::vector<attnc_tensor> tensors;
  for (int i = 0; i < 5; ++i) {
    dl[i].data = memory[i];
    dl[i].device = {kDLCPU, 0};
    dl[i].ndim = i < 4 ? 4 : 3;
    dl[i].dtype = {kDLFloat, 32, 1};
    dl[i].shape = shape;
    tensors.push_back({names[i], &dl[i]});
  }
  attnc_launch *launch = nullptr;
  if (attnc_launch_prepare(kernel, tensors.data(), tensors.size(), nullptr, 0, &launch) != ATTNC_OK)
    return std::fprintf(stderr, "%s\n", attnc_last_error()), 1;
  std::vector<double> byName, prepared, moved;
  void *addresses[5] = {memory[0], memory[1], memory[2], memory[3], memory[4]};
  for (int round = 0; round < 20; ++round) {
    byName.push_back(microsecondsOf([&] {
      return attnc_kernel_launch(kernel, tensors.data(), tensors.size(), nullptr, 0, nullptr);
    }));
    prepared.push_back(microsecondsOf([&] { return attnc_launch_run(launch, nullptr); }));
    moved.push_back(microsecondsOf(
        [&] { return attnc_launch_run_on(launch, addresses, 5, nullptr, 0, nullptr); }));
  }
  for (auto [what, times] :
       {std::pair("by names", &byName), {"prepared", &prepared}, {"in other memory", &moved}}) {
    std::sort(times->begin(), times->end());
    if (times->front() < 0)
      return std::fprintf(stderr, "%s: %s\n", what, attnc_last_error()), 1;
    std::printf("%s: best %.2f us, median %.2f us\n", what, times->front(),
                (*times)[times->size() / 2]);
  }
  attnc_launch_destroy(launch);
  attnc_kernel_destroy(kernel);
}
