// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Overlaps of strided tensors against counting every byte.
#include "attnc/Support/Checks.h"

#include <chrono>
#include <gtest/gtest.h>
#include <random>
#include <set>

using namespace attnc;

namespace {
struct Tensor {
  std::vector<int64_t> shape, strides;
  uintptr_t address = 1 << 20;
  int64_t unit = 4;
  bool isOutput = false;
  StridedMemory memory(const char *name) const {
    return {name, address, unit, shape.data(), strides.data(), shape.size(), isOutput};
  }
  /// Every byte, with repetitions.
  std::multiset<uintptr_t> bytes() const {
    std::multiset<uintptr_t> found;
    int64_t count = 1;
    for (int64_t size : shape)
      count *= size;
    for (int64_t i = 0; i < count; ++i) {
      int64_t offset = 0, rest = i;
      for (size_t axis = shape.size(); axis-- > 0; rest /= shape[axis])
        offset += rest % shape[axis] * strides[axis];
      for (int64_t byte = 0; byte < unit; ++byte)
        found.insert(address + static_cast<uintptr_t>(offset * unit + byte));
    }
    return found;
  }
};

Tensor draw(std::mt19937 &random) {
  Tensor tensor;
  for (unsigned rank = random() % 4; rank-- > 0;) {
    tensor.shape.push_back(random() % 5);
    tensor.strides.push_back(static_cast<int64_t>(random() % 25) - 12);
  }
  tensor.address += random() % 64;
  tensor.unit = int64_t(1) << random() % 4;
  return tensor;
}
} // namespace

TEST(Overlap, AgreesWithCountingBytes) {
  std::mt19937 random(1);
  int shared = 0, selfShared = 0;
  for (int round = 0; round < 20000; ++round) {
    Tensor a = draw(random), b = draw(random);
    a.isOutput = true;
    b.isOutput = random() % 2;
    std::multiset<uintptr_t> bytesOfA = a.bytes(), bytesOfB = b.bytes();
    std::set<uintptr_t> distinct(bytesOfA.begin(), bytesOfA.end());
    bool sharesItself = distinct.size() != bytesOfA.size();
    EXPECT_EQ(bool(checkSelfOverlap(a.memory("a"))), sharesItself) << "round " << round;
    bool shares = std::any_of(bytesOfB.begin(), bytesOfB.end(),
                              [&](uintptr_t byte) { return distinct.count(byte); });
    EXPECT_EQ(bool(checkOverlaps({b.memory("b"), a.memory("a")})), shares) << "round " << round;
    shared += shares;
    selfShared += sharesItself;
  }
  // Both answers occur.
  EXPECT_GT(shared, 2000);
  EXPECT_LT(shared, 18000);
  EXPECT_GT(selfShared, 1000);
  EXPECT_LT(selfShared, 18000);
}

TEST(Overlap, NamesBothTensors) {
  Tensor q{{2, 3}, {3, 1}}, out{{2, 3}, {3, 1}};
  out.isOutput = true;
  EXPECT_EQ(checkOverlaps({q.memory("Q"), out.memory("out")}).message(),
            "output `out` lies on `Q`: a kernel would overwrite what it reads; give it memory of "
            "its own");
  q.isOutput = true;
  EXPECT_EQ(checkOverlaps({q.memory("lse"), out.memory("out")}).message(),
            "output `out` lies on output `lse`: each would overwrite the other; give it memory of "
            "its own");
  q.isOutput = out.isOutput = false;
  EXPECT_EQ(checkOverlaps({q.memory("Q"), out.memory("K")}).message(), "");
  // A broadcast input beside an output.
  q.strides = {0, 0};
  out.isOutput = true;
  out.address += 4;
  EXPECT_EQ(checkOverlaps({q.memory("Q"), out.memory("out")}).message(), "");
}

TEST(Overlap, SlicesOfOneBufferAreApart) {
  // [batch, row, {q, k, v, out}, head, d], as projections leave it; and a row of a cache that is
  // written while the rows before it are read.
  std::vector<int64_t> shape = {4, 32, 1000, 128}, strides = {1000 * 4 * 4096, 128, 4 * 4096, 1};
  std::vector<Tensor> parts(4, Tensor{shape, strides});
  std::vector<StridedMemory> memory;
  for (size_t i = 0; i < 4; ++i) {
    parts[i].address += 4096 * 4 * i;
    parts[i].isOutput = i == 3;
    memory.push_back(parts[i].memory("part"));
  }
  EXPECT_EQ(checkSelfOverlap(memory[3]).message(), "");
  EXPECT_EQ(checkOverlaps(memory).message(), "");
  memory[3].address -= 4;
  EXPECT_NE(checkOverlaps(memory).message(), "");
}

TEST(Overlap, StridesThatDoNotNestAreDecidedOrRefused) {
  // Steps of which every sum has many forms: decided within a budget, whatever the answer.
  Tensor a{{1 << 20, 1 << 20, 1 << 20, 1 << 20}, {1000003, 999983, 999979, 999961}};
  a.isOutput = true;
  Tensor b = a;
  b.address += 1;
  auto start = std::chrono::steady_clock::now();
  EXPECT_NE(checkSelfOverlap(a.memory("a")).message(), "");
  (void)checkOverlaps({a.memory("a"), b.memory("b")});
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(200));
}
