// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The five parts that the lowering of a stage is composed of. docs/Lowering.md shows them at work.
//
//   part      says                                                     file
//   Domain    which indices a program computes, and where they are     Domain.cpp
//   Walk      which tiles of the reduced axis are visited, in loops    Walk.cpp, WalkBounds.cpp
//   Elements  the value of scalar code at such an index                Elements.cpp, ScalarOps.cpp
//   Contract  sums of products                                         Contract.cpp
//   Carry     what goes from tile to tile                              this file, OnlineSoftmax.cpp
//
// An attention is Walk x Elements x Contract x OnlineSoftmax (Attend.cpp). What comes next takes
// the same parts: a comprehension is Domain x Elements, and with a reduction in it Walk x Elements
// x Contract with a sum as what is carried; a recurrence is a Walk over time, tile after tile of
// one step, that carries the states. What is merged from parts (branches, keys that are shared out)
// is formulas. An op has a file with a StageLowering
// (Lowerings.h) that puts parts together; it neither knows the others nor changes this file.
#ifndef ATTNC_LIB_CONVERSION_ATTNTOTILE_PARTS_H
#define ATTNC_LIB_CONVERSION_ATTNTOTILE_PARTS_H

#include "KernelContext.h"
#include "attnc/Analysis/KeyRanges.h"

namespace attnc {

//===-- Elements ----------------------------------------------------------------------------===//

/// How an index of scalar code is bound in a kernel.
struct Index {
  llvm::StringRef space; ///< the axis whose index it is
  mlir::Value value;     ///< i32: a scalar of the kernel, or a coordinate in the region of a map
  bool isScalar = true;  ///< one value for the whole program, not one for each element of a tile
  /// The index may be at or beyond the size of its space: reads at it must be clamped.
  bool mayOverrun = false;
  /// Of a coordinate in a tile: the tile's first index (i32), a multiple of `tile`, which is how
  /// many it has. So a quotient by a multiple of that is one number for the tile.
  mlir::Value tileFirst = {};
  int64_t tile = 0;
};

/// The value of scalar code of the language, wherever its indices are bound.
///
/// Scalar code is the body of a region, or arithmetic on parameters and sizes in the body of the
/// variant. Each of its values depends on some of the indices. Those that depend on scalar indices
/// only are computed once for the program, outside of the loops (`hoist`, `scalar`); the others are
/// computed at each element, in the region of the one map that a stage's regions share (`at`).
/// What depends on one tile axis only is computed at each element too: a chain of integer
/// operations is cheaper than the registers that a vector of its values takes through a loop.
///
/// Which op becomes what is a table (ScalarOps.cpp); an op that is not in it is an error at its
/// statement.
class Elements {
public:
  explicit Elements(KernelContext &context);

  /// Emits what `region` uses from outside at the current point, so that `at` finds it, and binds
  /// those of its last arguments, `indices`, that are scalars, so that `scalar` knows them. The
  /// others need no value. A region that is not there has nothing to emit.
  mlir::LogicalResult hoist(mlir::Region &region, llvm::ArrayRef<Index> indices);
  /// Emits a value that depends on scalar indices only at the current point, and what it is
  /// computed from; later calls give the same value. Fails where it depends on more.
  mlir::FailureOr<mlir::Value> scalar(mlir::Value value);
  /// Emits the body of `region` at the current point, which is in the region of a map, and gives
  /// what it yields. Its arguments are `leading` and then `indices`.
  mlir::FailureOr<mlir::Value> at(mlir::Region &region, mlir::ValueRange leading,
                                  llvm::ArrayRef<Index> indices);

private:
  KernelContext &context;
  /// Scalars that were emitted, by the values of the variant.
  mlir::IRMapping scalars;
};

//===-- Contract ----------------------------------------------------------------------------===//

/// A tile with the axes of its rows and columns (a vector has rows only).
struct NamedTile {
  mlir::Value value;
  llvm::SmallVector<llvm::StringRef, 2> axes;
};

/// Where a load starts along its row axis, and from where on there is nothing.
struct RowWindow {
  mlir::Value first, limit; ///< i32
};

/// Sums of products. Operands align by the names of their axes: the axis that both sides have and
/// the result has not is contracted, and an operand that has it the other way round is transposed
/// on the way.
class Contract {
public:
  Contract(KernelContext &context, mlir::Location loc, tile::Precision precision)
      : context(context), loc(loc), precision(precision) {}

