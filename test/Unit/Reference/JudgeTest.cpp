// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Judgement of an argmax by how much worse its entry is, and of a cover by the sum that it keeps.
#include "attnc/Reference/Judge.h"
#include "attnc/JIT/Compiler.h"
#include "gtest/gtest.h"

using namespace attnc;
using namespace attnc::reference;

namespace {
/// One row of four numbers, of which `best`, `worst` and `keep` are taken.
class Judged : public ::testing::Test {
protected:
  explicit Judged(const char *text = rowText) : text(text) {}

  static constexpr const char *rowText = R"(attention judged(share: f32 = 0.5, most: int = 4) {
  align none
  input x: f32[b, q, kv]
  let best[b, q] = argmax(x * 1.5 for kv)
  let worst[b, q] = argmin(x * 1.5 for kv if x > 0.0)
  let keep[b, q, kv] = cover(x over kv, share, inclusive, 1, most)
  let few[b, q, kv] = cover(x over kv, share, exclusive)
  over keep
  output best
  output worst
  output few
}
)";
  void SetUp() override {
    llvm::Expected<std::unique_ptr<Spec>> parsed = Spec::parse({"judged.attn", text});
    if (!parsed)
      FAIL() << llvm::toString(parsed.takeError());
    spec = std::move(*parsed);
    bind("x", x, {1, 1, 4});
    bind("Q", operands, {1, 1, 1, 4});
    bind("K", operands, {1, 1, 4, 4});
    bind("V", operands, {1, 1, 4, 4});
  }
  void bind(const char *name, std::vector<float> &data, std::vector<int64_t> shape) {
    bindings.inputs[name] = {data.data(), DType::F32, shape, rowMajorStrides(shape)};
  }

  std::map<std::string, Tensor64> run(RunOptions options) {
    auto outputs = runWith(spec->variant(), bindings, options);
    EXPECT_TRUE(bool(outputs)) << llvm::toString(outputs.takeError());
    return std::move(*outputs);
  }

  /// The verdict on the decision of `op` in `line` of the spec, where it is `outcome`.
  DecisionVerdict verdict(llvm::StringRef op, int64_t line, std::vector<double> outcome) {
    Decisions taken, own;
    RunOptions record, force;
    record.recorded = &taken;
    run(record);
    std::string name;
    for (auto &[each, decision] : taken.byName)
      if (decision.op == op && decision.line == line)
        name = each;
    EXPECT_FALSE(name.empty());
    taken.byName[name].values = std::move(outcome);
    force.forced = &taken;
    force.recorded = &own;
    auto expected = run(force);
    Deviations deviation =
        llvm::cantFail(deviations(spec->variant(), bindings, expected, own, taken, Roundoffs()));
    for (const DecisionVerdict &each : judge(taken, own, deviation.keys, 1e-3))
      if (each.name == name)
        return each;
    ADD_FAILURE() << "no verdict on " << name;
    return {};
  }

  const char *text;
  std::unique_ptr<Spec> spec;
  Bindings bindings;
  std::vector<float> x{4, 2, 1, 1}, operands = std::vector<float>(16, 0.25f);
};

/// One row of four scores in two tiles, the second of which is skipped if it is far below the
/// first; the rest of the condition never holds.
class JudgedSkip : public Judged {
protected:
  JudgedSkip()
      : Judged(R"(attention judged(limit: f32 = 0.0) {
  align none
  input x: f32[b, q, kv]
  score x
  tile 2
  skip tile_max - running_max < -1.0 or not (limit <= 8.0) and tile_max > 100.0
})") {}
};
} // namespace

TEST_F(JudgedSkip, ByHowFarItsConditionIs) {
  // The second tile is 3 below the first one: 2 more than it takes.
  EXPECT_TRUE(verdict("attn.attend", 1, {0, 1}).ok());
  DecisionVerdict far = verdict("attn.attend", 1, {0, 0});
  EXPECT_EQ(far.inadmissibleRows, 1);
  EXPECT_EQ(far.first->key, 2);
  EXPECT_FALSE(far.ok());
  // There is nothing before the first tile that it could be below.
  EXPECT_EQ(verdict("attn.attend", 1, {1, 1}).inadmissibleRows, 1);
  x = {4, 2, 2.9999998f, 1}; // the next number below 3: either will do
  DecisionVerdict near = verdict("attn.attend", 1, {0, 0});
  EXPECT_EQ(near.marginRows, 1);
  EXPECT_EQ(near.inadmissibleRows, 0);
  x = {4, 2, 2.99f, 1};
  EXPECT_EQ(verdict("attn.attend", 1, {0, 0}).inadmissibleRows, 1);
}

