// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Domain, the first of the parts of Parts.h: an axis map (Analysis/AxisMap.h) in a kernel. It says
// which indices a program computes and of what type a value over some axes is.
#ifndef ATTNC_LIB_CONVERSION_ATTNTOTILE_DOMAIN_H
#define ATTNC_LIB_CONVERSION_ATTNTOTILE_DOMAIN_H

#include "attnc/Analysis/AxisMap.h"
#include "dialects/Attn/Attn.h"
#include "dialects/Tile/Tile.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/StringMap.h"

namespace attnc {

class Domain {
public:
  Domain() : map(llvm::cantFail(AxisMap::get({}))) {}
  explicit Domain(AxisMap axes) : map(std::move(axes)) {}

  const AxisMap &axes() const { return map; }
  /// Emits the program's first index of each axis over the grid, and of the axes that follow from
  /// one: g, which consists of blocks of h. Tiles of several h are cut within these blocks.
  /// `sizes` has an i32 for each space.
  ///
  /// With `headsAtOnce` (i32), programs of so many neighbouring heads take turns: all of their
  /// first tiles of q come before any of their second ones. Otherwise a head's programs follow each
  /// other.
  void emitCoordinates(mlir::OpBuilder &builder, mlir::Location loc,
                       const llvm::StringMap<mlir::Value> &sizes, mlir::Value headsAtOnce = {});

  /// Lets the program's index of `outer`, which it has one of, stand for one of `inner` too, of
  /// which there are `size` (i32): neighbouring programs have neighbouring ones of these.
  void share(mlir::OpBuilder &builder, mlir::Location loc, llvm::StringRef outer,
             llvm::StringRef inner, mlir::Value size);

  /// i32: the program's first index of an axis over the grid, or of one that follows from it.
  mlir::Value first(llvm::StringRef axis) const { return firsts.lookup(axis); }
  /// i32: the program has no index of an axis over the grid from this one on.
  mlir::Value limit(llvm::StringRef axis) const { return limits.lookup(axis); }
  /// Indices of `axis` that are taken at once.
  int64_t tile(llvm::StringRef axis) const { return map.find(axis)->tile; }
  /// The tile axes of a value over `names`: its rows and columns.
  llvm::SmallVector<const Axis *, 2> tileAxesOf(llvm::ArrayRef<llvm::StringRef> names) const;
  /// The type of a value over `names`, which has tile axes.
  tile::TileType typeOf(llvm::ArrayRef<llvm::StringRef> names, mlir::Type element) const;
  /// The same program, with `tile` indices of `axis` at once.
  Domain withTile(llvm::StringRef axis, int64_t tile) const;

private:
  /// Lets programs `tile` of q and `head` take turns; see emitCoordinates.
  void takeTurns(mlir::OpBuilder &builder, mlir::Location loc,
                 const llvm::StringMap<mlir::Value> &sizes, mlir::Value headsAtOnce,
                 mlir::Value &tile, mlir::Value &head) const;
  void emitHeadTile(mlir::OpBuilder &builder, mlir::Location loc, const Axis &axis,
                    mlir::Value index, const llvm::StringMap<mlir::Value> &sizes);

  AxisMap map;
  llvm::StringMap<mlir::Value> firsts, limits;
};

/// The names of a tensor's axes; empty for one that is over a number.
llvm::SmallVector<llvm::StringRef> axisNames(attn::AttnTensorType type);

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_ATTNTOTILE_DOMAIN_H
