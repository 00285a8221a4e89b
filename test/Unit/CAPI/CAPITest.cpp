// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The C API from outside: what a host program may pass, right and wrong. Everything runs on the
// host device.
#include "attnc/Runtime/CodeCache.h"
#include "attnc/attnc.h"
#include "gtest/gtest.h"
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

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

const char *const kCausal =
    "attention causal {\n  align bottom_right\n  mask kv <= q\n  output lse\n}\n";

/// A float tensor with its DLPack description. Strides are in elements.
struct Tensor {
  std::vector<float> data;
  std::vector<int64_t> shape, strides;
  DLTensor dl{};

  Tensor(std::vector<int64_t> shapeIn, std::vector<int64_t> stridesIn = {}, float value = 0)
      : shape(std::move(shapeIn)), strides(std::move(stridesIn)) {
    int64_t size = 1;
    for (size_t i = 0; i < shape.size(); ++i)
      size = strides.empty() ? size * shape[i] : std::max<int64_t>(size, shape[i] * strides[i]);
    data.assign(size, value);
    dl.data = data.data();
    dl.device = {kDLCPU, 0};
    dl.ndim = static_cast<int32_t>(shape.size());
    dl.dtype = {kDLFloat, 32, 1};
    dl.shape = shape.data();
    dl.strides = strides.empty() ? nullptr : strides.data();
  }
  void randomise(int seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    for (float &x : data)
      x = normal(random);
  }
};

class CAPI : public testing::Test {
protected:
  void SetUp() override {
    options.dtype = "f32";
    options.head_dim = 16;
    options.no_cache = 1;
    options.num_threads = 2;
  }
  void TearDown() override { attnc_kernel_destroy(kernel); }
  void compile() {
    ASSERT_EQ(attnc_kernel_compile(kCausal, "causal.attn", &options, &kernel), ATTNC_OK)
        << attnc_last_error();
  }

  attnc_compile_options options = attnc_default_compile_options();
  attnc_kernel *kernel = nullptr;
};

/// Tensors of one causal launch: 2 x 2 x 9 queries, 13 keys, head dim 16.
struct Problem {
  Tensor q{{2, 2, 9, 16}}, k{{2, 2, 13, 16}}, v{{2, 2, 13, 16}};
  Tensor out{{2, 2, 9, 16}, {}, NAN}, lse{{2, 2, 9}, {}, NAN};
  std::vector<attnc_tensor> named{
      {"Q", &q.dl}, {"K", &k.dl}, {"V", &v.dl}, {"out", &out.dl}, {"lse", &lse.dl}};

  Problem() {
    q.randomise(1);
    k.randomise(2);
    v.randomise(3);
  }
  attnc_status launch(attnc_kernel *kernel) {
    return attnc_kernel_launch(kernel, named.data(), named.size(), nullptr, 0, nullptr);
  }
  /// Largest difference from the definition, in double.
  double error() {
    double worst = 0;
    for (int64_t bh = 0; bh < 4; ++bh)
      for (int64_t i = 0; i < 9; ++i) {
        std::vector<double> weights;
        double sum = 0;
        for (int64_t j = 0; j <= i + 4; ++j) {
          double s = 0;
          for (int64_t d = 0; d < 16; ++d)
            s += double(q.data[(bh * 9 + i) * 16 + d]) * k.data[(bh * 13 + j) * 16 + d];
          weights.push_back(std::exp(s / 4));
          sum += weights.back();
        }
        worst = std::max(worst, std::fabs(std::log(sum) - lse.data[bh * 9 + i]));
        for (int64_t d = 0; d < 16; ++d) {
          double o = 0;
          for (size_t j = 0; j < weights.size(); ++j)
            o += weights[j] / sum * v.data[(bh * 13 + j) * 16 + d];
          double x = out.data[(bh * 9 + i) * 16 + d];
          worst = std::isnan(x) ? INFINITY : std::max(worst, std::fabs(o - x));
        }
      }
    return worst;
  }
};

TEST_F(CAPI, ComputesTheDefinition) {
  compile();
  Problem p;
  ASSERT_EQ(p.launch(kernel), ATTNC_OK) << attnc_last_error();
  EXPECT_LT(p.error(), 1e-5);
  size_t bytes = 1;
  EXPECT_EQ(attnc_kernel_workspace_size(kernel, nullptr, 0, &bytes), ATTNC_OK);
  EXPECT_EQ(bytes, 0u);
  EXPECT_NE(std::string(attnc_version()).find("attnc"), std::string::npos);
}

