// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Attention kernels on the host against a double loop: element types, head dims, tile shapes,
// lengths, grouped heads, strided tensors with NaN in the gaps, rows without keys, every vector
// level.
#include "HostHarness.h"
#include "gtest/gtest.h"

using namespace attnc;
using namespace attnc::testing;

namespace {

struct Problem {
  int64_t batch = 1, heads = 2, groups = 1, rows = 65, keys = 65;
  int64_t gap = 3;
};

double boundOf(const std::string &dtype) {
  return dtype == "f32" ? 1e-6 : dtype == "f16" ? 1e-3 : 5e-3;
}

void check(const CompiledHost &compiled, const FlashKernelShape &shape, const Problem &problem,
           unsigned threads = 1) {
  SCOPED_TRACE(::testing::Message()
               << shape.dtype << " d=" << shape.headDim << " e=" << shape.vHeadDim << " tile "
               << shape.tileQ << "x" << shape.tileKV << " q=" << problem.rows
               << " kv=" << problem.keys << " h=" << problem.heads << " g=" << problem.groups);
  DType dtype = dtypeNamed(shape.dtype);
  Tensor q({problem.batch, problem.heads, problem.rows, shape.headDim}, dtype, problem.gap);
  Tensor k({problem.batch, problem.groups, problem.keys, shape.headDim}, dtype, problem.gap);
  Tensor v({problem.batch, problem.groups, problem.keys, shape.vHeadDim}, dtype, problem.gap);
  Tensor out({problem.batch, problem.heads, problem.rows, shape.vHeadDim}, dtype, problem.gap);
  Tensor lse({problem.batch, problem.heads, problem.rows}, DType::F32);
  q.randomize(1);
  k.randomize(2);
  v.randomize(3);
  std::vector<uint8_t> before = out.bytes.copy();
  HostLauncher launcher(threads);
  LaunchInputs inputs{
      {{"Q", q.view}, {"K", k.view}, {"V", v.view}, {"out", out.view}, {"lse", lse.view}}, {}};
  ASSERT_EQ(launcher.launch(compiled.object.program, {compiled.kernel}, inputs).message(), "");

  std::vector<double> wantOut, wantLse;
  naiveAttention(q, k, v, causalDefinition(shape.causal), wantOut, wantLse);
  EXPECT_LE(relativeError(out, wantOut), boundOf(shape.dtype));
  size_t at = 0;
  for (int64_t b = 0; b < problem.batch; ++b)
    for (int64_t h = 0; h < problem.heads; ++h)
      for (int64_t i = 0; i < problem.rows; ++i, ++at) {
        double found = lse.get({b, h, i});
        if (std::isinf(wantLse[at]))
          ASSERT_EQ(found, wantLse[at]) << "row " << i;
        else
          ASSERT_NEAR(found, wantLse[at], 2e-6 * (1 + std::abs(wantLse[at]))) << "row " << i;
      }
  // Gaps between rows are not written.
  int64_t size = dtypeSize(dtype), pitch = (shape.vHeadDim + problem.gap) * size;
  for (size_t i = 0; i < out.bytes.size(); ++i)
    if (static_cast<int64_t>(i) % pitch >= shape.vHeadDim * size)
      ASSERT_EQ(out.bytes[i], before[i]) << "byte " << i << " of a gap";
}

std::vector<HostISA> runnableLevels() {
  std::vector<HostISA> levels;
  for (HostISA isa :
       {HostISA::Generic, HostISA::AVX2, HostISA::AVX512, HostISA::AVX512BF16, HostISA::AMX})
    if (isa <= HostFeatures::native().isa)
      levels.push_back(isa);
  return levels;
}

class HostKernel : public ::testing::TestWithParam<std::tuple<std::string, int64_t>> {};

TEST_P(HostKernel, LengthsAndStrides) {
  FlashKernelShape shape;
  shape.dtype = std::get<0>(GetParam());
  shape.headDim = shape.vHeadDim = std::get<1>(GetParam());
  shape.tileKV = shape.headDim > 128 ? 32 : 64;
  CompiledHost compiled = compileText(flashKernel(shape));
  ASSERT_TRUE(compiled.kernel) << compiled.error;
  for (int64_t rows : {1, 63, 65, 130})
    for (int64_t keys : {0, 1, 63, 64, 200})
      check(compiled, shape, {1, 2, 1, rows, keys, 3});
  check(compiled, shape, {2, 4, 2, 33, 1000, 8}, /*threads=*/2);
}

INSTANTIATE_TEST_SUITE_P(DTypesAndHeadDims, HostKernel,
                         ::testing::Combine(::testing::Values("f32", "f16", "bf16"),
                                            ::testing::Values(16, 40, 64, 72, 80, 96, 128, 256)),
                         [](const auto &info) {
                           return std::get<0>(info.param) + "_" +
                                  std::to_string(std::get<1>(info.param));
                         });

TEST(HostKernelLevels, EveryVectorWidth) {
  for (HostISA isa : runnableLevels())
    for (const char *dtype : {"f32", "f16", "bf16"})
      for (int64_t headDim : {40, 64, 72}) {
        SCOPED_TRACE(stringifyHostISA(isa).str());
        FlashKernelShape shape;
        shape.dtype = dtype;
        shape.headDim = headDim;
        shape.vHeadDim = 48;
        shape.tileQ = 32;
        shape.tileKV = 48;
        HostCompileOptions options;
        options.isa = isa;
        options.verify = true;
        CompiledHost compiled = compileText(flashKernel(shape), options);
        ASSERT_TRUE(compiled.kernel) << compiled.error;
        for (auto [rows, keys] :
             {std::pair(1, 1), std::pair(65, 63), std::pair(63, 130), std::pair(70, 20)})
          check(compiled, shape, {1, 2, 2, rows, keys, 5});
      }
}

TEST(HostKernelLevels, FullAttentionAndTileShapes) {
  for (auto [tileQ, tileKV] :
       {std::pair(16, 16), std::pair(8, 128), std::pair(24, 40), std::pair(128, 256)}) {
    FlashKernelShape shape;
    shape.causal = false;
    shape.tileQ = tileQ;
    shape.tileKV = tileKV;
    shape.headDim = 48;
    CompiledHost compiled = compileText(flashKernel(shape));
    ASSERT_TRUE(compiled.kernel) << compiled.error;
    for (auto [rows, keys] : {std::pair(1, 1), std::pair(65, 63), std::pair(130, 300)})
      check(compiled, shape, {1, 2, 1, rows, keys, 1});
  }
}

/// Depths that a matrix unit goes through in a loop: whole steps, and half of one at the end.
TEST(HostKernelLevels, DeepProducts) {
  for (HostISA isa : runnableLevels()) {
    SCOPED_TRACE(stringifyHostISA(isa).str());
    FlashKernelShape shape;
    shape.dtype = "bf16";
    shape.headDim = 288;
    shape.vHeadDim = 32;
    shape.tileQ = 16;
    shape.tileKV = 304;
    HostCompileOptions options;
    options.isa = isa;
    CompiledHost compiled = compileText(flashKernel(shape), options);
    ASSERT_TRUE(compiled.kernel) << compiled.error;
    for (auto [rows, keys] : {std::pair(17, 303), std::pair(40, 700)})
      check(compiled, shape, {1, 2, 1, rows, keys, 1});
  }
}

TEST(HostKernelLevels, SkipsHiddenTiles) {
  for (HostISA isa : runnableLevels()) {
    FlashKernelShape shape;
    shape.skipHidden = true;
    shape.tileQ = 32;
    shape.tileKV = 24;
    HostCompileOptions options;
    options.isa = isa;
    CompiledHost compiled = compileText(flashKernel(shape), options);
    ASSERT_TRUE(compiled.kernel) << compiled.error;
    for (auto [rows, keys] :
         {std::pair(1, 1), std::pair(65, 63), std::pair(200, 200), std::pair(130, 40)})
      check(compiled, shape, {1, 2, 1, rows, keys, 1});
  }
}

// NaN and infinite inputs reach exactly the outputs that depend on them.
TEST(HostKernelValues, NaNAndInfinity) {
  for (HostISA isa : runnableLevels())
    for (const char *dtypeText : {"f32", "f16", "bf16"}) {
      SCOPED_TRACE(stringifyHostISA(isa).str() + " " + dtypeText);
      FlashKernelShape shape;
      shape.dtype = dtypeText;
      HostCompileOptions options;
      options.isa = isa;
      CompiledHost compiled = compileText(flashKernel(shape), options);
      ASSERT_TRUE(compiled.kernel) << compiled.error;
      DType dtype = dtypeNamed(dtypeText);
      Tensor q({1, 1, 70, 64}, dtype), k({1, 1, 70, 64}, dtype), v({1, 1, 70, 64}, dtype);
      Tensor out({1, 1, 70, 64}, dtype), lse({1, 1, 70}, DType::F32);
      q.randomize(1);
      k.randomize(2);
      v.randomize(3);
      for (int64_t i = 0; i < 70;
           ++i) // row 5 of Q is NaN; key 66 scores -inf for all rows, as q[0] > 0
        q.set({0, 0, i, 0}, i == 5 ? NAN : 1.0f);
      k.set({0, 0, 66, 0}, -INFINITY);
      v.set({0, 0, 68, 7}, INFINITY);
      HostLauncher launcher(1);
      LaunchInputs inputs{
          {{"Q", q.view}, {"K", k.view}, {"V", v.view}, {"out", out.view}, {"lse", lse.view}}, {}};
      ASSERT_EQ(launcher.launch(compiled.object.program, {compiled.kernel}, inputs).message(), "");
      for (int64_t i = 0; i < 70; ++i)
        for (int64_t e = 0; e < 64; ++e) {
          float value = out.get({0, 0, i, e});
          // Keys that the mask hides within a visited tile still multiply 0 by their value.
          bool sameTile = i >= 64, infinite = sameTile && e == 7;
          if (i == 5)
            EXPECT_TRUE(std::isnan(value)) << i << " " << e;
          else if (!infinite)
            EXPECT_TRUE(std::isfinite(value)) << i << " " << e;
          else if (i >= 68)
            EXPECT_TRUE(std::isinf(value)) << i;
        }
      EXPECT_TRUE(std::isnan(lse.get({0, 0, 5})));
      EXPECT_TRUE(std::isfinite(lse.get({0, 0, 69})));
    }
}

// Heads and rows that lie beyond 2^31 elements from the base: the memory is reserved, not used.
TEST(HostKernelValues, AddressesBeyond2To31Elements) {
  const int64_t rowStride = (int64_t(1) << 28) + 8, headStride = (int64_t(1) << 32) + 24;
  const size_t bytes = size_t(headStride * 2 + rowStride * 9) * 4;
  auto reserve = [&] {
    return mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                -1, 0);
  };
  void *memory = reserve(), *target = reserve();
  if (memory == MAP_FAILED || target == MAP_FAILED)
    GTEST_SKIP() << "this machine does not reserve " << bytes << " bytes of addresses";
  FlashKernelShape shape;
  shape.headDim = shape.vHeadDim = 16;
  CompiledHost compiled = compileText(flashKernel(shape));
  ASSERT_TRUE(compiled.kernel) << compiled.error;
  Tensor q({1, 2, 9, 16}, DType::F32), out({1, 2, 9, 16}, DType::F32), lse({1, 2, 9}, DType::F32);
  q.randomize(1);
  auto far = [&](void *base) {
    TensorView view = q.view;
    view.data = base;
    view.strides = {headStride * 2, headStride, rowStride, 1};
    return view;
  };
  for (int64_t h = 0; h < 2; ++h)
    for (int64_t i = 0; i < 9; ++i)
      for (int64_t d = 0; d < 16; ++d)
        static_cast<float *>(memory)[h * headStride + i * rowStride + d] = q.get({0, h, i, d});
  HostLauncher launcher(1);
  LaunchInputs inputs{{{"Q", far(memory)},
                       {"K", far(memory)},
                       {"V", far(memory)},
                       {"out", far(target)},
                       {"lse", lse.view}},
                      {}};
  ASSERT_EQ(launcher.launch(compiled.object.program, {compiled.kernel}, inputs).message(), "");
  for (int64_t h = 0; h < 2; ++h)
    for (int64_t i = 0; i < 9; ++i)
      for (int64_t d = 0; d < 16; ++d)
        out.set({0, h, i, d}, static_cast<float *>(target)[h * headStride + i * rowStride + d]);
  std::vector<double> wantOut, wantLse;
  naiveAttention(q, q, q, causalDefinition(), wantOut, wantLse);
  EXPECT_LE(relativeError(out, wantOut), 1e-6);
  munmap(memory, bytes);
  munmap(target, bytes);
}

