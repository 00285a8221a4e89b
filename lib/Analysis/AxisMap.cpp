// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// AxisMap.h says what an axis map is and what must hold of one.
#include "attnc/Analysis/AxisMap.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"

using namespace attnc;
using llvm::createStringError;
using llvm::formatv;
using Over = Axis::Over;

static llvm::StringRef nameOf(Over over) {
  switch (over) {
  case Over::Grid:
    return "grid";
  case Over::Loop:
    return "loop";
  case Over::Unrolled:
    return "unrolled";
  case Over::Whole:
    return "whole";
  }
  return "";
}

/// What is wrong with one axis; empty if nothing.
static std::string problemOf(const Axis &axis) {
  if (axis.tile < 1) // M3
    return formatv("axis `{0}` has tiles of {1} indices: expected at least 1", axis.name,
                   axis.tile);
  if (axis.over == Over::Whole && (axis.size < 1 || axis.tile < axis.size)) // M3
    return formatv("axis `{0}` is one tile of {1} indices: expected a known size of at most that, "
                   "found {2}",
                   axis.name, axis.tile, axis.size);
  if (axis.over == Over::Unrolled &&
      (axis.tile != 1 || axis.size < 1 || axis.size > AxisMap::kMaxUnrolled)) // M4
    return formatv("axis `{0}` is unrolled: expected a known size of at most {1} and tiles of 1 "
                   "index, found size {2} and tiles of {3}",
                   axis.name, AxisMap::kMaxUnrolled, axis.size, axis.tile);
  if (axis.lastFirst && axis.over != Over::Grid) // M5
    return formatv("axis `{0}` has its last tile first and is not over the grid", axis.name);
  return {};
}

llvm::Expected<AxisMap> AxisMap::get(llvm::SmallVector<Axis> axes) {
  for (size_t i = 0; i < axes.size(); ++i) {
    const Axis &axis = axes[i];
    auto isSame = [&](const Axis &other) { return other.name == axis.name; };
    if (axis.name.empty() || llvm::any_of(llvm::ArrayRef(axes).take_front(i), isSame)) // M1
      return createStringError(
          formatv("expected a name of its own for axis {0}, found `{1}`", i, axis.name));
    if (std::string problem = problemOf(axis); !problem.empty())
      return createStringError(problem);
  }
  AxisMap map(std::move(axes));
  if (size_t count = map.gridAxes().size(); count > kMaxGridAxes) // M2
    return createStringError(
        formatv("expected at most {0} axes over the grid, found {1}", kMaxGridAxes, count));
  return map;
}

const Axis *AxisMap::find(llvm::StringRef name) const {
  auto it = llvm::find_if(all, [&](const Axis &axis) { return axis.name == name; });
  return it == all.end() ? nullptr : it;
}

llvm::SmallVector<const Axis *> AxisMap::gridAxes() const {
  llvm::SmallVector<const Axis *> result;
  for (const Axis &axis : all)
    if (axis.over == Over::Grid)
      result.push_back(&axis);
  return result;
}

llvm::Expected<llvm::SmallVector<const Axis *, 2>>
AxisMap::tileAxesOf(llvm::ArrayRef<llvm::StringRef> names) const {
  llvm::SmallVector<const Axis *, 2> result;
  for (llvm::StringRef name : names) {
    const Axis *axis = find(name);
    if (!axis)
      return createStringError(formatv("no axis `{0}` in ({1})", name, str()));
    if (axis->isTile())
      result.push_back(axis);
  }
  if (result.size() > 2)
    return createStringError(
        formatv("a value over [{0}] has {1} tile axes, expected at most 2: one "
                "of them has to be a loop of single indices in ({2})",
                llvm::join(names, ", "), result.size(), str()));
  return result;
}

llvm::Expected<AxisMap> AxisMap::withTile(llvm::StringRef name, int64_t tile) const {
  llvm::SmallVector<Axis> axes = all;
  auto it = llvm::find_if(axes, [&](const Axis &axis) { return axis.name == name; });
  if (it == axes.end())
    return createStringError(formatv("no axis `{0}` in ({1})", name, str()));
  it->tile = tile;
  return get(std::move(axes));
}

std::string AxisMap::str() const {
  std::string text;
  for (const Axis &axis : all) {
    text += formatv("{0}{1}: {2}", text.empty() ? "" : ", ", axis.name, nameOf(axis.over)).str();
    if (axis.isTile())
      text += formatv(" {0}", axis.tile).str();
    if (axis.size && axis.size != axis.tile)
      text += formatv(" ({0})", axis.size).str();
    if (axis.lastFirst)
      text += " last first";
  }
  return text;
}