TEST_F(CAPI, PreparedLaunchesRunAgain) {
  compile();
  Problem p;
  attnc_launch *launch = nullptr;
  ASSERT_EQ(attnc_launch_prepare(kernel, p.named.data(), p.named.size(), nullptr, 0, &launch),
            ATTNC_OK)
      << attnc_last_error();
  attnc_kernel_destroy(kernel); // the launch keeps what it needs
  kernel = nullptr;
  for (int seed : {11, 12}) { // new values in the same memory
    p.q.randomise(seed);
    std::fill(p.out.data.begin(), p.out.data.end(), NAN);
    ASSERT_EQ(attnc_launch_run(launch, nullptr), ATTNC_OK) << attnc_last_error();
    EXPECT_LT(p.error(), 1e-5);
  }
  attnc_launch_destroy(launch);
}

TEST_F(CAPI, LaunchesThatDoNotFitAreNotPrepared) {
  compile();
  Problem p;
  auto *const none = reinterpret_cast<attnc_launch *>(1);
  attnc_launch *launch = none;
  auto prepare = [&](const attnc_tensor *tensors, size_t count) {
    return attnc_launch_prepare(kernel, tensors, count, nullptr, 0, &launch);
  };
  EXPECT_EQ(prepare(p.named.data(), 2), ATTNC_INVALID_ARGUMENT);
  EXPECT_EQ(launch, nullptr);
  EXPECT_NE(std::string(attnc_last_error()).find("`V["), std::string::npos) << attnc_last_error();
  EXPECT_EQ(prepare(nullptr, 2), ATTNC_INVALID_ARGUMENT);
  EXPECT_EQ(attnc_launch_prepare(kernel, nullptr, 0, nullptr, 0, nullptr), ATTNC_INVALID_ARGUMENT);
  EXPECT_EQ(attnc_launch_prepare(nullptr, nullptr, 0, nullptr, 0, &launch), ATTNC_INVALID_ARGUMENT);
  EXPECT_EQ(attnc_launch_run(nullptr, nullptr), ATTNC_INVALID_ARGUMENT);
  attnc_launch_destroy(nullptr);
}

TEST_F(CAPI, PreparedLaunchesAllocateNothing) {
  if (!countsAllocations)
    GTEST_SKIP() << "a sanitizer has its own allocator";
  compile();
  Problem p;
  attnc_launch *launch = nullptr;
  ASSERT_EQ(attnc_launch_prepare(kernel, p.named.data(), p.named.size(), nullptr, 0, &launch),
            ATTNC_OK);
  for (int i = 0; i < 20; ++i) // until the threads have their scratch memory
    ASSERT_EQ(attnc_launch_run(launch, nullptr), ATTNC_OK);
  int64_t before = numAllocations;
  for (int i = 0; i < 100; ++i)
    attnc_launch_run(launch, nullptr);
  EXPECT_EQ(numAllocations - before, 0);
  // The count sees what it should: a launch by names makes maps.
  before = numAllocations;
  ASSERT_EQ(p.launch(kernel), ATTNC_OK);
  EXPECT_GT(numAllocations - before, 0);
  attnc_launch_destroy(launch);
}

/// Addresses of a problem's tensors, in the order in which they are named.
static std::vector<void *> addresses(const Problem &p) {
  std::vector<void *> data;
  for (const attnc_tensor &named : p.named)
    data.push_back(static_cast<char *>(named.tensor->data) + named.tensor->byte_offset);
  return data;
}

TEST_F(CAPI, PreparedLaunchesRunInOtherMemory) {
  compile();
  Problem first, second;
  second.q.randomise(21);
  attnc_launch *launch = nullptr;
  ASSERT_EQ(
      attnc_launch_prepare(kernel, first.named.data(), first.named.size(), nullptr, 0, &launch),
      ATTNC_OK);
  auto run = [&](const std::vector<void *> &data) {
    return attnc_launch_run_on(launch, data.data(), data.size(), nullptr, 0, nullptr);
  };
  ASSERT_EQ(run(addresses(second)), ATTNC_OK) << attnc_last_error();
  EXPECT_LT(second.error(), 1e-5);
  EXPECT_TRUE(std::isnan(first.out.data[0])); // what it was prepared with is not touched
  ASSERT_EQ(attnc_launch_run(launch, nullptr), ATTNC_OK);
  EXPECT_LT(first.error(), 1e-5);

  if (countsAllocations) {
    std::vector<void *> data = addresses(second);
    for (int i = 0; i < 20; ++i)
      run(data);
    int64_t before = numAllocations;
    for (int i = 0; i < 100; ++i)
      run(data);
    EXPECT_EQ(numAllocations - before, 0);
  }
  attnc_launch_destroy(launch);
}

