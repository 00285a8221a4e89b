// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the evaluator (Evaluator.h) speaks of: axes of tiles, frames of one or two of them, and
// scopes, which say where values of the variant are in the code that is being emitted.
#ifndef ATTNC_LIB_CONVERSION_ATTNTOTILE_FRAMES_H
#define ATTNC_LIB_CONVERSION_ATTNTOTILE_FRAMES_H

#include "mlir/IR/Value.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"

namespace attnc {

/// An axis of tiles: element i along it stands for index `first` + i. Axes are compared by
/// identity.
struct TileAxis {
  mlir::Value first; ///< i32
  int64_t tile = 1;  ///< elements along it
};

/// The axes that a value differs along; at most three are alive at a time.
class AxisSet {
public:
  bool empty() const { return axes.empty(); }
  size_t size() const { return axes.size(); }
  bool contains(const TileAxis *axis) const { return llvm::is_contained(axes, axis); }
  bool contains(const AxisSet &other) const {
    return llvm::all_of(other.axes, [&](const TileAxis *axis) { return contains(axis); });
  }
  bool operator==(const AxisSet &other) const { return size() == other.size() && contains(other); }
  void add(const TileAxis *axis) {
    if (axis && !contains(axis))
      axes.push_back(axis);
  }
  void add(const AxisSet &other) {
    for (const TileAxis *axis : other.axes)
      add(axis);
  }

private:
  llvm::SmallVector<const TileAxis *, 3> axes;
};

/// Which axes are the rows and the columns of a tile. With rows only, a tile is a vector of rank 1;
/// with columns only, a matrix of one row; with none, there is no tile but a scalar.
struct Frame {
  const TileAxis *rows = nullptr, *cols = nullptr;

  AxisSet axes() const {
    AxisSet set;
    set.add(rows);
    set.add(cols);
    return set;
  }
  bool isScalar() const { return !rows && !cols; }
  /// The frame without the axes that are not in `kept`.
  Frame restrictedTo(const AxisSet &kept) const {
    return {kept.contains(rows) ? rows : nullptr, kept.contains(cols) ? cols : nullptr};
  }
  Frame transposed() const { return {cols, rows}; }
};

/// A value as it was emitted: a tile of the shape of `frame`, or a scalar.
struct Evaluated {
  mlir::Value value;
  Frame frame;
};

/// Where an index of the variant is: a scalar, or the index along an axis, perhaps counted from
/// `base`.
struct Place {
  llvm::StringRef space;          ///< whose index it is; empty if it is no index
  mlir::Value scalar;             ///< set for a scalar
  const TileAxis *axis = nullptr; ///< set for an index along an axis
  std::optional<Evaluated> base;  ///< i32: the index is base + first + i
  bool mayOverrun = false;        ///< at or beyond the size of its space
};

/// What is known about a value before it is emitted.
struct Facts {
  AxisSet axes;           ///< that it differs along
  unsigned depth = 0;     ///< of the outermost scope in which it can be computed
  bool isCostly = false;  ///< worth computing once for those that share it
  bool isReduced = false; ///< computed from reductions
};

/// A block of emitted code: the kernel's, or a loop's body within another scope. Values that are
/// computed in a scope are there for all scopes in it.
struct Scope {
  Scope *outer = nullptr;
  unsigned depth = 0;
  mlir::Operation *inner = nullptr; ///< the loop in it that is being emitted: code goes before it
  llvm::DenseMap<mlir::Value, Place> places;
  llvm::DenseMap<mlir::Value, Evaluated> values;
  llvm::DenseMap<mlir::Value, Facts> facts;

  Scope() = default;
  explicit Scope(Scope &outer) : outer(&outer), depth(outer.depth + 1) {}
};

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_ATTNTOTILE_FRAMES_H
