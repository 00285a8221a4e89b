// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Runs at some rows: the same numbers there, NaN at all others, and stages whole that somebody
// reads elsewhere.
#include "attnc/JIT/Compiler.h"
#include "attnc/Reference/Reference.h"
#include "gtest/gtest.h"
#include <cmath>
#include <random>

using namespace attnc;
using namespace attnc::reference;

namespace {

constexpr int64_t kRows = 9, kKeys = 7, kDim = 4;

/// Queries, keys and values of two heads for a spec.
struct Rows {
  explicit Rows(const std::string &text) {
    auto parsed = Spec::parse({"rows.attn", text});
    if (!parsed) {
      ADD_FAILURE() << llvm::toString(parsed.takeError());
      return;
    }
    spec = std::move(*parsed);
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    for (auto [name, length] : {std::pair("Q", kRows), {"K", kKeys}, {"V", kKeys}}) {
      std::vector<float> &numbers = data[name];
      numbers.resize(static_cast<size_t>(2 * length * kDim));
      for (float &number : numbers)
        number = normal(random);
      bindings.inputs[name] = {numbers.data(),
                               DType::F32,
                               {1, 2, length, kDim},
                               {2 * length * kDim, length * kDim, kDim, 1}};
    }
  }

  std::map<std::string, Tensor64> run(std::vector<int64_t> rows) {
    RunOptions options;
    options.rows = std::move(rows);
    auto outputs = runWith(spec->variant(), bindings, options);
    if (!outputs) {
      ADD_FAILURE() << llvm::toString(outputs.takeError());
      return {};
    }
    return *outputs;
  }

  std::unique_ptr<Spec> spec;
  std::map<std::string, std::vector<float>> data;
  Bindings bindings;
};

/// Holds `name`, over [b, h, q, ...], of a run at rows 0, 3 and 8 against one of all rows.
void expectSomeRows(const std::string &text, const std::string &name,
                    bool areOthersLeftOut = true) {
  Rows rows(text);
  if (!rows.spec)
    return;
  std::map<std::string, Tensor64> whole = rows.run({}), some = rows.run({0, 3, 8});
  const Tensor64 &all = whole.at(name), &part = some.at(name);
  ASSERT_EQ(all.shape, part.shape);
  size_t stride = 1;
  for (size_t axis = 3; axis < all.shape.size(); ++axis)
    stride *= static_cast<size_t>(all.shape[axis]);
  for (size_t i = 0; i < all.data.size(); ++i) {
    size_t row = i / stride % kRows;
    if (row == 0 || row == 3 || row == 8 || !areOthersLeftOut)
      EXPECT_EQ(part.data[i], all.data[i]) << name << " row " << row;
    else
      EXPECT_TRUE(std::isnan(part.data[i])) << name << " row " << row;
  }
}

TEST(Demand, AnAttentionComputesTheRowsThatAreWanted) {
  expectSomeRows("attention a { align top_left\n mask kv <= q\n output lse }", "out");
  expectSomeRows("attention a { align top_left\n mask kv <= q\n output lse }", "lse");
}

TEST(Demand, SoDoStagesBeforeIt) {
  const char *text = R"(attention a {
    let x[b, h, q, d] = Q * sum(Q for d)
    let weight[b, h, q, kv] = softmax(sum(x * K for d) over kv)
    output kept[b, h, q, kv] = top(weight over kv, 3)
    output sums[b, h, q, kv] = cumsum(weight over kv)
    output y[b, h, q, d] = x + 1.0
    align top_left
    over kept
  })";
  for (const char *name : {"y", "kept", "sums", "out"})
    expectSomeRows(text, name);
}

TEST(Demand, ARecurrenceForEachRowRunsForThese) {
  expectSomeRows(R"(attention a {
    slots i = 3
    let start[b, h, q, d] = Q
    recurrence r over i per [b, h, q] {
      state y[d] = start
      y = y * 0.5 + Q
    }
    output all[b, h, d] = sum(K for kv) + sum(V[e = d] for kv)
    output z[b, h, q, d] = r.y
  })",
                 "z");
}

TEST(Demand, RowsThatOthersReadAreComputed) {
  const char *neighbour = R"(attention a {
    align none
    output x[b, h, q, d] = Q * 2.0
    output y[b, h, q, d] = x + x[q = q + 1]
  })";
  expectSomeRows(neighbour, "x", /*areOthersLeftOut=*/false);
  expectSomeRows(neighbour, "y");
  expectSomeRows(R"(attention a {
    align none
    output x[b, h, q, d] = Q * 2.0
    let y[b, h, d] = sum(x for q)
    output z[b, h, q, d] = x + y
  })",
                 "x", /*areOthersLeftOut=*/false);
}

TEST(Demand, ARowThatIsWantedAnywayMayBeRead) {
  expectSomeRows(R"(attention a {
    align none
    output x[b, h, q, d] = Q * 2.0
    output first[b, h, d] = x[q = 0]
  })",
                 "x");
  // A row that is not wanted makes the stage whole.
  expectSomeRows(R"(attention a {
    align none
    output x[b, h, q, d] = Q * 2.0
    output first[b, h, d] = x[q = 1]
  })",
                 "x", /*areOthersLeftOut=*/false);
}

} // namespace