TEST_F(CAPI, OtherMemoryIsChecked) {
  compile();
  Problem p;
  attnc_launch *launch = nullptr;
  ASSERT_EQ(attnc_launch_prepare(kernel, p.named.data(), p.named.size(), nullptr, 0, &launch),
            ATTNC_OK);
  auto message = [&](const std::vector<void *> &data) -> std::string {
    std::fill(p.out.data.begin(), p.out.data.end(), 7.0f);
    attnc_status status =
        attnc_launch_run_on(launch, data.data(), data.size(), nullptr, 0, nullptr);
    bool isWritten = p.out.data[0] != 7.0f;
    EXPECT_EQ(isWritten, status == ATTNC_OK);
    return status == ATTNC_INVALID_ARGUMENT ? attnc_last_error() : status ? "another status" : "";
  };
  const std::vector<void *> good = addresses(p);
  auto with = [&](size_t i, void *address) {
    std::vector<void *> data = good;
    data[i] = address;
    return data;
  };
  EXPECT_EQ(message(good), "");
  char *out = static_cast<char *>(good[3]);
  EXPECT_EQ(message(with(0, out)), "output `out` lies on `Q`: a kernel would overwrite what it "
                                   "reads; give it memory of its own");
  EXPECT_EQ(message(with(1, out + 16)),
            "output `out` lies on `K`: a kernel would overwrite what it "
            "reads; give it memory of its own");
  EXPECT_EQ(message(with(4, out + 64)),
            "output `lse` lies on output `out`: each would overwrite the other; give it memory of "
            "its own");
  EXPECT_NE(message(with(0, static_cast<char *>(good[0]) + 2)).find("`Q` starts at an address"),
            std::string::npos);
  EXPECT_EQ(message(with(2, nullptr)), "`V` has elements, but no memory is bound");
  EXPECT_EQ(message({good.begin(), good.end() - 1}),
            "attnc_launch_run_on: expected the addresses of 5 tensors, found 4");
  EXPECT_EQ(message(with(1, good[2])), ""); // inputs may share memory
  EXPECT_EQ(attnc_launch_run_on(nullptr, good.data(), 5, nullptr, 0, nullptr),
            ATTNC_INVALID_ARGUMENT);
  EXPECT_EQ(attnc_launch_run_on(launch, nullptr, 5, nullptr, 0, nullptr), ATTNC_INVALID_ARGUMENT);
  attnc_launch_destroy(launch);
}

/// Outputs that lie between the elements of an input are no error, though no range says so.
TEST_F(CAPI, OtherMemoryMayBeSlicesOfOneBuffer) {
  compile();
  const int64_t rows = 9, head = 16;
  std::vector<float> buffers[2];
  DLTensor dl[5] = {};
  Problem p;
  int64_t shape[4] = {2, 2, rows, head},
          strides[4] = {4 * rows * head, 2 * rows * head, 2 * head, 1};
  attnc_launch *launch = nullptr;
  for (std::vector<float> &buffer : buffers) {
    buffer.assign(static_cast<size_t>(8 * rows * head), NAN);
    for (int64_t row = 0; row < 4 * rows; ++row)
      std::copy_n(p.q.data.begin() + row * head, head, buffer.begin() + 2 * row * head);
    for (int i : {0, 3}) { // Q and out take turns row by row
      dl[i] = *p.named[size_t(i)].tensor;
      dl[i].data = buffer.data() + (i ? head : 0);
      dl[i].shape = shape;
      dl[i].strides = strides;
    }
    std::vector<attnc_tensor> named = p.named;
    named[0].tensor = &dl[0];
    named[3].tensor = &dl[3];
    if (!launch)
      ASSERT_EQ(attnc_launch_prepare(kernel, named.data(), named.size(), nullptr, 0, &launch),
                ATTNC_OK)
          << attnc_last_error();
  }
  std::vector<void *> data = addresses(p);
  data[0] = dl[0].data;
  data[3] = dl[3].data;
  ASSERT_EQ(attnc_launch_run_on(launch, data.data(), 5, nullptr, 0, nullptr), ATTNC_OK)
      << attnc_last_error();
  ASSERT_EQ(p.launch(kernel), ATTNC_OK);
  for (int64_t row = 0; row < 4 * rows; ++row)
    for (int64_t i = 0; i < head; ++i)
      ASSERT_EQ(buffers[1][size_t((2 * row + 1) * head + i)], p.out.data[size_t(row * head + i)]);
  EXPECT_TRUE(std::isnan(buffers[0][size_t(head)]));
  attnc_launch_destroy(launch);
}

