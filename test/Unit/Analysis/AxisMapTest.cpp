// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Axis maps: the shape of values over their axes, and each rule of the verifier, by the words that
// it fails with.
#include "attnc/Analysis/AxisMap.h"
#include "llvm/ADT/STLExtras.h"
#include "gtest/gtest.h"

using namespace attnc;
using Over = Axis::Over;

namespace {

llvm::SmallVector<Axis> attention() {
  return {{"q", Over::Grid, 64, 0, /*lastFirst=*/true},
          {"h", Over::Grid},
          {"b", Over::Grid},
          {"kv", Over::Loop, 32},
          {"d", Over::Whole, 48, 40},
          {"e", Over::Whole, 64, 64}};
}

AxisMap mapOf(llvm::SmallVector<Axis> axes) {
  return llvm::cantFail(AxisMap::get(std::move(axes)));
}

/// The message that `axes` are refused with; empty if they are taken.
std::string refusal(llvm::SmallVector<Axis> axes) {
  llvm::Expected<AxisMap> map = AxisMap::get(std::move(axes));
  return map ? "" : llvm::toString(map.takeError());
}

/// The names of the tile axes of a value over `axes`, or why there are none.
std::string shapeOf(const AxisMap &map, llvm::ArrayRef<llvm::StringRef> axes) {
  auto tileAxes = map.tileAxesOf(axes);
  if (!tileAxes)
    return llvm::toString(tileAxes.takeError());
  std::string text;
  for (const Axis *axis : *tileAxes)
    text += (text.empty() ? "" : " x ") + axis->name;
  return text;
}

TEST(AxisMap, TileAxesGiveValuesTheirShapes) {
  AxisMap map = mapOf(attention());
  EXPECT_EQ(shapeOf(map, {"b", "h", "q", "d"}), "q x d");
  EXPECT_EQ(shapeOf(map, {"b", "kv", "e"}), "kv x e");
  EXPECT_EQ(shapeOf(map, {"b", "h", "q", "kv"}), "q x kv");
  EXPECT_EQ(shapeOf(map, {"b", "h", "q"}), "q");
  EXPECT_EQ(shapeOf(map, {"h"}), "");
  EXPECT_EQ(shapeOf(map, {"kv", "q"}), "kv x q") << "in the order of the value's axes";
}

TEST(AxisMap, MoreThanTwoTileAxesAreRefused) {
  AxisMap map = mapOf(attention());
  EXPECT_EQ(shapeOf(map, {"b", "q", "kv", "d"}),
            "a value over [b, q, kv, d] has 3 tile axes, expected at most 2: one of them has to be "
            "a loop of single indices in (" +
                map.str() + ")");
  AxisMap looped = llvm::cantFail(map.withTile("kv", 1));
  EXPECT_EQ(shapeOf(looped, {"b", "q", "kv", "d"}), "q x d");
}

TEST(AxisMap, UnknownAxesAreRefused) {
  AxisMap map = mapOf({{"q", Over::Grid, 16}});
  EXPECT_EQ(shapeOf(map, {"q", "n"}), "no axis `n` in (q: grid 16)");
  llvm::Expected<AxisMap> other = map.withTile("n", 4);
  ASSERT_FALSE(other);
  EXPECT_EQ(llvm::toString(other.takeError()), "no axis `n` in (q: grid 16)");
}

TEST(AxisMap, GridAxesAreInOrder) {
  AxisMap map = mapOf(attention());
  std::string names;
  for (const Axis *axis : map.gridAxes())
    names += axis->name;
  EXPECT_EQ(names, "qhb");
  ASSERT_NE(map.find("q"), nullptr);
  EXPECT_TRUE(map.find("q")->lastFirst);
  EXPECT_EQ(map.find("g"), nullptr);
}

TEST(AxisMap, WithTileKeepsTheOthers) {
  AxisMap map = llvm::cantFail(mapOf(attention()).withTile("kv", 16));
  EXPECT_EQ(map.str(),
            "q: grid 64 last first, h: grid, b: grid, kv: loop 16, d: whole 48 (40), e: whole 64");
  llvm::Expected<AxisMap> narrow = map.withTile("d", 32); // M3 holds of what comes out, too
  ASSERT_FALSE(narrow);
  llvm::consumeError(narrow.takeError());
}

TEST(AxisMap, M1NamesAreTheirOwn) {
  EXPECT_EQ(refusal({{"q", Over::Grid}, {"q", Over::Loop}}),
            "expected a name of its own for axis 1, found `q`");
  EXPECT_EQ(refusal({{"", Over::Grid}}), "expected a name of its own for axis 0, found ``");
}

TEST(AxisMap, M2ThreeAxesOverTheGrid) {
  llvm::SmallVector<Axis> axes = {{"b", Over::Grid}, {"h", Over::Grid}, {"q", Over::Grid}};
  EXPECT_EQ(refusal(axes), "");
  axes.push_back({"r", Over::Grid});
  EXPECT_EQ(refusal(axes), "expected at most 3 axes over the grid, found 4");
}

TEST(AxisMap, M3TilesHoldTheirIndices) {
  EXPECT_EQ(refusal({{"q", Over::Grid, 0}}),
            "axis `q` has tiles of 0 indices: expected at least 1");
  EXPECT_EQ(refusal({{"d", Over::Whole, 32, 40}}),
            "axis `d` is one tile of 32 indices: expected a known size of at most that, found 40");
  EXPECT_EQ(refusal({{"d", Over::Whole, 32, 0}}),
            "axis `d` is one tile of 32 indices: expected a known size of at most that, found 0");
  EXPECT_EQ(refusal({{"d", Over::Whole, 1, 1}}), "");
}

TEST(AxisMap, M4UnrolledAxesAreShort) {
  EXPECT_EQ(refusal({{"s", Over::Unrolled, 1, 8}}), "");
  for (const Axis &axis : {Axis{"s", Over::Unrolled, 1, 9}, Axis{"s", Over::Unrolled, 1, 0},
                           Axis{"s", Over::Unrolled, 2, 8}})
    EXPECT_NE(refusal({axis}).find("axis `s` is unrolled: expected a known size of at most 8 and "
                                   "tiles of 1 index"),
              std::string::npos);
}

TEST(AxisMap, M5OnlyTheGridRunsBackwards) {
  EXPECT_EQ(refusal({{"kv", Over::Loop, 16, 0, /*lastFirst=*/true}}),
            "axis `kv` has its last tile first and is not over the grid");
}

} // namespace
