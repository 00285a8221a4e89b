// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// How a kernel runs through the axes of what it computes: one entry for each index space, and from
// it the shape of every value.
//
// The indices of an axis are taken `tile` at a time. Its tiles are distributed over the grid (one
// to a program), visited by a loop, unrolled in the code, or there is one that holds the whole
// axis. An axis of which one index is taken at a time is a scalar within the kernel's body; every
// other one is a *tile axis*. A value is a tile over those of its axes that are tile axes: none is
// a scalar, one a vector, two a matrix whose rows and columns are the first and the second of them.
//
// The forward pass of an attention:
//
//   axis   over    tile          Q[b, h, q, d]     matrix q x d     loaded once
//   q      grid    64            K[b, g, kv, d]    matrix kv x d    loaded in each step of the loop
//   h, b   grid    1             scores[b,h,q,kv]  matrix q x kv
//   kv     loop    64            lse[b, h, q]      vector q
//   d, e   whole   their sizes   a slope[h]        scalar
//
// Why one map for a kernel, and not one for each value: axes of the same name are the same indices.
// A product knows from names which axis it contracts and which of its sides it needs transposed,
// and what does not depend on an axis is known to be invariant along it.
#ifndef ATTNC_ANALYSIS_AXISMAP_H
#define ATTNC_ANALYSIS_AXISMAP_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include <cstdint>
#include <string>

namespace attnc {

/// One index space of a kernel.
struct Axis {
  /// Over what the tiles of the axis are enumerated.
  enum class Over {
    Grid,     ///< one for each program
    Loop,     ///< one for each step of a loop in the program
    Unrolled, ///< one for each copy of the code
    Whole,    ///< there is only one
  };
  std::string name;
  Over over = Over::Grid;
  /// Indices that are taken at once; for a whole axis at least its size (what is beyond is
  /// padding).
  int64_t tile = 1;
  /// How many indices the axis has; 0 if that is known at launch only.
  int64_t size = 0;
  /// Over the grid: the last tile belongs to the first program. Programs that have most to do
  /// should start first.
  bool lastFirst = false;
  /// Indices of a tile that are the program's: 1, or 0 for all. The others have room and are not
  /// computed.
  int64_t used = 0;

  /// From the first index of a tile to that of the next one.
  int64_t step() const { return used ? used : tile; }
  bool isTile() const { return tile > 1 || over == Over::Whole; }
};

class AxisMap {
public:
  /// The grid of a launch has so many dimensions.
  static constexpr size_t kMaxGridAxes = 3;
  /// More copies of code are a loop.
  static constexpr int64_t kMaxUnrolled = 8;

  /// Fails, naming the axis, unless
  /// - M1: each axis has a name of its own;
  /// - M2: at most three axes are over the grid;
  /// - M3: a tile has at least one index, and that of a whole axis, whose size is known, holds it;
  /// - M4: an unrolled axis has a known size of at most 8 and tiles of one index;
  /// - M5: only an axis over the grid has its last tile first.
  static llvm::Expected<AxisMap> get(llvm::SmallVector<Axis> axes);

  llvm::ArrayRef<Axis> axes() const { return all; }
  /// Null if the kernel has no such axis.
  const Axis *find(llvm::StringRef name) const;
  /// The axes over the grid: dimension 0 first.
  llvm::SmallVector<const Axis *> gridAxes() const;
  /// The tile axes of a value over `names`: its rows and columns. Fails on an axis that the kernel
  /// does not have, and where there are more than two: one of them has to be a loop.
  llvm::Expected<llvm::SmallVector<const Axis *, 2>>
  tileAxesOf(llvm::ArrayRef<llvm::StringRef> names) const;
  /// The same map, but `name` is taken `tile` indices at a time.
  llvm::Expected<AxisMap> withTile(llvm::StringRef name, int64_t tile) const;
  /// For people: `q: grid 64, h: grid, kv: loop 64, d: whole 48 (40)`.
  std::string str() const;

private:
  explicit AxisMap(llvm::SmallVector<Axis> axes) : all(std::move(axes)) {}

  llvm::SmallVector<Axis> all;
};

} // namespace attnc

#endif // ATTNC_ANALYSIS_AXISMAP_H