TEST_F(CAPI, NullPointersAreArguments) {
  EXPECT_EQ(attnc_kernel_compile(nullptr, "x", &options, &kernel), ATTNC_INVALID_ARGUMENT);
  EXPECT_EQ(attnc_kernel_compile(kCausal, "x", &options, nullptr), ATTNC_INVALID_ARGUMENT);
  EXPECT_EQ(attnc_kernel_compile_file(nullptr, &options, &kernel), ATTNC_INVALID_ARGUMENT);
  EXPECT_EQ(attnc_kernel_load(nullptr, "host", &kernel), ATTNC_INVALID_ARGUMENT);
  EXPECT_EQ(attnc_kernel_save(nullptr, "x"), ATTNC_INVALID_ARGUMENT);
  EXPECT_EQ(attnc_kernel_launch(nullptr, nullptr, 0, nullptr, 0, nullptr), ATTNC_INVALID_ARGUMENT);
  attnc_kernel_destroy(nullptr);
  compile();
  EXPECT_EQ(attnc_kernel_save(kernel, nullptr), ATTNC_INVALID_ARGUMENT);
  EXPECT_EQ(attnc_kernel_launch(kernel, nullptr, 3, nullptr, 0, nullptr), ATTNC_INVALID_ARGUMENT);
  EXPECT_EQ(attnc_kernel_launch(kernel, nullptr, 0, nullptr, 2, nullptr), ATTNC_INVALID_ARGUMENT);
  EXPECT_EQ(attnc_kernel_launch(kernel, nullptr, 0, nullptr, 0, nullptr), ATTNC_INVALID_ARGUMENT);
  Problem p;
  for (size_t i = 0; i < p.named.size(); ++i) {
    for (attnc_tensor broken :
         {attnc_tensor{nullptr, p.named[i].tensor}, {p.named[i].name, nullptr}}) {
      auto tensors = p.named;
      tensors[i] = broken;
      EXPECT_EQ(attnc_kernel_launch(kernel, tensors.data(), tensors.size(), nullptr, 0, nullptr),
                ATTNC_INVALID_ARGUMENT);
    }
    void *data = const_cast<DLTensor *>(p.named[i].tensor)->data;
    const_cast<DLTensor *>(p.named[i].tensor)->data = nullptr;
    EXPECT_EQ(p.launch(kernel), ATTNC_INVALID_ARGUMENT) << p.named[i].name << " without data";
    const_cast<DLTensor *>(p.named[i].tensor)->data = data;
  }
  EXPECT_TRUE(std::isnan(p.out.data[0])) << "a refused launch has written";
}

TEST_F(CAPI, BadSpecsAndOptions) {
  EXPECT_EQ(attnc_kernel_compile("attention x {\n  mask q <\n}\n", "bad.attn", &options, &kernel),
            ATTNC_INVALID_SPEC);
  EXPECT_NE(std::string(attnc_last_error()).find("bad.attn:3:1: error: "), std::string::npos)
      << attnc_last_error();
  EXPECT_EQ(kernel, nullptr);
  EXPECT_EQ(attnc_kernel_compile("", "empty", &options, &kernel), ATTNC_INVALID_SPEC);
  EXPECT_EQ(attnc_kernel_compile_file("/nonexistent.attn", &options, &kernel), ATTNC_IO_ERROR);
  auto with = [&](auto change) {
    attnc_compile_options changed = options;
    change(changed);
    return attnc_kernel_compile(kCausal, nullptr, &changed, &kernel);
  };
  EXPECT_EQ(with([](auto &o) { o.device = "tpu"; }), ATTNC_INVALID_ARGUMENT);
  EXPECT_EQ(with([](auto &o) { o.device = "cuda:x"; }), ATTNC_INVALID_ARGUMENT);
  EXPECT_EQ(with([](auto &o) { o.dtype = "f64"; }), ATTNC_COMPILE_ERROR);
  EXPECT_EQ(with([](auto &o) { o.head_dim = 1025; }), ATTNC_COMPILE_ERROR);
  EXPECT_EQ(with([](auto &o) { o.head_dim = -64; }), ATTNC_COMPILE_ERROR);
  EXPECT_EQ(with([](auto &o) { o.v_head_dim = 1025; }), ATTNC_COMPILE_ERROR);
  EXPECT_EQ(with([](auto &o) { o.row_alignment = 3; }), ATTNC_COMPILE_ERROR);
  EXPECT_EQ(with([](auto &o) { o.variant = "other"; }), ATTNC_INVALID_SPEC);
  EXPECT_EQ(with([](auto &o) { o.num_const_params = 1; }), ATTNC_INVALID_ARGUMENT);
  EXPECT_EQ(kernel, nullptr);
  setenv("ATTNC_CUDA_DRIVER", "/nonexistent", 1);
  EXPECT_EQ(with([](auto &o) { o.device = "cuda"; }), ATTNC_DEVICE_ERROR);
}

