// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Formulas over sizes, and where workspace tensors lie: those that live at the same time share no
// byte, those that do not may.
#include "attnc/Runtime/Workspace.h"
#include "gtest/gtest.h"
#include <cmath>
#include <random>

using namespace attnc;
using Op = SizeStep::Op;

namespace {

/// `n` and `m` are the spaces 0 and 1.
const SizeStep n{Op::Size, 0}, m{Op::Size, 1};
SizeStep number(int64_t value) { return {Op::Number, value}; }

TEST(SizeFormula, Operations) {
  auto of = [](SizeFormula formula) { return evaluate(formula, {100, 7}); };
  EXPECT_EQ(of({number(-3)}), -3);
  EXPECT_EQ(of({n, m, {Op::Add}}), 107);
  EXPECT_EQ(of({n, m, {Op::Sub}}), 93);
  EXPECT_EQ(of({n, m, {Op::Mul}}), 700);
  EXPECT_EQ(of({n, m, {Op::FloorDiv}}), 14);
  EXPECT_EQ(of({n, m, {Op::CeilDiv}}), 15);
  EXPECT_EQ(of({n, m, {Op::Min}}), 7);
  EXPECT_EQ(of({n, m, {Op::Max}}), 100);
  // ceil((100 - 7) / 2) * 3, in postfix order.
  EXPECT_EQ(of({n, m, {Op::Sub}, number(2), {Op::CeilDiv}, number(3), {Op::Mul}}), 141);
  EXPECT_EQ(of({number(-7), number(2), {Op::FloorDiv}}), -4);
  EXPECT_EQ(of({number(-7), number(2), {Op::CeilDiv}}), -3);
  // A negative divisor is one like any other, as in the reference.
  for (int64_t a : {-7, -6, 0, 6, 7})
    for (int64_t b : {-3, -2, 2, 3}) {
      double quotient = static_cast<double>(a) / static_cast<double>(b);
      EXPECT_EQ(of({number(a), number(b), {Op::FloorDiv}}), std::floor(quotient)) << a << " " << b;
      EXPECT_EQ(of({number(a), number(b), {Op::CeilDiv}}), std::ceil(quotient)) << a << " " << b;
    }
}

TEST(SizeFormula, WhatHasNoValue) {
  auto of = [](SizeFormula formula) { return evaluate(formula, {INT64_MAX, 0}); };
  EXPECT_EQ(of({n, number(1), {Op::Add}}), std::nullopt);
  EXPECT_EQ(of({number(INT64_MIN), number(1), {Op::Sub}}), std::nullopt);
  EXPECT_EQ(of({n, number(2), {Op::Mul}}), std::nullopt);
  EXPECT_EQ(of({n, m, {Op::FloorDiv}}), std::nullopt);
  EXPECT_EQ(of({number(INT64_MIN), number(-1), {Op::CeilDiv}}), std::nullopt);
}

/// A program whose launch i has the workspace tensors `uses[i]`.
Program makeProgram(size_t tensors, const std::vector<std::vector<int32_t>> &uses) {
  Program program;
  program.signature.name = "k";
  program.signature.spaceNames = {"n", "m"};
  for (size_t i = 0; i < tensors; ++i)
    program.workspaces.push_back({"w" + std::to_string(i), DType::F32, {{n}, {m}}, {}});
  for (const std::vector<int32_t> &tensorsOf : uses) {
    KernelLaunch &launch = program.launches.emplace_back();
    launch.symbol = "k";
    launch.grid = {SizeFormula{n}, SizeFormula{m}, SizeFormula{number(1)}};
    for (int32_t tensor : tensorsOf)
      launch.args.push_back({KernelArg::Kind::WorkspacePointer, tensor, 0});
  }
  EXPECT_EQ(checkProgram(program).message(), "");
  return program;
}

WorkspaceLayout layoutOf(const Program &program, const std::vector<int64_t> &sizes) {
  Outcome<WorkspaceLayout> layout = layoutWorkspace(program, {sizes, {}});
  EXPECT_TRUE(layout) << layout.message();
  return layout ? *layout : WorkspaceLayout();
}

TEST(Workspace, TensorsThatNeverLiveTogetherShareMemory) {
  // 0 is read by launch 1, 1 lives from 1 to 2, 2 only in 3.
  WorkspaceLayout layout = layoutOf(makeProgram(3, {{0}, {0, 1}, {1}, {2}}), {64, 16});
  EXPECT_EQ(layout.bytes, 2 * 64 * 16 * 4);
  EXPECT_NE(layout.offsets[0], layout.offsets[1]);
  EXPECT_EQ(layout.offsets[2], 0);
  EXPECT_EQ(layout.strides[0], (std::vector<int64_t>{16, 1}));
}

TEST(Workspace, OnesThatDoShareNone) {
  WorkspaceLayout layout = layoutOf(makeProgram(2, {{0, 1}, {0, 1}}), {3, 5});
  EXPECT_EQ(layout.bytes, 2 * workspaceAlignment); // 60 bytes each, rounded up
  EXPECT_EQ(std::abs(layout.offsets[0] - layout.offsets[1]), workspaceAlignment);
  // A tensor lives from its first launch to its last one, also where the ones between do not have
  // it.
  layout = layoutOf(makeProgram(2, {{0}, {1}, {0}}), {3, 5});
  EXPECT_EQ(layout.bytes, 2 * workspaceAlignment);
}

TEST(Workspace, EmptyAndUnusedTensorsTakeNothing) {
  EXPECT_EQ(layoutOf(makeProgram(1, {{0}}), {0, 5}).bytes, 0);
  EXPECT_EQ(layoutOf(makeProgram(1, {{}}), {4, 5}).bytes, 0);
  EXPECT_EQ(layoutOf(makeProgram(0, {{}}), {4, 5}).bytes, 0);
}

TEST(Workspace, SizesBeyondMemoryAreErrors) {
  Program program = makeProgram(1, {{0}});
  for (std::vector<int64_t> sizes :
       {std::vector<int64_t>{INT64_MAX, 2}, {int64_t(1) << 40, int64_t(1) << 20}, {-1, 4}})
    EXPECT_EQ(layoutWorkspace(program, {sizes, {}}).message(),
              "workspace tensor 'w0' of `k` is too large for these sizes, or has a negative one");
}

TEST(Workspace, RandomLifetimesNeverOverlap) {
  std::mt19937 random(3);
  for (int round = 0; round < 300; ++round) {
    size_t tensors = 1 + random() % 8, launches = 1 + random() % 6;
    std::vector<std::vector<int32_t>> uses(launches);
    for (auto &launch : uses)
      for (size_t i = 0; i < tensors; ++i)
        if (random() % 3 == 0)
          launch.push_back(static_cast<int32_t>(i));
    Program program = makeProgram(tensors, uses);
    for (WorkspaceTensor &tensor : program.workspaces)
      tensor.axes[1] = {number(1 + static_cast<int64_t>(random() % 500))};
    WorkspaceLayout layout = layoutOf(program, {7, 1});
    auto range = [&](size_t i) {
      int64_t bytes = 7 * program.workspaces[i].axes[1][0].value * 4;
      return std::pair(layout.offsets[i], layout.offsets[i] + bytes);
    };
    auto lifetime = [&](size_t i) {
      std::pair<int, int> life{-1, -1};
      for (size_t launch = 0; launch < launches; ++launch)
        if (std::count(uses[launch].begin(), uses[launch].end(), static_cast<int32_t>(i))) {
          life.first = life.first < 0 ? static_cast<int>(launch) : life.first;
          life.second = static_cast<int>(launch);
        }
      return life;
    };
    for (size_t i = 0; i < tensors; ++i) {
      EXPECT_EQ(layout.offsets[i] % workspaceAlignment, 0);
      auto [from, to] = lifetime(i);
      if (from < 0)
        continue;
      EXPECT_LE(range(i).second, layout.bytes);
      for (size_t j = 0; j < i; ++j) {
        auto [otherFrom, otherTo] = lifetime(j);
        bool together = otherFrom >= 0 && from <= otherTo && otherFrom <= to;
        bool overlap = range(i).first < range(j).second && range(j).first < range(i).second;
        EXPECT_FALSE(together && overlap) << "tensors " << i << " and " << j;
      }
    }
  }
}

TEST(Workspace, BlocksOfACaller) {
  alignas(256) static char memory[1024];
  EXPECT_EQ(checkWorkspace({}, 1000).message(), ""); // none is given
  EXPECT_EQ(checkWorkspace({memory, 1000}, 1000).message(), "");
  EXPECT_EQ(checkWorkspace({memory, 999}, 1000).message(),
            "expected a workspace of at least 1000 bytes, found 999");
  EXPECT_EQ(checkWorkspace({memory + 8, 1000}, 1000).message(),
            "expected a workspace at a multiple of 256 bytes, found an address that is 8 modulo "
            "256");
}

} // namespace
