// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The rows of a selection in a kernel: a program has a tile of rows, and goes through their entries
// in tiles of columns, as often as it needs. Entries are read from memory each time: a row may have
// any length.
//
// A row runs over the spaces of the selection in the order of the ranks' axes. The last of them is
// the columns of a tile; the others are taken index by index, all in one loop.
#ifndef ATTNC_LIB_CONVERSION_ATTNTOTILE_SELECTROWS_H
#define ATTNC_LIB_CONVERSION_ATTNTOTILE_SELECTROWS_H

#include "Nest.h"
#include "StageTensors.h"
#include "TileBuilder.h"

namespace attnc {

/// The axes of a selection's ranks.
struct SelectAxes {
  explicit SelectAxes(attn::SelectOp select);

  attn::AttnTensorType ranks;
  llvm::SmallVector<unsigned> outer;   ///< that tell rows apart; the last of them is tiled
  llvm::SmallVector<unsigned> leading; ///< of a row, without the last one
  unsigned last;                       ///< the last one of a row

  /// A tensor with one element for each row.
  attn::AttnTensorType rowType() const;
  /// How such tensors are tiled.
  TiledAxes rowTiles(const Target &target) const;
};

/// An entry of a row, in the region of a map.
struct RankEntry {
  mlir::Value rank;  ///< f32: -inf if it cannot be kept, as NaN and -inf
  mlir::Value key;   ///< i32: orders as ranks do, -0 as 0; the smallest i32 if it cannot be kept
  mlir::Value index; ///< i32: within the row
};

/// What a walk over the entries of rows computes.
struct RowFold {
  tile::ReduceKind kind;
  mlir::TypedAttr neutral; ///< what no entry comes to; its type is that of the result
  /// The term of an entry, from it and the elements of vectors that are given for its row.
  std::function<mlir::Value(const RankEntry &, mlir::ValueRange)> term;
};

class SelectRows {
public:
  /// At `point` of the nest `rowsOf`.
  static mlir::FailureOr<SelectRows> at(KernelContext &context, attn::SelectOp select,
                                        const NestPoint &point);

  /// i32 or f32 vectors, one value for each row: what `folds` come to.
  llvm::SmallVector<mlir::Value> fold(mlir::ValueRange vectors, llvm::ArrayRef<RowFold> folds);
  /// Stores whether an entry is kept (i1).
  void store(mlir::ValueRange vectors,
             llvm::function_ref<mlir::Value(const RankEntry &, mlir::ValueRange)> keep,
             llvm::ArrayRef<Destination> destinations);
  /// The element of `tensor`, over axes that tell rows apart, for each row.
  mlir::Value read(mlir::Value tensor);

  /// A vector, from elements of others.
  mlir::Value map(mlir::Type element, mlir::ValueRange vectors,
                  llvm::function_ref<mlir::Value(mlir::ValueRange)> formula);
  mlir::Value fill(mlir::TypedAttr value);
  mlir::Value integer(int64_t value) { return tiles.context.i32(tiles.loc, value); }
  tile::TileType vectorType(mlir::Type element) const { return tiles.type({numRows}, element); }

  TileBuilder tiles;

private:
  /// A tile of entries.
  struct Block {
    mlir::Value lead;   ///< i32: which of the leading indices; null if there are none
    mlir::Value column; ///< i32: the first of the columns
    int64_t columns;
    bool isWhole; ///< all of the columns are there
    mlir::Value ranks;
  };
  using Carried = llvm::SmallVector<mlir::Value>;

  SelectRows(KernelContext &context, attn::SelectOp select, const NestPoint &point);
  /// A tile may have more rows than there are: the last one stands for these.
  mlir::Value insideOfRows(mlir::Value row);
  /// Emits the loops over blocks, which carry `init`.
  Carried forEachBlock(mlir::ValueRange init,
                       llvm::function_ref<Carried(const Block &, mlir::ValueRange)> body);
  llvm::SmallVector<mlir::Value> leadingIndices(mlir::Value lead);
  mlir::Value loadRanks(const Block &block);
  /// The key of a rank, in the region of a map.
  mlir::Value keyOf(mlir::Value rank);
  /// A matrix of what `formula` says of the entries of `block`.
  mlir::Value
  entryMap(const Block &block, mlir::Type element, mlir::ValueRange vectors,
           llvm::function_ref<mlir::Value(const RankEntry &, mlir::ValueRange)> formula);
  void storeBlock(const Block &block, mlir::Value kept, const Destination &to);

  attn::SelectOp select;
  SelectAxes axes;
  NestPoint point;
  int64_t numRows;
  llvm::SmallVector<int64_t, 2> columns; ///< of blocks, widest first
  llvm::SmallVector<mlir::Value> sizes;  ///< i32, of each axis of the ranks
};

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_ATTNTOTILE_SELECTROWS_H