TEST_F(Judged, ArgmaxByHowMuchWorseItIs) {
  x = {8, 7.9999995f, 1, -2};
  DecisionVerdict same = verdict("attn.reduce", 4, {0});
  EXPECT_EQ(same.different, 0);
  DecisionVerdict near = verdict("attn.reduce", 4, {1});
  EXPECT_EQ(near.different, 1);
  EXPECT_EQ(near.marginRows, 1);
  EXPECT_TRUE(near.ok());
  EXPECT_EQ(near.first->key, 12);
  // Far from the best, no entry at all, none where there is one.
  for (double index : {2.0, 7.0, -1.0})
    EXPECT_EQ(verdict("attn.reduce", 4, {index}).inadmissibleRows, 1) << index;
}

TEST_F(Judged, ArgminAmongThoseThatTakePart) {
  x = {2, 2.0000002f, 8, -2};
  EXPECT_EQ(verdict("attn.reduce", 5, {0}).different, 0);
  EXPECT_EQ(verdict("attn.reduce", 5, {1}).marginRows, 1);
  EXPECT_EQ(verdict("attn.reduce", 5, {2}).inadmissibleRows, 1);
  EXPECT_EQ(verdict("attn.reduce", 5, {3}).inadmissibleRows, 1); // takes no part
  x = {-1, -2, -3, -4};
  EXPECT_EQ(verdict("attn.reduce", 5, {-1}).different, 0);
  EXPECT_EQ(verdict("attn.reduce", 5, {0}).inadmissibleRows, 1);
}

TEST_F(Judged, CoverByTheSumThatItKeeps) {
  // 4 of 8 is half: one entry reaches it, and another one may where sums are rounded.
  EXPECT_EQ(verdict("attn.select", 6, {1, 0, 0, 0}).different, 0);
  EXPECT_EQ(verdict("attn.select", 6, {1, 1, 0, 0}).marginRows, 1);
  for (std::vector<double> kept : {std::vector<double>{1, 1, 1, 0}, {0, 0, 0, 0}, {0, 1, 0, 0}})
    EXPECT_EQ(verdict("attn.select", 6, kept).inadmissibleRows, 1);
  // Exclusively, one does not exceed it.
  EXPECT_EQ(verdict("attn.select", 7, {1, 0, 0, 0}).different, 0);
  EXPECT_EQ(verdict("attn.select", 7, {0, 0, 0, 0}).marginRows, 1);
  EXPECT_EQ(verdict("attn.select", 7, {1, 1, 0, 0}).inadmissibleRows, 1);
}

TEST_F(Judged, EntriesOfACoverThatWeighNothing) {
  // All are kept to reach the sum; of the last three any number may be missing, but no large one.
  x = {4, 1e-8f, 1e-8f, 1e-8f};
  bindings.params["share"] = 1;
  EXPECT_EQ(verdict("attn.select", 6, {1, 1, 1, 1}).different, 0);
  EXPECT_EQ(verdict("attn.select", 6, {1, 0, 0, 0}).marginRows, 1);
  x = {4, 0.01f, 0.01f, 0.01f};
  EXPECT_EQ(verdict("attn.select", 6, {1, 1, 1, 0}).inadmissibleRows, 1);
}

TEST_F(Judged, LimitsOfACoverHoldExactly) {
  bindings.params["share"] = 1;
  bindings.params["most"] = 2;
  EXPECT_EQ(verdict("attn.select", 6, {1, 1, 0, 0}).different, 0);
  EXPECT_EQ(verdict("attn.select", 6, {1, 1, 1, 0}).inadmissibleRows, 1);
  EXPECT_EQ(verdict("attn.select", 6, {1, 0, 0, 0}).inadmissibleRows, 1);
  bindings.params["share"] = 0;
  EXPECT_EQ(verdict("attn.select", 6, {1, 0, 0, 0}).different, 0); // at least one
  EXPECT_EQ(verdict("attn.select", 6, {0, 0, 0, 0}).inadmissibleRows, 1);
}
