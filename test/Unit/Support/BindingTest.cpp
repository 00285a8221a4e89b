// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Checks of bindings that pytest cannot reach through files, and the distributions of test values.
#include "attnc/Support/Binding.h"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>

using namespace attnc;

namespace {
TensorDecl operand(const char *name, const char *head, const char *row, const char *column) {
  return {name, std::nullopt, {{"b"}, {head}, {row}, {column}}, std::nullopt};
}

struct Binding : testing::Test {
  Signature signature{
      "probe",
      {{"n", true, false, 4}, {"cap", false, false, 0.1}},
      {},
      {},
      {operand("Q", "h", "q", "d"), operand("K", "g", "kv", "d"), operand("V", "g", "kv", "e")},
      {operand("out", "h", "q", "e")}};
  std::vector<float> memory = std::vector<float>(1024);
  std::map<std::string, TensorView> inputs, outputs;
  BoundSizes sizes;

  TensorView view(std::vector<int64_t> shape) {
    return {memory.data(), DType::F32, shape, rowMajorStrides(shape)};
  }
  TensorView outputView(std::vector<int64_t> shape) {
    return {memory.data() + 512, DType::F32, shape, rowMajorStrides(shape)};
  }
  void SetUp() override {
    inputs = {{"Q", view({1, 4, 3, 2})}, {"K", view({1, 2, 5, 2})}, {"V", view({1, 2, 5, 6})}};
  }
  std::string check() { return checkBindings(signature, inputs, outputs, sizes).message(); }
};
} // namespace

TEST_F(Binding, AcceptsGroupsAndFillsSizes) {
  EXPECT_EQ(check(), "");
  EXPECT_EQ(sizes.spaces["kv"], 5);
  EXPECT_EQ(shapeOf(signature.outputs[0], sizes), (std::vector<int64_t>{1, 4, 3, 6}));
}

TEST_F(Binding, AcceptsNoKeysWithoutMemory) {
  inputs["K"] = {nullptr, DType::F32, {1, 2, 0, 2}, {0, 0, 2, 1}};
  inputs["V"] = {nullptr, DType::F32, {1, 2, 0, 6}, {0, 0, 6, 1}};
  EXPECT_EQ(check(), "");
}

TEST_F(Binding, RejectsMemoryThatCannotBe) {
  inputs["Q"].data = nullptr;
  EXPECT_EQ(check(), "`Q` has elements, but no memory is bound");
  SetUp();
  inputs["Q"].strides.pop_back();
  EXPECT_EQ(check(), "`Q` has 4 axes, but 3 strides");
  SetUp();
  inputs["Q"].strides[1] = INT64_MAX;
  EXPECT_NE(check().find("reach beyond the address space"), std::string::npos);
  SetUp();
  inputs["Q"].shape[2] = -1;
  EXPECT_EQ(check(), "axis 2 of `Q` has the negative size -1");
  SetUp();
  inputs["Q"].shape[2] = int64_t(1) << 31;
  EXPECT_EQ(check(), "axis 2 of `Q` has size 2147483648, more than 2147483647");
  SetUp();
  inputs["Q"].shape[1] = 0;
  EXPECT_EQ(check(), "axis 1 of `Q` (h) must not be empty");
}

TEST_F(Binding, ChecksOutputs) {
  outputs["out"] = outputView({1, 4, 3, 6});
  EXPECT_EQ(check(), "");
  outputs["out"].strides[2] = 0;
  EXPECT_EQ(check(), "output `out` cannot have stride 0 on axis 2: its elements would overlap");
  outputs["out"] = outputView({1, 4, 3, 6});
  outputs["out"].strides[2] = 5;
  EXPECT_EQ(check(), "output `out` of shape [1, 4, 3, 6] cannot have strides [72, 18, 5, 1]: its "
                     "elements would overlap");
  outputs["out"] = view({1, 4, 3, 6});
  EXPECT_EQ(check(), "output `out` lies on `Q`: a kernel would overwrite what it reads; give it "
                     "memory of its own");
  outputs["out"] = outputView({1, 4, 3, 5});
  EXPECT_EQ(check(), "axis 3 of `out` (e) must have size 6 as in `V`, found 5");
  outputs = {{"lse", outputView({1, 4, 3})}};
  EXPECT_EQ(check(), "`lse` is not an output of `probe`; it has out");
}

TEST_F(Binding, ChecksParameters) {
  auto check = [&](const std::map<std::string, double> &bound) {
    return checkParams(signature, bound).message();
  };
  EXPECT_EQ(check({{"n", 7}}), "");
  EXPECT_EQ(*checkParams(signature, {{"n", 7}}),
            (std::vector<double>{7, static_cast<double>(0.1f)}));
  EXPECT_NE(check({{"n", 1.5}}), "");
  EXPECT_NE(check({{"n", 3e9}}), "");
  EXPECT_NE(check({{"n", NAN}}), "");
  EXPECT_EQ(check({{"n", -2147483648.0}}), "");
  EXPECT_EQ((*checkParams(signature, {{"n", -2147483648.0}}))[0], -2147483648.0);
  EXPECT_EQ(check({{"n", 2147483648.0}}), "parameter `n` is an int of 32 bits, found 2147483648");
  EXPECT_EQ(check({{"cap", 1e39}}),
            "parameter `cap` is an f32, at most 3.4028234663852886e+38 in size, found 1e+39");
  EXPECT_EQ(check({{"cap", INFINITY}}), "");
  EXPECT_EQ(check({{"cpa", 1}}), "`cpa` is not a parameter of `probe`; it has n, cap");
  EXPECT_EQ(check({{"Cap", 1}}),
            "`Cap` is not a parameter of `probe`; it has n, cap; did you mean `cap`?");
  EXPECT_EQ(check({{"m", 1}}), "`m` is not a parameter of `probe`; it has n, cap");
}