TEST_F(CAPI, TensorsThatDoNotFit) {
  compile();
  auto refused = [&](auto change) {
    Problem p;
    change(p);
    attnc_status status = p.launch(kernel);
    EXPECT_TRUE(std::isnan(p.out.data[0])) << "a refused launch has written";
    return status == ATTNC_INVALID_ARGUMENT && *attnc_last_error();
  };
  EXPECT_TRUE(refused([](Problem &p) { p.q.dl.dtype = {kDLFloat, 64, 1}; }));
  EXPECT_TRUE(refused([](Problem &p) { p.q.dl.dtype = {kDLFloat, 16, 1}; }));
  EXPECT_TRUE(refused([](Problem &p) { p.q.dl.dtype.lanes = 4; }));
  EXPECT_TRUE(refused([](Problem &p) { p.q.dl.device.device_type = kDLCUDA; }));
  EXPECT_TRUE(refused([](Problem &p) { p.q.dl.ndim = 3; }));
  EXPECT_TRUE(refused([](Problem &p) { p.q.dl.ndim = -1; }));
  EXPECT_TRUE(refused([](Problem &p) { p.q.dl.shape = nullptr; }));
  EXPECT_TRUE(refused([](Problem &p) { p.k.shape[2] = 12; })); // V has 13
  EXPECT_TRUE(refused([](Problem &p) { p.q.shape[3] = 8; }));  // compiled for 16
  EXPECT_TRUE(refused([](Problem &p) { p.q.shape[2] = -9; }));
  EXPECT_TRUE(refused([](Problem &p) { p.out.shape[2] = 8; }));
  EXPECT_TRUE(refused([](Problem &p) { p.k.shape[1] = p.v.shape[1] = 3; })); // 2 heads, 3 kv heads
  EXPECT_TRUE(refused([](Problem &p) { p.named.pop_back(); }));              // no lse
  EXPECT_TRUE(refused([](Problem &p) { p.named[4].name = "LSE"; }));
  EXPECT_TRUE(refused([](Problem &p) {
    p.q.strides = {288, 144, 1, 9}; // rows that are not contiguous
    p.q.dl.strides = p.q.strides.data();
  }));
  Problem p;
  attnc_param unknown{"window", 3}, unnamed{nullptr, 3};
  EXPECT_EQ(attnc_kernel_launch(kernel, p.named.data(), p.named.size(), &unknown, 1, nullptr),
            ATTNC_INVALID_ARGUMENT);
  EXPECT_EQ(attnc_kernel_launch(kernel, p.named.data(), p.named.size(), &unnamed, 1, nullptr),
            ATTNC_INVALID_ARGUMENT);
}

/// Parameters have defaults, launches change them, and unknown ones are refused.
TEST_F(CAPI, Parameters) {
  const char *text =
      "attention w(window: int = 1000, unused: int = 3, c: const int = 2) {\n  align bottom_right\n"
      "  mask kv <= q and q - kv < window\n}\n";
  ASSERT_EQ(attnc_kernel_compile(text, "w.attn", &options, &kernel), ATTNC_OK)
      << attnc_last_error();
  Problem p;
  auto launch = [&](std::vector<attnc_param> params) {
    return attnc_kernel_launch(kernel, p.named.data(), 4, params.data(), params.size(), nullptr);
  };
  ASSERT_EQ(launch({}), ATTNC_OK) << attnc_last_error();
  std::vector<float> wide = p.out.data;
  ASSERT_EQ(launch({{"window", 1}, {"unused", 5}}), ATTNC_OK) << attnc_last_error();
  for (int64_t d = 0; d < 16; ++d)
    EXPECT_EQ(p.out.data[d], p.v.data[4 * 16 + d]); // row 0 sees key 4 alone
  ASSERT_EQ(launch({}), ATTNC_OK);
  EXPECT_EQ(p.out.data, wide);
  EXPECT_EQ(launch({{"size", 1}}), ATTNC_INVALID_ARGUMENT);
  EXPECT_EQ(launch({{"c", 1}}), ATTNC_INVALID_ARGUMENT);
}

