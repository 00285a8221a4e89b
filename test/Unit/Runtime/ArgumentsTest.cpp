// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// packArguments: what it packs, and what it says about tensors that do not fit.
#include "attnc/Runtime/Arguments.h"
#include "gtest/gtest.h"
#include <cmath>
#include <cstring>

using namespace attnc;

namespace {

TensorDecl makeTensor(const char *name, std::vector<AxisDecl> axes) {
  TensorDecl tensor{name, DType::F32, std::move(axes), std::nullopt};
  tensor.unitLastStride = true;
  return tensor;
}

ParamDecl makeParam(const char *name, bool isInteger) {
  ParamDecl param{name, isInteger};
  param.hasDefault = false;
  return param;
}

Program makeProgram() {
  Program program;
  program.signature.name = "k";
  program.signature.inputs = {makeTensor("Q", {{"b"}, {"h"}, {"q"}, {"", 8}}),
                              makeTensor("K", {{"b"}, {"g"}, {"kv"}, {"", 8}})};
  program.signature.outputs = {makeTensor("out", {{"b"}, {"h"}, {"q"}, {"", 8}})};
  program.signature.params = {makeParam("window", true), makeParam("cap", false)};
  program.signature.spaceNames = {"q", "h", "b", "kv"};
  KernelLaunch launch;
  launch.symbol = "k";
  for (int32_t tensor = 0; tensor < 3; ++tensor) {
    launch.args.push_back({KernelArg::Kind::Pointer, tensor, 0});
    for (int32_t dim = 0; dim < 4; ++dim)
      launch.args.push_back({KernelArg::Kind::Stride, tensor, dim});
  }
  launch.args.push_back({KernelArg::Kind::Size, 3, 0});
  launch.args.push_back({KernelArg::Kind::Param, 0, 0});
  launch.args.push_back({KernelArg::Kind::Param, 1, 0});
  using Op = SizeStep::Op;
  launch.grid = {SizeFormula{{Op::Size, 0}, {Op::Number, 64}, {Op::CeilDiv}},
                 SizeFormula{{Op::Size, 1}}, SizeFormula{{Op::Size, 2}}};
  program.launches = {launch};
  return program;
}

struct Fixture {
  Fixture() {
    auto add = [&](const char *name, std::vector<int64_t> shape) {
      TensorView view;
      // Only addresses matter here; each tensor has a range of its own.
      view.data = reinterpret_cast<char *>(memory) + (int64_t(inputs.tensors.size()) << 50);
      view.shape = shape;
      view.strides = rowMajorStrides(shape);
      inputs.tensors[name] = view;
    };
    add("Q", {2, 4, 65, 8});
    add("K", {2, 2, 100, 8});
    add("out", {2, 4, 65, 8});
    inputs.params = {{"window", -5}, {"cap", 1.5}};
  }
  /// The message for the current inputs; empty if they fit.
  std::string message() { return packArguments(program, inputs).message(); }
  alignas(64) float memory[16];
  Program program = makeProgram();
  LaunchInputs inputs;
};

TEST(PackArguments, PacksSlotsAndGrid) {
  Fixture f;
  auto packed = packArguments(f.program, f.inputs);
  ASSERT_TRUE(packed) << packed.message();
  ASSERT_EQ(packed->slots.size(), f.program.launches[0].args.size());
  EXPECT_EQ(packed->slots[0], reinterpret_cast<uintptr_t>(f.memory));
  EXPECT_EQ(packed->slots[1], 4u * 65 * 8);
  EXPECT_EQ(packed->slots[3], 8u);
  EXPECT_EQ(packed->slots[15], 100u);
  EXPECT_EQ(static_cast<int32_t>(packed->slots[16]), -5);
  float cap;
  uint32_t bits = static_cast<uint32_t>(packed->slots[17]);
  std::memcpy(&cap, &bits, 4);
  EXPECT_EQ(cap, 1.5f);
  EXPECT_EQ(packed->launches[0].grid, (std::array<int64_t, 3>{2, 4, 2}));
}

TEST(PackArguments, StridesBeyond32BitsAndNegativeOnes) {
  Fixture f;
  f.inputs.tensors["K"].strides = {int64_t(1) << 40, -(int64_t(1) << 33), 8, 1};
  auto packed = packArguments(f.program, f.inputs);
  ASSERT_TRUE(packed) << packed.message();
  EXPECT_EQ(static_cast<int64_t>(packed->slots[6]), int64_t(1) << 40);
  EXPECT_EQ(static_cast<int64_t>(packed->slots[7]), -(int64_t(1) << 33));
}

TEST(PackArguments, EmptyTensorsNeedNoMemory) {
  Fixture f;
  f.inputs.tensors["K"].shape[2] = 0;
  f.inputs.tensors["K"].data = nullptr;
  EXPECT_EQ(f.message(), "");
  f.inputs.tensors["Q"].shape[2] = f.inputs.tensors["out"].shape[2] = 0;
  EXPECT_EQ(packArguments(f.program, f.inputs)->launches[0].grid[0], 0);
}

/// The rows of `out` as blocks: p = windows of `window` queries, every 2; one number more.
Fixture withBlocks(bool isFull) {
  using Op = SizeStep::Op;
  Fixture f;
  Signature &signature = f.program.signature;
  signature.spaceNames.push_back("p");
  signature.spaces = {{"p", "q", {{Op::Param, 0}}, {{Op::Number, 2}}, isFull}};
  signature.outputs[0].axes[2] = {"p"};
  KernelLaunch &launch = f.program.launches[0];
  f.program.scalars = {
      {{Op::Param, 1}, {Op::Number, 10}, {Op::ToReal}, {Op::Mul}, {Op::Ceil}, {Op::ToWhole}},
      {{Op::Param, 1}}};
  launch.args.push_back({KernelArg::Kind::Size, 4, 0});
  launch.args.push_back({KernelArg::Kind::Scalar, 0, 0});
  launch.args.push_back({KernelArg::Kind::Scalar, 1, 0});
  launch.grid[0] = {{Op::Size, 4}};
  f.inputs.params["window"] = 8;
  EXPECT_EQ(checkProgram(f.program).message(), "");
  return f;
}

TEST(PackArguments, ComputedSizes) {
  for (bool isFull : {false, true}) {
    Fixture f = withBlocks(isFull); // 65 queries: 29 whole windows, and one more
    int64_t blocks = isFull ? 29 : 30;
    EXPECT_EQ(f.message(), "axis 2 of `out` (p) must have size " + std::to_string(blocks) +
                               ", which follows from the inputs, found 65");
    f.inputs.tensors["out"].shape[2] = blocks;
    auto packed = packArguments(f.program, f.inputs);
    ASSERT_TRUE(packed) << packed.message();
    EXPECT_EQ(packed->slots[18], static_cast<uint64_t>(blocks));
    EXPECT_EQ(packed->slots[19], 15u);
    EXPECT_EQ(packed->slots[20], 0x3fc00000u); // 1.5f
    EXPECT_EQ(packed->launches[0].grid[0], blocks);
    // No block at all is a size like any other.
    f.inputs.tensors["Q"].shape[2] = 0;
    f.inputs.tensors["out"].shape[2] = 0;
    EXPECT_EQ(f.message(), "");
  }
}

TEST(PackArguments, ComputedSizesThatCannotBe) {
  Fixture f = withBlocks(false);
  f.inputs.params["window"] = 0;
  EXPECT_EQ(f.message(),
            "the index space `p` needs blocks and strides of at least one index, found 0");
  f.inputs.params["window"] = 8;
  f.inputs.tensors["out"].shape[2] = 30;
  f.inputs.params["cap"] = 3e38;
  EXPECT_EQ(f.message(),
            "a number that `k` computes from sizes and parameters does not fit 32 bits");
}

/// An index into a table is clamped to it, which needs an entry.
TEST(PackArguments, TablesHaveAnEntry) {
  Fixture f;
  f.program.signature.inputs[1].axes[2] = {"n"};
  f.program.signature.spaceNames[3] = "n";
  EXPECT_EQ(f.message(), "");
  f.inputs.tensors["K"].shape[2] = 0;
  EXPECT_EQ(f.message(), "axis 2 of `K` (n) must not be empty");
}

TEST(PackArguments, SaysWhatIsMissing) {
  Fixture f;
  f.inputs.tensors.erase("K");
  EXPECT_EQ(f.message(), "input `K[b, g, kv, 8]: f32` is not bound");
  Fixture p;
  p.inputs.params.erase("cap");
  EXPECT_EQ(p.message(), "parameter `cap` is not bound, and has no default");
}

TEST(PackArguments, SaysExpectedAndFound) {
  auto after = [](auto change) {
    Fixture f;
    change(f);
    return f.message();
  };
  EXPECT_EQ(after([](Fixture &f) { f.inputs.tensors["Q"].dtype = DType::F16; }),
            "`Q` must have dtype f32, found f16; convert it, or compile for that dtype");
  EXPECT_EQ(after([](Fixture &f) { f.inputs.tensors["Q"].shape = {2, 4, 65}; }),
            "`Q` has axes [b, h, q, 8], but a tensor of shape [2, 4, 65] is bound");
  EXPECT_EQ(after([](Fixture &f) { f.inputs.tensors["Q"].shape[3] = 7; }),
            "axis 3 of `Q` must have size 8, which the kernel is compiled for, found 7");
  EXPECT_EQ(after([](Fixture &f) { f.inputs.tensors["K"].shape[0] = 3; }),
            "axis 0 of `K` (b) must have size 2 as in `Q`, found 3");
  EXPECT_EQ(after([](Fixture &f) { f.inputs.tensors["Q"].strides.pop_back(); }),
            "`Q` has 4 axes, but 3 strides");
  EXPECT_EQ(after([](Fixture &f) { f.inputs.tensors["K"].strides[3] = 2; }),
            "`K` must have a last stride of 1, found 2; make the rows contiguous");
  EXPECT_EQ(after([](Fixture &f) { f.inputs.tensors["K"].data = nullptr; }),
            "`K` has elements, but no memory is bound");
  EXPECT_EQ(after([](Fixture &f) {
              f.inputs.tensors["K"].data = reinterpret_cast<char *>(f.memory) + 1;
            }),
            "`K` starts at an address that is no multiple of its elements' 4 bytes");
  EXPECT_EQ(after([](Fixture &f) { f.inputs.tensors["out"].strides[0] = 0; }),
            "output `out` cannot have stride 0 on axis 0: its elements would overlap");
  EXPECT_EQ(
      after([](Fixture &f) { f.inputs.tensors["K"].shape[1] = 3; }),
      "the number of query heads must be a multiple of the number of kv heads, found 4 and 3");
  EXPECT_EQ(after([](Fixture &f) { f.inputs.tensors["K"].shape[2] = int64_t(1) << 31; }),
            "axis 2 of `K` has size 2147483648, more than 2147418111");
  EXPECT_EQ(after([](Fixture &f) { f.inputs.params["window"] = 2.5; }),
            "parameter `window` is an int of 32 bits, found 2.5");
}

/// The definition says the same as code in all that is not about code.
TEST(PackArguments, SaysWhatTheDefinitionSays) {
  using Change = void (*)(Fixture &);
  for (Change change : {
           Change([](Fixture &f) { f.inputs.tensors.erase("K"); }),
           Change([](Fixture &f) { f.inputs.tensors["Q"].dtype = DType::I32; }),
           Change([](Fixture &f) { f.inputs.tensors["Q"].shape.pop_back(); }),
           Change([](Fixture &f) { f.inputs.tensors["Q"].strides.pop_back(); }),
           Change([](Fixture &f) { f.inputs.tensors["K"].shape[0] = 3; }),
           Change([](Fixture &f) { f.inputs.tensors["K"].shape[1] = 0; }),
           Change([](Fixture &f) { f.inputs.tensors["K"].shape[1] = 3; }),
           Change([](Fixture &f) { f.inputs.tensors["K"].shape[2] = -1; }),
           Change([](Fixture &f) { f.inputs.tensors["K"].strides[2] = int64_t(1) << 62; }),
           Change([](Fixture &f) { f.inputs.tensors["K"].data = nullptr; }),
           Change([](Fixture &f) { f.inputs.tensors["out"].shape[1] = 8; }),
           Change([](Fixture &f) { f.inputs.tensors["out"].strides[0] = 0; }),
           Change([](Fixture &f) { f.inputs.tensors["out"].data = f.inputs.tensors["Q"].data; }),
           Change([](Fixture &f) { f.inputs.params["window"] = 2.5; }),
       }) {
    Fixture f;
    change(f);
    std::map<std::string, TensorView> inputs = f.inputs.tensors, outputs;
    outputs.insert(inputs.extract("out"));
    BoundSizes sizes;
    std::string expected =
        checkBindings(f.program.signature, inputs, outputs, sizes, f.inputs.params).message();
    EXPECT_NE(expected, "");
    EXPECT_EQ(f.message(), expected);
  }
}

TEST(PackArguments, RefusesUnknownNames) {
  Fixture f;
  f.inputs.tensors["lse"] = f.inputs.tensors["Q"];
  EXPECT_EQ(f.message(), "`lse` is not a tensor of `k`; it has Q, K, out");
  f = Fixture();
  f.inputs.tensors["k"] = f.inputs.tensors["K"];
  EXPECT_EQ(f.message(), "`k` is not a tensor of `k`; it has Q, K, out; did you mean `K`?");
  // One that the spec declares and the kernel does not read.
  f = Fixture();
  f.program.unusedInputs = {"doc"};
  f.inputs.tensors["doc"] = f.inputs.tensors["Q"];
  EXPECT_EQ(f.message(), "");
  f = Fixture();
  f.inputs.params["windows"] = 1;
  EXPECT_EQ(
      f.message(),
      "`windows` is not a launch parameter of `k`; it has window, cap; did you mean `window`?");
}

TEST(PackArguments, RefusesNumbersThatParametersCannotHold) {
  for (double value : {std::nan(""), 2.5, 2147483648.0, -2147483649.0, HUGE_VAL}) {
    Fixture f;
    f.inputs.params["window"] = value;
    EXPECT_NE(f.message().find("parameter `window` is an int of 32 bits, found "),
              std::string::npos);
  }
  for (double value : {-2147483648.0, 2147483647.0}) {
    Fixture f;
    f.inputs.params["window"] = value;
    EXPECT_EQ(f.message(), "");
  }
  Fixture f;
  f.inputs.params["cap"] = -1e300;
  EXPECT_EQ(f.message(),
            "parameter `cap` is an f32, at most 3.4028234663852886e+38 in size, found -1e+300");
}

TEST(PackArguments, RefusesOutputsThatLieOnOtherTensors) {
  Fixture f;
  TensorView &out = f.inputs.tensors["out"], &q = f.inputs.tensors["Q"];
  out.data = static_cast<float *>(q.data) + 2 * 4 * 65 * 8 - 1; // the last element
  EXPECT_EQ(f.message(), "output `out` lies on `Q`: a kernel would overwrite what it reads; give "
                         "it memory of its own");
  out.data = static_cast<float *>(q.data) + 2 * 4 * 65 * 8;
  EXPECT_EQ(f.message(), "");
  // Two halves of the rows of one buffer.
  q.strides = out.strides = {4 * 65 * 16, 65 * 16, 16, 1};
  out.data = static_cast<float *>(q.data) + 8;
  EXPECT_EQ(f.message(), "");
  out.data = static_cast<float *>(q.data) + 7;
  EXPECT_NE(f.message(), "");
  out.strides[2] = -7;
  EXPECT_NE(f.message().find("output `out` of shape [2, 4, 65, 8] cannot have strides"),
            std::string::npos);
  // Inputs may be the same memory, and broadcast.
  f = Fixture();
  f.inputs.tensors["K"].data = f.inputs.tensors["Q"].data;
  f.inputs.tensors["K"].strides = {0, 0, 8, 1};
  EXPECT_EQ(f.message(), "");
}

TEST(PackArguments, ChecksRowAlignment) {
  Fixture f;
  f.program.signature.inputs[0].rowAlignment = 16;
  EXPECT_EQ(f.message(), "");
  f.inputs.tensors["Q"].strides = {2340, 585, 9, 1};
  EXPECT_NE(
      f.message().find(
          "every row of `Q` must start at a multiple of 16 bytes, found strides [2340, 585, 9, 1]"),
      std::string::npos);
  f.inputs.tensors["Q"].strides = {2080, 520, 8, 1};
  f.inputs.tensors["Q"].data = f.memory + 1;
  EXPECT_NE(f.message().find("that is 4 modulo 16"), std::string::npos);
}

} // namespace
