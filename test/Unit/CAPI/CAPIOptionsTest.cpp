// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Structs of callers that were compiled with other versions, compilation into files, and threads
// that the caller lends.
#include "attnc/attnc.h"
#include "gtest/gtest.h"
#include <cmath>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

namespace {

const char *const kSpec = "attention plain {}\n";

attnc_compile_options f32Options() {
  attnc_compile_options options = attnc_default_compile_options();
  options.dtype = "f32";
  options.head_dim = 16;
  options.no_cache = 1;
  return options;
}

bool lastErrorHas(const char *text) {
  return std::string(attnc_last_error()).find(text) != std::string::npos;
}

TEST(CAPIStructs, SizesSayWhatIsThere) {
  attnc_kernel *kernel = nullptr;
  attnc_compile_options options = f32Options();
  options.struct_size = 0;
  EXPECT_EQ(attnc_kernel_compile(kSpec, "a", &options, &kernel), ATTNC_INVALID_ARGUMENT);
  EXPECT_STREQ(attnc_last_error(), "struct_size is 0: set it to sizeof(attnc_compile_options)");
  // The first version ended before `target`: what is behind is not looked at.
  options = f32Options();
  options.struct_size = offsetof(attnc_compile_options, target);
  std::memset(static_cast<void *>(&options.target), 0xff, sizeof options - options.struct_size);
  EXPECT_EQ(attnc_kernel_compile(kSpec, "a", &options, &kernel), ATTNC_OK) << attnc_last_error();
  attnc_kernel_destroy(kernel);
  // A later one is longer.
  struct {
    attnc_compile_options options = f32Options();
    int64_t added = 0;
  } later;
  later.options.struct_size = sizeof later;
  EXPECT_EQ(attnc_kernel_compile(kSpec, "a", &later.options, &kernel), ATTNC_OK)
      << attnc_last_error();
  attnc_kernel_destroy(kernel);
  later.added = 1;
  EXPECT_EQ(attnc_kernel_compile(kSpec, "a", &later.options, &kernel), ATTNC_INVALID_ARGUMENT);
  EXPECT_TRUE(lastErrorHas("does not know")) << attnc_last_error();
  EXPECT_EQ(kernel, nullptr);
  // Without options all have their defaults.
  EXPECT_EQ(attnc_kernel_compile(kSpec, "a", nullptr, &kernel), ATTNC_OK) << attnc_last_error();
  attnc_kernel_destroy(kernel);
}

/// `q`, `k`, `v` of ones: every output is 1.
struct Ones {
  std::vector<float> in = std::vector<float>(2 * 40 * 16, 1.0f);
  std::vector<float> out = std::vector<float>(2 * 40 * 16, NAN);
  int64_t shape[4] = {1, 2, 40, 16};
  DLTensor dl[4] = {};
  std::vector<attnc_tensor> tensors;
  Ones() {
    const char *names[] = {"Q", "K", "V", "out"};
    for (int i = 0; i < 4; ++i) {
      dl[i].data = i < 3 ? in.data() : out.data();
      dl[i].device = {kDLCPU, 0};
      dl[i].ndim = 4;
      dl[i].dtype = {kDLFloat, 32, 1};
      dl[i].shape = shape;
      tensors.push_back({names[i], &dl[i]});
    }
  }
  bool run(attnc_kernel *kernel) {
    attnc_status status =
        attnc_kernel_launch(kernel, tensors.data(), tensors.size(), nullptr, 0, nullptr);
    bool right = status == ATTNC_OK;
    for (float x : out)
      right &= std::fabs(x - 1) < 1e-5f;
    out.assign(out.size(), NAN);
    return right;
  }
};

TEST(CAPIFiles, CompileWithoutADevice) {
  std::string path = testing::TempDir() + "attnc-options.artifact";
  attnc_compile_options options = f32Options();
  ASSERT_EQ(attnc_compile_to_file(kSpec, "a", &options, path.c_str()), ATTNC_OK)
      << attnc_last_error();
  attnc_kernel *kernel = nullptr;
  ASSERT_EQ(attnc_kernel_load(path.c_str(), nullptr, &kernel), ATTNC_OK) << attnc_last_error();
  EXPECT_TRUE(Ones().run(kernel)) << attnc_last_error();
  attnc_kernel_destroy(kernel);
  options.target = "sm_90a";
  ASSERT_EQ(attnc_compile_to_file(kSpec, "a", &options, path.c_str()), ATTNC_OK)
      << attnc_last_error();
  EXPECT_EQ(attnc_kernel_load(path.c_str(), "host", &kernel), ATTNC_INVALID_ARGUMENT);
  EXPECT_TRUE(lastErrorHas("is code for sm_90a")) << attnc_last_error();
  std::filesystem::remove(path);
}

TEST(CAPIFiles, SayWhatDoesNotFit) {
  std::string path = testing::TempDir() + "attnc-none.artifact";
  auto problem = [&](auto change) {
    attnc_compile_options options = f32Options();
    change(options);
    EXPECT_EQ(attnc_compile_to_file(kSpec, "a", &options, path.c_str()), ATTNC_INVALID_ARGUMENT);
    EXPECT_FALSE(std::filesystem::exists(path));
    return std::string(attnc_last_error());
  };
  EXPECT_NE(problem([](auto &o) { o.target = "sm_1"; }).find("sm_1"), std::string::npos);
  EXPECT_NE(problem([](auto &o) { o.host_features = "x86-64-v9"; }).find("`x86-64-v9`"),
            std::string::npos);
  EXPECT_NE(problem([](auto &o) { o.device = "cuda"; }).find("has no device"), std::string::npos);
  EXPECT_NE(problem([](auto &o) { o.num_threads = 2; }).find("how many threads"),
            std::string::npos);
  attnc_compile_options options = f32Options();
  options.target = "host";
  attnc_kernel *kernel = nullptr;
  EXPECT_EQ(attnc_kernel_compile(kSpec, "a", &options, &kernel), ATTNC_INVALID_ARGUMENT);
  EXPECT_TRUE(lastErrorHas("attnc_compile_to_file")) << attnc_last_error();
}

TEST(CAPIThreads, TheCallerLendsItsOwn) {
  attnc_compile_options options = f32Options();
  attnc_kernel *kernel = nullptr;
  ASSERT_EQ(attnc_kernel_compile(kSpec, "a", &options, &kernel), ATTNC_OK) << attnc_last_error();
  int calls = 0;
  attnc_parallel parallel = {
      sizeof parallel, &calls, 2,
      [](void *context, int32_t count, void (*body)(void *, int32_t), void *argument) {
        ++*static_cast<int *>(context);
        for (int32_t i = 0; i < count; ++i)
          body(argument, i);
      }};
  ASSERT_EQ(attnc_kernel_set_parallel(kernel, &parallel), ATTNC_OK) << attnc_last_error();
  EXPECT_TRUE(Ones().run(kernel)) << attnc_last_error();
  EXPECT_EQ(calls, 1);
  ASSERT_EQ(attnc_kernel_set_parallel(kernel, nullptr), ATTNC_OK);
  EXPECT_TRUE(Ones().run(kernel)) << attnc_last_error();
  EXPECT_EQ(calls, 1);
  parallel.num_workers = 0;
  EXPECT_EQ(attnc_kernel_set_parallel(kernel, &parallel), ATTNC_INVALID_ARGUMENT);
  EXPECT_TRUE(lastErrorHas("num_workers is 0")) << attnc_last_error();
  parallel.num_workers = 1;
  parallel.parallel_for = nullptr;
  EXPECT_EQ(attnc_kernel_set_parallel(kernel, &parallel), ATTNC_INVALID_ARGUMENT);
  EXPECT_TRUE(lastErrorHas("parallel_for is null")) << attnc_last_error();
  EXPECT_EQ(attnc_kernel_set_parallel(nullptr, nullptr), ATTNC_INVALID_ARGUMENT);
  attnc_kernel_destroy(kernel);
}

} // namespace