/// Each front door asks the same checks: what C passes is refused in the words of the command line.
TEST_F(CAPI, NumbersThatParametersCannotHold) {
  const char *text =
      "attention w(window: int = 9, c: const int = 2, cap: f32 = 1) {\n"
      "  align bottom_right\n  score s * cap\n  mask q - kv < window and kv > c\n}\n";
  for (double value : {double(NAN), 2.5, 2147483648.0, -2147483649.0, HUGE_VAL}) {
    attnc_param constant = {"c", value};
    options.const_params = &constant;
    options.num_const_params = 1;
    EXPECT_EQ(attnc_kernel_compile(text, "w.attn", &options, &kernel), ATTNC_INVALID_ARGUMENT);
    EXPECT_EQ(std::string(attnc_last_error()).find("parameter `c` is an int of 32 bits, found "),
              0u)
        << attnc_last_error();
  }
  attnc_param constant = {"c", -2147483648.0};
  options.const_params = &constant;
  ASSERT_EQ(attnc_kernel_compile(text, "w.attn", &options, &kernel), ATTNC_OK)
      << attnc_last_error();
  Problem p;
  auto launch = [&](std::vector<attnc_param> params) {
    return attnc_kernel_launch(kernel, p.named.data(), 4, params.data(), params.size(), nullptr);
  };
  for (double value : {double(NAN), 2.5, 2147483648.0, -2147483649.0, HUGE_VAL}) {
    EXPECT_EQ(launch({{"window", value}}), ATTNC_INVALID_ARGUMENT);
    EXPECT_EQ(
        std::string(attnc_last_error()).find("parameter `window` is an int of 32 bits, found "), 0u)
        << attnc_last_error();
  }
  EXPECT_EQ(launch({{"cap", 1e39}}), ATTNC_INVALID_ARGUMENT);
  EXPECT_EQ(launch({{"windows", 3}}), ATTNC_INVALID_ARGUMENT);
  EXPECT_STREQ(
      attnc_last_error(),
      "`windows` is not a launch parameter of `w`; it has window, cap; did you mean `window`?");
  EXPECT_TRUE(std::isnan(p.out.data[0])); // nothing was written
  EXPECT_EQ(launch({{"window", -2147483648.0}, {"cap", INFINITY}}), ATTNC_OK) << attnc_last_error();
}

TEST_F(CAPI, UnknownTensorNames) {
  compile();
  Problem p;
  Tensor extra({2, 2, 9});
  p.named.push_back({"LSE", &extra.dl});
  EXPECT_EQ(p.launch(kernel), ATTNC_INVALID_ARGUMENT);
  EXPECT_STREQ(attnc_last_error(), "`LSE` is not a tensor of `causal`; it has Q, K, V, out, lse; "
                                   "did you mean `lse`?");
  EXPECT_TRUE(std::isnan(p.out.data[0]));
  // An input that the spec declares and does not use is no unknown one.
  attnc_kernel_destroy(kernel);
  kernel = nullptr;
  ASSERT_EQ(
      attnc_kernel_compile("attention x { input doc: f32[b, h, q] }", "x.attn", &options, &kernel),
      ATTNC_OK)
      << attnc_last_error();
  p.named[4].name = "doc";
  p.named.pop_back();
  EXPECT_EQ(p.launch(kernel), ATTNC_OK) << attnc_last_error();
}

TEST_F(CAPI, OutputsThatLieOnOtherTensors) {
  compile();
  Problem p;
  float *own = p.out.data.data();
  auto message = [&] {
    EXPECT_EQ(p.launch(kernel), ATTNC_INVALID_ARGUMENT);
    return std::string(attnc_last_error());
  };
  p.out.dl.data = p.q.data.data();
  EXPECT_EQ(message().find("output `out` lies on `Q`: "), 0u);
  // A part of it: one float of the last row.
  p.q.data.resize(2 * 576);
  p.q.dl.data = p.q.data.data();
  p.out.dl.data = p.q.data.data() + 575;
  EXPECT_EQ(message().find("output `out` lies on `Q`: "), 0u);
  p.out.dl.data = p.q.data.data() + 576;
  EXPECT_EQ(p.launch(kernel), ATTNC_OK) << attnc_last_error();
  p.out.dl.data = own;
  p.lse.dl.data = own + 100;
  EXPECT_EQ(message().find("output `lse` lies on output `out`: "), 0u);
  // Elements of one output.
  p.lse.dl.data = p.lse.data.data();
  p.lse.strides = {18, 9, 0};
  p.lse.dl.strides = p.lse.strides.data();
  EXPECT_EQ(message(), "output `lse` cannot have stride 0 on axis 2: its elements would overlap");
  p.lse.strides = {18, 5, 1};
  EXPECT_EQ(message(), "output `lse` of shape [2, 2, 9] cannot have strides [18, 5, 1]: its "
                       "elements would overlap");
  // A broadcast input is fine.
  p.lse.strides = {18, 9, 1};
  p.k.strides = {0, 0, 16, 1};
  p.k.dl.strides = p.k.strides.data();
  EXPECT_EQ(p.launch(kernel), ATTNC_OK) << attnc_last_error();
}

