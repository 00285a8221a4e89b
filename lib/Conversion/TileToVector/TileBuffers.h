// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Which tile lives where. A tile value lives in a *buffer* of the scratch memory: row-major, each
// row padded to whole vectors. Scratch memory is handed out like a stack: a block's buffers are
// given back at its end, so the loops of a kernel share theirs.
//
// Some values have no buffer: a `tile.fill` is a scalar; a `tile.load` that only feeds the right
// side of a product is packed at once; a `tile.map` that only feeds an accumulator is computed when
// the accumulator is loaded (*deferred*).
#ifndef ATTNC_LIB_CONVERSION_TILETOVECTOR_TILEBUFFERS_H
#define ATTNC_LIB_CONVERSION_TILETOVECTOR_TILEBUFFERS_H

#include "Emitter.h"
#include "dialects/Tile/Tile.h"

namespace attnc {

/// A product of up to so many rows does not pack its right operand: that costs more than it saves.
constexpr int64_t kFewRows = 8;

/// Where a tile lies in the scratch memory.
struct Buffer {
  int64_t offset = 0;
  int64_t rows = 0, cols = 0;
  /// Elements from one row to the next: `cols` padded to whole vectors; 1 for a rank-1 tile.
  int64_t pitch = 0;
  mlir::Type storage; ///< f32, bf16 or i32

  int64_t rowBytes() const { return pitch * byteSize(storage); }
};

class TileBuffers {
public:
  explicit TileBuffers(Emitter &e) : e(e) {}

  /// The type in which elements are kept: f16, and bf16 without instructions for it, as f32, and a
  /// condition as an i32 that is 0 or 1.
  mlir::Type storageOf(mlir::Type element) const;
  int64_t reserve(int64_t bytes);
  Buffer newBuffer(tile::TileType type);
  /// The value that `v` is the same as on the host: looks through casts that change nothing.
  mlir::Value resolve(mlir::Value v) const;
  bool isAlias(tile::CastOp op) const;
  tile::FillOp fillOf(mlir::Value v) const { return resolve(v).getDefiningOp<tile::FillOp>(); }
  /// The dot whose accumulator is all that `op` is for, if it is a map that can be deferred to it.
  tile::DotOp deferredTo(mlir::Operation *op) const;
  bool isOnlyPacked(tile::LoadOp op) const;
  /// Whether all that `op` is for are left operands of products that read its input by columns.
  bool isOnlyMultiplied(tile::TransposeOp op) const;
  /// Calls `fn` for every op that needs the value of `v`, which may be nested in `v`'s block.
  void forEachUser(mlir::Value v, llvm::function_ref<void(mlir::Operation *)> fn) const;
  /// Whether `v` is defined in `op`'s block and no op after `op` uses it.
  bool diesAt(mlir::Value v, mlir::Operation *op) const;
  /// A buffer for `result`, written by `op`: that of a candidate that dies there, or a new one.
  Buffer resultBuffer(mlir::Value result, mlir::Operation *op, mlir::ValueRange candidates);
  const Buffer &bufferOf(mlir::Value v) const { return buffers.find(resolve(v))->second; }
  mlir::Value address(const Buffer &buffer, mlir::Value row, mlir::Value col);
  int64_t vectorAlign(mlir::Type storage) const { return e.lanes * byteSize(storage); }

  mlir::Value scratch; ///< the scratch memory
  llvm::DenseMap<mlir::Value, Buffer> buffers;
  int64_t used = 0, highWater = 0; ///< bytes

private:
  Emitter &e;
};

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_TILETOVECTOR_TILEBUFFERS_H
