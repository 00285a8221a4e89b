// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A program of three launches through the C API: saved, loaded, asked for its workspace, prepared
// and run in memory of its own and of the caller.
#include "TilePrograms.h"
#include "attnc/attnc.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include <atomic>
#include <chrono>
#include <gtest/gtest.h>

using namespace attnc;
using namespace attnc::testing;

static std::atomic<int64_t> numAllocations{0};

#if __has_feature(address_sanitizer)
static constexpr bool countsAllocations = false;
#else
static constexpr bool countsAllocations = true;
/// In place of glibc's, for the whole process: counts, and is glibc's.
extern "C" void *__libc_malloc(size_t size);
extern "C" void *malloc(size_t size) {
  numAllocations.fetch_add(1, std::memory_order_relaxed);
  return __libc_malloc(size);
}
#endif

namespace {

class ProgramsCAPI : public ::testing::Test {
protected:
  static constexpr int64_t rows = 40;

  void SetUp() override {
    llvm::SmallString<128> path;
    ASSERT_FALSE(llvm::sys::fs::createTemporaryFile("attnc-program", "attncc", path));
    ASSERT_FALSE(bool(writeCodeFile(path, "saved", compileTiles(threeKernels(), "host"))));
    attnc_status status = attnc_kernel_load(path.c_str(), "host", &kernel);
    llvm::sys::fs::remove(path);
    ASSERT_EQ(status, ATTNC_OK) << attnc_last_error();
    const char *names[] = {"x", "sum", "out"};
    for (int i = 0; i < 3; ++i) {
      data[i] = i == 0 ? ramp(rows, -1) : std::vector<float>(rows * 16, NAN);
      tensors[i].data = data[i].data();
      tensors[i].device = {kDLCPU, 0};
      tensors[i].ndim = 2;
      tensors[i].dtype = {kDLFloat, 32, 1};
      tensors[i].shape = shape;
      tensors[i].strides = strides;
      named[i] = {names[i], &tensors[i]};
    }
  }
  void TearDown() override {
    attnc_launch_destroy(launch);
    attnc_kernel_destroy(kernel);
  }
  void prepare() {
    ASSERT_EQ(attnc_launch_prepare(kernel, named, 3, &p, 1, &launch), ATTNC_OK)
        << attnc_last_error();
  }
  void expectOutputs() {
    for (size_t i = 0; i < data[0].size(); ++i) {
      float sum = data[0][i] * data[0][i] + 0.5f;
      ASSERT_EQ(data[1][i], sum) << i;
      ASSERT_EQ(data[2][i], sum * sum) << i;
    }
  }
  void forgetOutputs() {
    for (int i : {1, 2})
      std::fill(data[i].begin(), data[i].end(), NAN);
  }