TEST_F(CAPI, AnOffsetFromNothingIsNoMemory) {
  compile();
  Problem p;
  p.v.dl.data = nullptr;
  p.v.dl.byte_offset = 4096;
  EXPECT_EQ(p.launch(kernel), ATTNC_INVALID_ARGUMENT);
  EXPECT_STREQ(attnc_last_error(), "`V` has elements, but no memory is bound");
}

TEST_F(CAPI, FilesAreReadBehindANul) {
  std::string file = testing::TempDir() + "attnc-nul.attn";
  std::ofstream(file, std::ios::binary) << kCausal << '\0' << "more";
  EXPECT_EQ(attnc_kernel_compile_file(file.c_str(), &options, &kernel), ATTNC_INVALID_SPEC);
  EXPECT_NE(std::string(attnc_last_error()).find(":6:1: error: unexpected character"),
            std::string::npos)
      << attnc_last_error();
  std::filesystem::remove(file);
  EXPECT_EQ(attnc_kernel_compile_file("/dev/zero", &options, &kernel), ATTNC_IO_ERROR);
  EXPECT_STREQ(attnc_last_error(), "cannot read `/dev/zero`: it is larger than 64 MB, the most "
                                   "that a spec may have");
}

TEST_F(CAPI, MoreThreadsOrMemoryThanThereAre) {
  for (int threads : {2000000000, -1, 4097}) {
    options.num_threads = threads;
    EXPECT_EQ(attnc_kernel_compile(kCausal, "causal.attn", &options, &kernel),
              ATTNC_INVALID_ARGUMENT);
    EXPECT_EQ(attnc_last_error(), "num_threads is " + std::to_string(threads) +
                                      ": expected a number from 0, the default, to 4096");
  }
  options.num_threads = 0;
  for (auto [chunk, problem] : {std::pair(-1, "expected a number from 0 to 4096"),
                                {24, "expected a multiple of 16, or less than that"}}) {
    options.chunk = chunk;
    EXPECT_EQ(attnc_kernel_compile(kCausal, "causal.attn", &options, &kernel),
              ATTNC_INVALID_ARGUMENT);
    EXPECT_EQ(attnc_last_error(), "chunk is " + std::to_string(chunk) + ": " + problem);
  }
  options.chunk = 0;
  // One row, broadcast: the reference would take 1.1 TB for its copies.
  attnc_spec *spec = nullptr;
  ASSERT_EQ(attnc_spec_parse("attention plain {}", nullptr, nullptr, &spec), ATTNC_OK);
  Tensor row({1}, {}, 1);
  std::vector<int64_t> shape = {1, 1, 2147483647, 16}, strides = {0, 0, 0, 0};
  row.dl.ndim = 4;
  row.dl.shape = shape.data();
  row.dl.strides = strides.data();
  std::vector<attnc_tensor> tensors = {{"Q", &row.dl}, {"K", &row.dl}, {"V", &row.dl}};
  EXPECT_EQ(attnc_spec_reference(spec, tensors.data(), 3, nullptr, 0, nullptr, 0, 0),
            ATTNC_OUT_OF_MEMORY);
  EXPECT_NE(std::string(attnc_last_error()).find("of memory are left"), std::string::npos)
      << attnc_last_error();
  EXPECT_EQ(attnc_spec_reference(spec, tensors.data(), 3, nullptr, 0, nullptr, 0, -1),
            ATTNC_INVALID_ARGUMENT);
  attnc_spec_destroy(spec);
}

TEST_F(CAPI, CodeOfAnotherCPUIsRefused) {
  compile();
  std::string file = testing::TempDir() + "attnc-cpu.bin";
  ASSERT_EQ(attnc_kernel_save(kernel, file.c_str()), ATTNC_OK) << attnc_last_error();
  attnc::Outcome<attnc::CompiledCode> code = attnc::readCodeFile(file, "saved");
  ASSERT_TRUE(static_cast<bool>(code));
  EXPECT_FALSE(code->cpuFeatures.empty());
  code->cpuFeatures.push_back("of-the-next-century");
  ASSERT_FALSE(attnc::writeCodeFile(file, "saved", *code));
  attnc_kernel *loaded = nullptr;
  EXPECT_EQ(attnc_kernel_load(file.c_str(), "host", &loaded), ATTNC_DEVICE_ERROR);
  EXPECT_STREQ(attnc_last_error(), "the code was compiled for another CPU: this one lacks "
                                   "of-the-next-century; compile the spec here");
  EXPECT_EQ(loaded, nullptr);
  std::filesystem::remove(file);
}