  /// The tile of an input over the two tile axes that `domain` gives it, at `window` of the first
  /// of them and at the program's index of all others.
  NamedTile load(const Domain &domain, mlir::Value input, const RowWindow &window);
  /// acc + the product of `lhs` and `rhs` (f32, over the axes of `acc`). With a `mask` (i32, as
  /// `lhs`) only the terms where it is not 0 are added.
  mlir::Value dot(const NamedTile &lhs, const NamedTile &rhs, const NamedTile &acc,
                  mlir::Value mask = {});

private:
  KernelContext &context;
  mlir::Location loc;
  tile::Precision precision;
};

//===-- Walk and Carry ----------------------------------------------------------------------===//

/// A tile of the axis that is reduced.
struct WalkTile {
  mlir::Value first; ///< i32: its first index
  /// Every index of it exists and takes part for all rows: no condition is needed.
  bool isFull = false;
};

/// What goes from tile to tile of a walk. The state is a list of tiles, as many and of the same
/// types from the first to the last.
class Carry {
public:
  using State = llvm::SmallVector<mlir::Value>;

  virtual ~Carry() = default;
  /// Before any tile.
  virtual mlir::FailureOr<State> init() = 0;
  /// Behind `tile`. What the elements of the tile are is known to whoever made the carry.
  virtual mlir::FailureOr<State> step(mlir::ValueRange state, const WalkTile &tile) = 0;
  /// Behind the last tile; may have other tiles than the state.
  virtual mlir::FailureOr<State> finish(mlir::ValueRange state) = 0;
};

/// One range of tiles, as indices that are multiples of the tile: PARTIAL tiles in [start,
/// fullStart) and [fullEnd, end), FULL tiles in [fullStart, fullEnd).
struct WalkRange {
  mlir::Value start, fullStart, fullEnd, end;
};

/// The ranges that a walk visits, in order and disjoint.
struct WalkBounds {
  llvm::SmallVector<WalkRange> ranges;
  bool hasLeadingPartial = true; ///< [start, fullStart) can be non-empty
  bool hasFull = true;           ///< [fullStart, fullEnd) can be non-empty
  /// i32: from this index on no row takes part.
  mlir::Value limit;
};

/// Keys that a program does not go beyond: so many from `first` (i32) on, both multiples of a tile.
struct KeyPart {
  mlir::Value first;
  int64_t count;
};

/// A list of tiles that a program visits instead of ranges, in memory: the number of FULL ones, the
/// number of all, and the tiles, FULL ones first, as numbers of blocks of `block` indices.
struct TileVisits {
  mlir::Value view;
  llvm::SmallVector<mlir::Value> row; ///< i32: indices of the list, on all dimensions but the last
  int64_t block;
};

/// The tiles of the reduced axis that a program visits: those with an index that takes part for one
/// of its rows. PARTIAL, FULL and PARTIAL tiles are three loops, so that FULL ones carry no code
/// for a condition.
class Walk {
public:
  enum class Tiles {
    Classified, ///< FULL tiles apart
    AllPartial, ///< one loop for all, whose code is short
  };

  /// Emits the bounds of the loops at the current point: of a part of the keys, if there is one, or
  /// of the tiles of a list.
  static mlir::FailureOr<Walk> over(KernelContext &context, Elements &elements, mlir::Location loc,
                                    const KeyRanges &ranges, std::optional<KeyPart> part,
                                    std::optional<TileVisits> visits);

  /// From this index on (i32) no row takes part, so that nothing has to be there. A cache that is
  /// not written beyond a sequence's length costs nothing.
  mlir::Value limit() const { return bounds.limit; }
  /// Emits the loops, over `step` indices at a time, and gives what `carry` finishes with.
  mlir::FailureOr<Carry::State> run(Carry &carry, int64_t step, Tiles tiles) const;

private:
  using State = Carry::State;
  struct Loop; ///< what the loops of one `run` share

  Walk(KernelContext &context, mlir::Location loc, WalkBounds bounds)
      : context(context), loc(loc), bounds(std::move(bounds)) {}
  /// i32: an entry of the list.
  mlir::Value entry(mlir::Value slot) const;
  mlir::FailureOr<State> emitVisits(const Loop &loop, const State &state) const;
  mlir::FailureOr<State> emitVisits(const Loop &loop, const State &state, mlir::Value from,
                                    mlir::Value to, bool isFull) const;
  mlir::FailureOr<State> emitLoop(const Loop &loop, const State &state, mlir::Value from,
                                  mlir::Value to, bool isFull) const;
  mlir::FailureOr<State> emitRange(const Loop &loop, const State &state,
                                   const WalkRange &range) const;
  mlir::FailureOr<State> emitRanges(const Loop &loop, const State &state) const;

  KernelContext &context;
  mlir::Location loc;
  WalkBounds bounds;
  std::optional<TileVisits> visits;
  mlir::Value numFull, numVisits; ///< of the list
};

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_ATTNTOTILE_PARTS_H