  attnc_kernel *kernel = nullptr;
  attnc_launch *launch = nullptr;
  std::vector<float> data[3];
  int64_t shape[2] = {rows, 16}, strides[2] = {16, 1};
  DLTensor tensors[3] = {};
  attnc_tensor named[3];
  attnc_param p{"p", 0.5};
};

TEST_F(ProgramsCAPI, EveryOutputByItsName) {
  ASSERT_EQ(attnc_kernel_launch(kernel, named, 3, &p, 1, nullptr), ATTNC_OK) << attnc_last_error();
  expectOutputs();
  EXPECT_EQ(attnc_kernel_launch(kernel, named, 2, &p, 1, nullptr), ATTNC_INVALID_ARGUMENT);
  EXPECT_STREQ(attnc_last_error(), "output `out[n, 16]: f32` is not bound");
}

TEST_F(ProgramsCAPI, WorkspaceOfTheCaller) {
  attnc_size size{"n", rows};
  size_t bytes = 0;
  ASSERT_EQ(attnc_kernel_workspace_size(kernel, &size, 1, &bytes), ATTNC_OK) << attnc_last_error();
  EXPECT_EQ(bytes, size_t(2 * rows * 16 * 4));
  prepare();
  EXPECT_EQ(attnc_launch_workspace_size(launch), bytes);
  alignas(256) static char block[2 * rows * 16 * 4];
  std::memset(block, 0xff, sizeof block);
  ASSERT_EQ(attnc_launch_run_with_workspace(launch, block, bytes, nullptr), ATTNC_OK)
      << attnc_last_error();
  expectOutputs();
  forgetOutputs();
  ASSERT_EQ(attnc_kernel_launch_with_workspace(kernel, named, 3, &p, 1, block, bytes, nullptr),
            ATTNC_OK)
      << attnc_last_error();
  expectOutputs();

  EXPECT_EQ(attnc_launch_run_with_workspace(launch, block, bytes - 1, nullptr),
            ATTNC_INVALID_ARGUMENT);
  EXPECT_STREQ(attnc_last_error(), "expected a workspace of at least 5120 bytes, found 5119");
  EXPECT_EQ(attnc_launch_run_with_workspace(launch, block + 16, bytes, nullptr),
            ATTNC_INVALID_ARGUMENT);
  EXPECT_EQ(attnc_launch_run_with_workspace(nullptr, block, bytes, nullptr),
            ATTNC_INVALID_ARGUMENT);
}

TEST_F(ProgramsCAPI, OtherMemoryForEveryKernel) {
  prepare();
  std::vector<float> others[3] = {ramp(rows, 3), std::vector<float>(rows * 16, NAN),
                                  std::vector<float>(rows * 16, NAN)};
  void *addresses[3] = {others[0].data(), others[1].data(), others[2].data()};
  ASSERT_EQ(attnc_launch_run_on(launch, addresses, 3, nullptr, 0, nullptr), ATTNC_OK)
      << attnc_last_error();
  EXPECT_TRUE(std::isnan(data[1][0]));
  for (int i = 0; i < 3; ++i)
    data[i].swap(others[i]);
  expectOutputs();
}

TEST_F(ProgramsCAPI, AsksForTheSizesThatMatter) {
  size_t bytes = 0;
  EXPECT_EQ(attnc_kernel_workspace_size(kernel, nullptr, 0, &bytes), ATTNC_INVALID_ARGUMENT);
  EXPECT_STREQ(attnc_last_error(),
               "the workspace of `steps` depends on the size of index space 'n': pass it");
  attnc_size wrong{"n", -1};
  EXPECT_EQ(attnc_kernel_workspace_size(kernel, &wrong, 1, &bytes), ATTNC_INVALID_ARGUMENT);
  attnc_size nameless{nullptr, 1};
  EXPECT_EQ(attnc_kernel_workspace_size(kernel, &nameless, 1, &bytes), ATTNC_INVALID_ARGUMENT);
  EXPECT_EQ(attnc_kernel_workspace_size(nullptr, nullptr, 0, &bytes), ATTNC_INVALID_ARGUMENT);
  EXPECT_EQ(attnc_kernel_workspace_size(kernel, &wrong, 1, nullptr), ATTNC_INVALID_ARGUMENT);
  EXPECT_EQ(attnc_launch_workspace_size(nullptr), 0u);
}

TEST_F(ProgramsCAPI, PreparedLaunchesAllocateNothing) {
  if (!countsAllocations)
    GTEST_SKIP() << "a sanitizer has its own allocator";
  prepare();
  for (int i = 0; i < 20; ++i) // until threads have scratch memory, and the launch its workspace
    ASSERT_EQ(attnc_launch_run(launch, nullptr), ATTNC_OK);
  forgetOutputs();
  int64_t before = numAllocations;
  for (int i = 0; i < 100; ++i)
    attnc_launch_run(launch, nullptr);
  EXPECT_EQ(numAllocations - before, 0);
  expectOutputs();
  before = numAllocations;
  ASSERT_EQ(attnc_kernel_launch(kernel, named, 3, &p, 1, nullptr), ATTNC_OK);
  EXPECT_GT(numAllocations - before, 0);
}

} // namespace
