// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A mask over a tile of rows and keys: can some pair of it attend, and does every pair?
//
// Scalar code is evaluated with intervals in place of numbers: ints become the least and the
// largest value that they take in the tile, conditions whether they can hold and whether they
// always do. What a tensor holds is looked up: the least and largest of the ints, any and all of
// the flags that the tile reads. The result is formulas of the language, for the same tile.
//
//   kv <= q                            can: first kv <= last q          always: last kv <= first q
//   doc[q] == doc[kv]                  can: ranges of ids overlap       always: all ids are one
//   keep[q, p of kv]                   can: any of the flags            always: all of them
//   a and b                            can: both can                    always: both always do
//
// Elements are looked up in tensors over tiles, stages of their own, which each element of the read
// tensor takes part in once.
//
// What is not understood can hold and need not: sound, as each interval only contains what happens.
#ifndef ATTNC_LIB_TRANSFORMS_MASKOVERTILES_H
#define ATTNC_LIB_TRANSFORMS_MASKOVERTILES_H

#include "FormulaBuilder.h"
#include "attnc/Analysis/IntIntervals.h"
#include "mlir/IR/IRMapping.h"

namespace attnc {

class MaskOverTiles {
public:
  /// Blocks of rows or keys, and one of them.
  struct Block {
    llvm::StringRef space;
    mlir::Value index;
    mlir::Value first, last; ///< its members
    int64_t size;            ///< that it has at most; first is a multiple of it
  };
  /// A tile: one index on each axis of the query before the row, and blocks. All are i32 and exist.
  struct Tile {
    llvm::SmallVector<mlir::Value> outer;
    Block rows, keys;
  };
  /// i1; null where nothing is known: it can hold, and need not.
  struct Condition {
    mlir::Value can, always;
  };

  MaskOverTiles(FormulaBuilder &builder, attn::AttendOp attend) : b(builder), attend(attend) {}

  /// Emits the mask's condition over `tile` at the place of the builder.
  Condition evaluate(const Tile &tile);
  /// Whether something has told that ranges of keys (KeyRanges.h) do not: elements of a tensor, or
  /// remainders.
  bool hasLookedUp() const { return lookedUp; }

private:
  /// An int in the tile.
  struct Ints {
    mlir::Value low, high;
    Interval range;   ///< of both, whatever is launched
    int64_t span = 0; ///< that high - low is at most
    int64_t unit = 0; ///< if not 0, low is a multiple of it, and high less than the next one
    bool isOne() const { return low == high; }
  };
  /// Where neither is there, nothing is known. `one` is of any type.
  struct Known {
    mlir::Value one; ///< the same for the whole tile
    std::optional<Ints> ints;
    std::optional<Condition> condition;
  };

  void visit(mlir::Operation &op);
  Known derive(mlir::Operation &op);
  Known valueOf(mlir::Value value);
  std::optional<Ints> intsOf(mlir::Value value);
  Condition conditionOf(mlir::Value value);
  Known ofPosition(attn::PositionOp position);
  Known ofRead(attn::ReadOp read);
  /// Of `tensor` over blocks in place of `axis`: what `kind` makes of the elements that `ints`,
  /// which depends on the block only, spans. Null where it depends on more.
  mlir::Value overBlocks(mlir::Value tensor, unsigned axis, const Ints &ints, attn::Reduction kind);
  mlir::Value readAt(mlir::Value tensor, llvm::ArrayRef<mlir::Value> indices, attn::Reduction kind);
  IndexRange within(llvm::StringRef space, mlir::Value low, mlir::Value high);
  const Block *blockOf(const Ints &ints, llvm::SetVector<mlir::Operation *> &slice) const;
  Known ofComparison(mlir::arith::CmpIOp compare);
  Known ofSelect(mlir::arith::SelectOp select);
  std::optional<Ints> ofArithmetic(mlir::Operation &op);
  std::optional<Ints> ofRemainder(mlir::arith::SubIOp sub);
  Ints narrowed(Ints ints);

  mlir::Value least(mlir::Value x, mlir::Value y);
  mlir::Value most(mlir::Value x, mlir::Value y);
  mlir::Value not_(mlir::Value x);
  /// Of two conditions of which null holds for sure (`can`), or for sure does not (`always`).
  mlir::Value either(mlir::Value x, mlir::Value y);

  FormulaBuilder &b;
  attn::AttendOp attend;
  const Tile *tile = nullptr;
  llvm::DenseMap<mlir::Value, Known> known;
  llvm::SetVector<mlir::Value> assumed; ///< i1: without them ints may wrap around
  bool lookedUp = false;
};

} // namespace attnc

#endif // ATTNC_LIB_TRANSFORMS_MASKOVERTILES_H
