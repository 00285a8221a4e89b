// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Other arithmetics, and what perturbed runs deviate by.
#include "attnc/Reference/Deviations.h"
#include "Selection.h"

using namespace attnc;
using namespace attnc::reference;

TEST(Deviations, Float32ResultsAreFloats) {
  Selection selection;
  RunOptions options;
  auto exact = selection.run(options);
  options.arithmetic = Arithmetic::Float32;
  auto single = selection.run(options);
  for (double x : single["out"].data)
    EXPECT_EQ(x, static_cast<double>(static_cast<float>(x)));
  EXPECT_NE(single["out"].data, exact["out"].data);
  for (size_t i = 0; i < exact["out"].data.size(); ++i)
    EXPECT_NEAR(single["out"].data[i], exact["out"].data[i], 1e-6);
}

TEST(Deviations, SeedsReproducePerturbedRunsOnAnyNumberOfThreads) {
  Selection selection;
  RunOptions options;
  options.arithmetic = Arithmetic::Perturbed;
  options.numThreads = 1;
  auto once = selection.run(options);
  options.numThreads = 3;
  EXPECT_EQ(selection.run(options)["out"].data, once["out"].data);
  options.seed = 1;
  EXPECT_NE(selection.run(options)["out"].data, once["out"].data);
}

TEST(Deviations, GrowWithTheRoundoffs) {
  Selection selection;
  Decisions taken;
  RunOptions options;
  options.recorded = &taken;
  auto expected = selection.run(options);
  auto norm = [&](double size) {
    Roundoffs roundoffs;
    roundoffs.operation = size;
    auto found = deviations(selection.spec->variant(), selection.bindings, expected, taken, taken,
                            roundoffs);
    EXPECT_TRUE(bool(found));
    EXPECT_EQ(found->outputs["keep"].norm, 0) << "decisions are forced";
    return found->outputs["out"].norm;
  };
  double small = norm(0x1p-24), large = norm(0x1p-14);
  EXPECT_GT(small, 0);
  EXPECT_GT(large, 500 * small);
  EXPECT_LT(large, 2000 * small);
}

/// Equal numbers are one draw: 16 of them do not say how far others of their kind may be off.
TEST(Deviations, RowsHaveDifferentNumbers) {
  Selection repeated(R"(attention repeated {
  align none
  input x: f32[b, q, kv]
  slots m = 16
  output y[b, q, kv, m] = if kv == 0 then 0.0 else x / 3.0
  output lse
}
)");
  auto expected = repeated.run(RunOptions());
  auto found = deviations(repeated.spec->variant(), repeated.bindings, expected, Decisions(),
                          Decisions(), Roundoffs());
  ASSERT_TRUE(bool(found));
  const std::vector<double> &elements = found->outputs["y"].elements;
  double largest = *llvm::max_element(elements);
  EXPECT_GT(largest, 0);
  for (size_t i = 0; i < elements.size(); ++i)
    EXPECT_EQ(elements[i], i / 16 % 8 == 0 ? 0 : largest) << i;
}