// A hidden key is never multiplied: with tile.skip_hidden a NaN in a value that no row of the tile
// sees does not reach the output. That is how this test sees that tiles are skipped.
TEST(HostKernelLevels, HiddenTilesAreNotComputed) {
  for (bool skip : {true, false}) {
    FlashKernelShape shape;
    shape.skipHidden = true;
    std::string text = flashKernel(shape);
    if (!skip)
      text = text.erase(text.find("{tile.skip_hidden}"), 18);
    CompiledHost compiled = compileText(text);
    ASSERT_TRUE(compiled.kernel) << compiled.error;
    Tensor q({1, 1, 128, 64}, DType::F32), k({1, 1, 128, 64}, DType::F32),
        v({1, 1, 128, 64}, DType::F32);
    Tensor out({1, 1, 128, 64}, DType::F32), lse({1, 1, 128}, DType::F32);
    q.randomize(1);
    k.randomize(2);
    v.randomize(3);
    v.set({0, 0, 100, 5}, NAN);
    HostLauncher launcher(1);
    LaunchInputs inputs{
        {{"Q", q.view}, {"K", k.view}, {"V", v.view}, {"out", out.view}, {"lse", lse.view}}, {}};
    ASSERT_EQ(launcher.launch(compiled.object.program, {compiled.kernel}, inputs).message(), "");
    // Row 10 is in the first query tile, key 100 in the second key tile.
    EXPECT_EQ(std::isnan(out.get({0, 0, 10, 5})), !skip);
    EXPECT_TRUE(std::isnan(out.get({0, 0, 110, 5})));
  }
}