/// A child of a program that has launched kernels launches them too; it hung once.
TEST_F(CAPI, AForkedChildLaunches) {
  options.num_threads = 3;
  compile();
  Problem p;
  ASSERT_EQ(p.launch(kernel), ATTNC_OK) << attnc_last_error();
  std::vector<float> wanted = p.out.data;
  std::fill(p.out.data.begin(), p.out.data.end(), NAN);
  pid_t child = fork();
  if (child == 0) {
    alarm(20);
    _exit(p.launch(kernel) == ATTNC_OK && p.out.data == wanted ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

/// [b, q, h, d] in memory, and rows with a gap behind them, that must stay as they were.
TEST_F(CAPI, StridedTensors) {
  compile();
  Problem dense;
  ASSERT_EQ(dense.launch(kernel), ATTNC_OK) << attnc_last_error();
  Problem p;
  const std::vector<int64_t> strides = {9 * 2 * 24, 24, 2 * 24, 1};
  Tensor q({2, 2, 9, 16}, strides), out({2, 2, 9, 16}, strides, 77.0f);
  auto at = [&](int64_t bh, int64_t i, int64_t d) {
    return bh / 2 * strides[0] + bh % 2 * strides[1] + i * strides[2] + d;
  };
  for (int64_t bh = 0; bh < 4; ++bh)
    for (int64_t i = 0; i < 9; ++i)
      for (int64_t d = 0; d < 16; ++d)
        q.data[at(bh, i, d)] = p.q.data[(bh * 9 + i) * 16 + d];
  p.named[0].tensor = &q.dl;
  p.named[3].tensor = &out.dl;
  ASSERT_EQ(p.launch(kernel), ATTNC_OK) << attnc_last_error();
  for (int64_t bh = 0; bh < 4; ++bh)
    for (int64_t i = 0; i < 9; ++i)
      for (int64_t d = 0; d < 24 && at(bh, i, d) < int64_t(out.data.size()); ++d) {
        float expected = d < 16 ? dense.out.data[(bh * 9 + i) * 16 + d] : 77.0f;
        ASSERT_EQ(out.data[at(bh, i, d)], expected) << bh << " " << i << " " << d;
      }
}

TEST_F(CAPI, SaveLoadAndDamage) {
  compile();
  Problem p, again;
  ASSERT_EQ(p.launch(kernel), ATTNC_OK);
  std::string path = testing::TempDir() + "capi-test.attncc";
  ASSERT_EQ(attnc_kernel_save(kernel, path.c_str()), ATTNC_OK) << attnc_last_error();
  attnc_kernel *loaded = nullptr;
  ASSERT_EQ(attnc_kernel_load(path.c_str(), "host", &loaded), ATTNC_OK) << attnc_last_error();
  ASSERT_EQ(again.launch(loaded), ATTNC_OK) << attnc_last_error();
  EXPECT_EQ(again.out.data, p.out.data);
  attnc_kernel_destroy(loaded);

  std::ifstream in(path, std::ios::binary);
  std::string good((std::istreambuf_iterator<char>(in)), {});
  auto refused = [&](const std::string &content) {
    std::ofstream(path, std::ios::binary) << content;
    loaded = nullptr;
    bool io = attnc_kernel_load(path.c_str(), "host", &loaded) == ATTNC_IO_ERROR && !loaded &&
              *attnc_last_error();
    attnc_kernel_destroy(loaded);
    return io;
  };
  EXPECT_TRUE(refused(""));
  EXPECT_TRUE(refused("not a kernel"));
  EXPECT_TRUE(refused(good.substr(0, good.size() - 1)));
  EXPECT_TRUE(refused(good + "x"));
  std::mt19937 random(5);
  for (int i = 0; i < 200; ++i) {
    std::string damaged = good;
    size_t at = i < 100 ? i % damaged.size() : random() % damaged.size();
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << random() % 8));
    EXPECT_TRUE(refused(damaged)) << "a flipped bit at " << at << " goes unnoticed";
  }
  EXPECT_EQ(attnc_kernel_load("/nonexistent", "host", &loaded), ATTNC_IO_ERROR);
  EXPECT_EQ(attnc_kernel_save(kernel, "/nonexistent/file"), ATTNC_IO_ERROR);
  std::filesystem::remove(path);
}

TEST_F(CAPI, ThreadsLaunchOneKernel) {
  compile();
  Problem expected;
  ASSERT_EQ(expected.launch(kernel), ATTNC_OK);
  std::vector<std::thread> threads;
  std::vector<int> wrong(4, 0);
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        Problem p;
        if (i % 5 == 4) // the last error is the thread's own
          wrong[t] += attnc_kernel_launch(kernel, nullptr, 1, nullptr, 0, nullptr) !=
                      ATTNC_INVALID_ARGUMENT;
        wrong[t] += p.launch(kernel) != ATTNC_OK || p.out.data != expected.out.data;
      }
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4, 0));
}

} // namespace