TEST_F(Binding, SamplesAreSeededAndHaveTheirShape) {
  sizes.spaces = {{"b", 3}, {"kv", 200}};
  TensorDecl decl{
      "doc", DType::I32, {{"b"}, {"kv"}}, SampleDecl{SampleDecl::Sorted, {{0, ""}, {5, ""}}}};
  auto draw = [&](uint64_t seed) {
    std::vector<int32_t> values(600, -1);
    fillSample(decl, sizes, seed, {values.data(), DType::I32, {3, 200}, {200, 1}});
    return values;
  };
  std::vector<int32_t> values = draw(1);
  EXPECT_EQ(values, draw(1));
  EXPECT_NE(values, draw(2));
  for (int row = 0; row < 3; ++row) {
    EXPECT_TRUE(std::is_sorted(values.begin() + row * 200, values.begin() + (row + 1) * 200));
    EXPECT_EQ(values[row * 200], 0);
    EXPECT_EQ(values[row * 200 + 199], 4);
  }
  decl.sample = SampleDecl{SampleDecl::Uniform, {{0, ""}, {0, "kv"}}};
  for (int32_t value : draw(3))
    EXPECT_TRUE(value >= 0 && value < 200);
  std::vector<float> slopes(4);
  TensorDecl slope{
      "slope", DType::F32, {{"", 4}}, SampleDecl{SampleDecl::Geometric, {{0.5, ""}, {0.5, ""}}}};
  fillSample(slope, sizes, 1, {slopes.data(), DType::F32, {4}, {1}});
  EXPECT_EQ(slopes, (std::vector<float>{0.5f, 0.25f, 0.125f, 0.0625f}));
}

/// The postfix form of a number.
static SizeFormula number(int64_t value) { return {{SizeStep::Op::Number, value}}; }

TEST_F(Binding, SizesBlocksOfASpace) {
  // 5 keys: blocks of 2 cover them in 3, of which 2 are whole; windows of 3 every 2 are 2, both
  // whole.
  signature.spaces = {{"p", "kv", number(2), {}, false},
                      {"w", "kv", number(2), {}, true},
                      {"c", "kv", number(3), number(2), false},
                      {"large", "kv", number(9), {}, false},
                      {"none", "kv", number(9), {}, true}};
  ASSERT_EQ(check(), "");
  EXPECT_EQ(sizes.spaces["p"], 3);
  EXPECT_EQ(sizes.spaces["w"], 2);
  EXPECT_EQ(sizes.spaces["c"], 2);
  EXPECT_EQ(sizes.spaces["large"], 1);
  EXPECT_EQ(sizes.spaces["none"], 0);
  EXPECT_EQ(sizes.declared["c"].stride, 2);
}

TEST_F(Binding, SizesSpacesByArithmetic) {
  // max(n, size(kv) / 2 - 1), with n = 4 unless it is bound.
  using Op = SizeStep::Op;
  signature.spaceNames = {"kv"};
  ASSERT_EQ(signature.params[0].name, "n");
  signature.spaces = {{"m",
                       "",
                       {{Op::Param, 0},
                        {Op::Size, 0},
                        {Op::Number, 2},
                        {Op::FloorDiv},
                        {Op::Number, 1},
                        {Op::Sub},
                        {Op::Max}},
                       {},
                       false}};
  ASSERT_EQ(check(), "");
  EXPECT_EQ(sizes.spaces["m"], 4);
  ASSERT_EQ(checkBindings(signature, inputs, outputs, sizes, {{"n", -3}}).message(), "");
  EXPECT_EQ(sizes.spaces["m"], 1);
}

TEST_F(Binding, RejectsSpacesThatCannotBe) {
  signature.spaces = {{"p", "kv", number(0), {}, false}};
  EXPECT_EQ(check(), "the index space `p` needs blocks and strides of at least one index, found 0");
  signature.spaces = {{"m", "", number(-2), {}, false}};
  EXPECT_EQ(check(), "the index space `m` needs at least one slot, found -2");
  signature.spaces = {{"p", "t", number(2), {}, false}};
  EXPECT_EQ(check(), "the index space `p` cannot be sized: the size of `t` follows from no input");
  signature.spaces = {{"m", "", {}, {}, false}};
  EXPECT_EQ(check(), "the size of the index space `m` follows from no input");
  using Op = SizeStep::Op;
  signature.spaceNames = {"t"};
  signature.spaces = {{"m", "", {{Op::Size, 0}}, {}, false}};
  EXPECT_EQ(check(), "the index space `m` cannot be sized: the size of `t` follows from no input");
  signature.spaces = {{"m", "", {{Op::Number, 1}, {Op::Number, 0}, {Op::FloorDiv}}, {}, false}};
  EXPECT_EQ(check(), "the index space `m` cannot be sized: its extent or stride is no whole number "
                     "for these sizes");
  // What a tensor has must be what the declaration says.
  signature.spaces = {{"m", "", number(3), {}, false}};
  signature.inputs.push_back({"x", DType::F32, {{"m"}}, std::nullopt});
  inputs["x"] = view({4});
  EXPECT_EQ(check(), "the index space `m` has 3 indices here, but a tensor is bound that has 4");
}