TEST(HostObject, SurvivesReloading) {
  CompiledHost compiled = compileText(flashKernel({}));
  ASSERT_TRUE(compiled.kernel) << compiled.error;
  auto copy = llvm::MemoryBuffer::getMemBufferCopy(compiled.object.object->getBuffer());
  CompiledHost reloaded;
  auto code = loadHostObject(copy->getBuffer());
  ASSERT_TRUE(bool(code)) << llvm::toString(code.takeError());
  reloaded.code = std::move(*code);
  reloaded.object.program = compiled.object.program;
  reloaded.kernel = reloaded.code->lookup("attend");
  check(reloaded, {}, {});
  EXPECT_EQ(reloaded.code->lookup("no_such_kernel"), nullptr);
}

// A signature that cannot be launched is an error at the kernel, before anything is compiled.
TEST(HostObject, RejectsMalformedSignatures) {
  auto diagnose = [](const char *arguments) {
    std::string text = substitute(R"(tile.kernel @k($ARGS)
      attributes {grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 1, 1, 1>, num_warps = 4 : i32} {
    tile.return
  })",
                                  {{"ARGS", arguments}});
    mlir::DialectRegistry registry;
    registerHostTarget(registry);
    mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
    std::string messages;
    mlir::ScopedDiagnosticHandler handler(&context, [&](mlir::Diagnostic &diagnostic) {
      messages += diagnostic.str();
      return mlir::success();
    });
    auto module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
    EXPECT_TRUE(bool(module)) << messages;
    auto object = compileForHost(*module);
    EXPECT_FALSE(bool(object));
    llvm::consumeError(object.takeError());
    return messages;
  };
  auto expect = [&](const char *arguments, const char *message) {
    std::string found = diagnose(arguments);
    EXPECT_NE(found.find(message), std::string::npos) << found;
  };
  expect("%v: !tile.view<2xf32> {tile.binding = \"tensor:v\"}",
         "expects `tile.axes` with 2 strings on the argument of tensor 'v'");
  expect("%v: !tile.view<2xf32> {tile.binding = \"tensor:v\", tile.axes = [\"q\"]}",
         "expects `tile.axes` with 2 strings on the argument of tensor 'v'");
  expect("%v: !tile.view<2xf32> {tile.binding = \"size:q\"}",
         "expects a view to be bound to `tensor:NAME`, found size:q");
  expect("%v: f32 {tile.binding = \"size:q\"}",
         "expects a scalar to be bound to `size:SPACE` (i32) or `param:NAME`");
  expect("%v: !tile.view<1xf64> {tile.binding = \"tensor:v\", tile.axes = [\"q\"]}",
         "expects views of f32, f16, bf16, i32 or i1");
}

} // namespace
