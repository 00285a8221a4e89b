// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Tensor maps: what programs may say of them, and what the driver is asked for.
#include "Runtime/CUDA/TensorMaps.h"
#include "Runtime/CUDA/DriverApi.h"
#include "gtest/gtest.h"

using namespace attnc;
using namespace attnc::cuda;
using Kind = KernelArg::Kind;

namespace {

/// A kernel with Q[b, h, q, 80] in f16 as a view, and through a map of boxes of 128 x 64.
Program makeProgram() {
  Program program;
  program.signature.name = "k";
  TensorDecl q{"Q", DType::F16, {{"b"}, {"h"}, {"q"}, {"", 80}}, std::nullopt};
  q.unitLastStride = true;
  program.signature.inputs = {q};
  program.signature.spaceNames = {"b", "h", "q"};
  KernelLaunch launch;
  launch.symbol = "k";
  launch.args.push_back({Kind::Size, 0, 0});
  launch.args.push_back({Kind::Pointer, 0, 0});
  for (int32_t dim = 0; dim < 4; ++dim)
    launch.args.push_back({Kind::Stride, 0, dim});
  launch.args.push_back({Kind::TensorMap, 0, 0});
  launch.args.push_back({Kind::HasMap, 0, 0});
  for (int32_t dim = 0; dim < 4; ++dim)
    launch.args.push_back({Kind::Extent, 0, dim});
  launch.boxes = {{2, 128, 64}};
  for (SizeFormula &points : launch.grid)
    points = {{SizeStep::Op::Number, 1}};
  program.launches = {launch};
  return program;
}

/// What the driver was asked for.
struct Request {
  int calls = 0, type = 0, swizzle = 0, promotion = 0, result = 0;
  uint32_t rank = 0;
  void *address = nullptr;
  std::vector<uint64_t> sizes, strides;
  std::vector<uint32_t> box;
} request;

int encode(void *map, int type, uint32_t rank, void *address, const uint64_t *sizes,
           const uint64_t *strides, const uint32_t *box, const uint32_t *steps, int interleave,
           int swizzle, int promotion, int fill) {
  int calls = request.calls + 1, result = request.result;
  request = {calls, type, swizzle, promotion, result, rank, address, {}, {}, {}};
  request.sizes.assign(sizes, sizes + rank);
  request.strides.assign(strides, strides + rank - 1);
  request.box.assign(box, box + rank);
  for (uint32_t i = 0; i < rank; ++i)
    EXPECT_EQ(steps[i], 1u);
  EXPECT_EQ(interleave, 0);
  EXPECT_EQ(fill, 0);
  static_cast<TensorMap *>(map)->words[0] = uint64_t(calls);
  return result;
}

class TensorMapsTest : public testing::Test {
protected:
  TensorMapsTest() : program(makeProgram()), maps(program, program.launches[0], 6) {
    request = {};
    api.cuTensorMapEncodeTiled = encode;
  }
  /// Slots of a launch with a tensor of two batches, four heads and 300 rows.
  std::vector<uint64_t> slots(std::array<uint64_t, 4> strides) const {
    return {2,         0x10000, strides[0], strides[1], strides[2], strides[3],
            /*map=*/0, 0,       2,          4,          300,        80};
  }
  Program program;
  Api api{};
  TensorMaps maps;
  TensorMap map;
};

} // namespace

TEST_F(TensorMapsTest, ColumnsThenRowsThenTheRestFromTheLastOn) {
  // Rows of all heads one behind the other: heads are closer to each other than rows.
  ASSERT_TRUE(maps.get(api, slots({300 * 4 * 80, 80, 4 * 80, 1}).data(), map));
  EXPECT_EQ(request.type, 6);
  EXPECT_EQ(request.rank, 4u);
  EXPECT_EQ(request.address, reinterpret_cast<void *>(0x10000));
  EXPECT_EQ(request.sizes, (std::vector<uint64_t>{80, 300, 4, 2}));
  EXPECT_EQ(request.strides, (std::vector<uint64_t>{640, 160, 192000}));
  EXPECT_EQ(request.box, (std::vector<uint32_t>{64, 128, 1, 1}));
  EXPECT_EQ(request.swizzle, 3); // rows of 128 bytes
}

