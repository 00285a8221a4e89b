// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Decisions: recorded, forced, and both.
#include "Selection.h"
#include "attnc/Reference/Judge.h"

using namespace attnc;
using namespace attnc::reference;

/// The only decision of an op.
static Decision &decisionOf(Decisions &decisions, llvm::StringRef op) {
  for (auto &[name, decision] : decisions.byName)
    if (decision.op == op)
      return decision;
  ADD_FAILURE() << "no decision of " << op.str();
  static Decision none;
  return none;
}

TEST(Decisions, AreRecordedWhereTheyAreTaken) {
  Selection selection;
  Decisions taken;
  RunOptions options;
  options.recorded = &taken;
  auto outputs = selection.run(options);
  ASSERT_EQ(taken.byName.size(), 2u);
  const Decision &select = decisionOf(taken, "attn.select");
  EXPECT_EQ(select.line, 4);
  EXPECT_EQ(select.shape, (std::vector<int64_t>{1, 2, 8}));
  EXPECT_EQ(select.values, outputs["keep"].data);
  EXPECT_EQ(decisionOf(taken, "arith.cmpf").values.size(), 16u);
}

TEST(Decisions, AreForced) {
  Selection selection;
  Decisions taken, own;
  RunOptions record;
  record.recorded = &taken;
  auto before = selection.run(record);
  // The first row takes key 0, which it does not take by itself, and nothing else.
  std::vector<double> &kept = decisionOf(taken, "attn.select").values;
  std::fill_n(kept.begin(), 8, 0.0);
  kept[0] = 1;
  std::fill_n(decisionOf(taken, "arith.cmpf").values.begin(), 8, 1.0);
  RunOptions force;
  force.forced = &taken;
  force.recorded = &own;
  auto after = selection.run(force);
  EXPECT_EQ(after["keep"].data[0], 1);
  for (size_t e = 0; e < 4; ++e)
    EXPECT_EQ(after["out"].data[e], static_cast<double>(selection.operands[e]));
  EXPECT_EQ(std::vector<double>(after["out"].data.begin() + 4, after["out"].data.end()),
            std::vector<double>(before["out"].data.begin() + 4, before["out"].data.end()));
  // What the run would have decided is recorded, not what it was told.
  EXPECT_EQ(decisionOf(own, "attn.select").values[0], 0);
}

TEST(Decisions, ThatAreNotSaidAreOwn) {
  Selection selection;
  Decisions taken;
  RunOptions record;
  record.recorded = &taken;
  auto before = selection.run(record);
  RunOptions force;
  force.forced = &taken;
  // Places that are not said, then ops that are not.
  std::fill_n(decisionOf(taken, "attn.select").values.begin(), 8, std::nan(""));
  EXPECT_EQ(selection.run(force)["out"].data, before["out"].data);
  taken.byName.clear();
  EXPECT_EQ(selection.run(force)["out"].data, before["out"].data);
}

TEST(Decisions, ByExactKeysMustBeEqual) {
  DecisionVerdict verdict;
  verdict.rows = verdict.places = 1000;
  verdict.different = verdict.marginRows = 1;
  EXPECT_TRUE(verdict.ok());
  verdict.isExact = true;
  EXPECT_FALSE(verdict.ok());
}

TEST(Decisions, OfOtherSizesAreRefused) {
  Selection selection;
  Decisions taken;
  RunOptions record;
  record.recorded = &taken;
  selection.run(record);
  decisionOf(taken, "attn.select").shape = {1, 2, 9};
  RunOptions force;
  force.forced = &taken;
  auto outputs = runWith(selection.spec->variant(), selection.bindings, force);
  ASSERT_FALSE(bool(outputs));
  EXPECT_NE(llvm::toString(outputs.takeError()).find("are not those of this variant"),
            std::string::npos);
}