TEST_F(TensorMapsTest, TheLastOnesAreKept) {
  std::vector<uint64_t> first = slots({96000, 24000, 80, 1});
  ASSERT_TRUE(maps.get(api, first.data(), map));
  ASSERT_TRUE(maps.get(api, first.data(), map));
  EXPECT_EQ(request.calls, 1);
  EXPECT_EQ(map.words[0], 1u);
  std::vector<uint64_t> others = first;
  for (uint64_t i = 1; i <= 4; ++i) {
    others[1] = 0x10000 + 4096 * i;
    ASSERT_TRUE(maps.get(api, others.data(), map));
    EXPECT_EQ(map.words[0], i + 1);
  }
  ASSERT_TRUE(maps.get(api, first.data(), map)); // four came after it
  EXPECT_EQ(map.words[0], 6u);
  others[10] = 299; // another size is another map
  ASSERT_TRUE(maps.get(api, others.data(), map));
  EXPECT_EQ(map.words[0], 7u);
}

TEST_F(TensorMapsTest, WhatTheEngineCannotReadHasNone) {
  EXPECT_FALSE(maps.get(api, slots({96000, 24000, 81, 1}).data(), map)); // 162 bytes
  EXPECT_FALSE(maps.get(api, slots({0, 24000, 80, 1}).data(), map));     // one batch for two
  EXPECT_FALSE(maps.get(api, slots({uint64_t(1) << 40, 24000, 80, 1}).data(), map));
  EXPECT_FALSE(maps.get(api, slots({uint64_t(-96000), 24000, 80, 1}).data(), map));
  std::vector<uint64_t> off = slots({96000, 24000, 80, 1});
  off[1] = 0x10008;
  EXPECT_FALSE(maps.get(api, off.data(), map));
  off[1] = 0x10000;
  off[10] = 0; // no rows
  EXPECT_FALSE(maps.get(api, off.data(), map));
  EXPECT_EQ(request.calls, 0);
  // What is one index long has any stride.
  std::vector<uint64_t> one = slots({7, 24000, 80, 1});
  one[8] = 1;
  EXPECT_TRUE(maps.get(api, one.data(), map));
  EXPECT_EQ(request.strides.back(), 16u);
}

TEST_F(TensorMapsTest, ADriverMaySayNo) {
  request.result = 1;
  std::vector<uint64_t> good = slots({96000, 24000, 80, 1});
  EXPECT_FALSE(maps.get(api, good.data(), map));
  EXPECT_FALSE(maps.get(api, good.data(), map));
  EXPECT_EQ(request.calls, 1); // asked once
  api.cuTensorMapEncodeTiled = nullptr;
  good[1] += 4096;
  EXPECT_FALSE(maps.get(api, good.data(), map));
}

TEST_F(TensorMapsTest, NobodyMayWantThem) {
  setenv("ATTNC_TENSOR_MAPS", "0", 1);
  TensorMaps none(program, program.launches[0], 6);
  unsetenv("ATTNC_TENSOR_MAPS");
  EXPECT_FALSE(none.get(api, slots({96000, 24000, 80, 1}).data(), map));
  EXPECT_EQ(request.calls, 0);
}

TEST(TensorMapPrograms, AMapHasWhatItIsMadeFrom) {
  EXPECT_EQ(checkProgram(makeProgram()).message(), "");
  Program program = makeProgram();
  program.launches[0].args.pop_back();
  EXPECT_EQ(checkProgram(program).message(), "a tensor map without what it is made from");
  program = makeProgram();
  program.launches[0].args.erase(program.launches[0].args.begin() + 1);
  EXPECT_EQ(checkProgram(program).message(), "a tensor map without what it is made from");
  program = makeProgram();
  program.launches[0].args[6].dim = 1;
  EXPECT_EQ(checkProgram(program).message(), "a tensor map of nothing that is there");
  program = makeProgram();
  program.launches[0].boxes[0].rows = 257;
  EXPECT_EQ(checkProgram(program).message(), "the box of a tensor map");
  program = makeProgram();
  program.launches[0].boxes[0].rowDim = 3;
  EXPECT_EQ(checkProgram(program).message(), "the box of a tensor map");
  program = makeProgram();
  program.launches[0].args.push_back({Kind::HasMap, 0, 0});
  EXPECT_EQ(checkProgram(program).message(), "a mark of no tensor map");
}
