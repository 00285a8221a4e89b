// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Lowers one tile kernel to a function: the state that the files of this folder share. How it
// works:
//
// Tiles live in buffers of the scratch memory (TileBuffers.h). An op writes its result into the
// buffer of an operand that dies there, if the shapes allow it; loop-carried tiles keep one buffer
// that the loop updates in place.
//
// Row ops (map, reduce along rows, cast) are collected into *groups* until something else needs a
// result, and a group runs over blocks of `lanes` rows, so that a row stays in the first-level
// cache from one op to the next and row values (rank 1) are handled a vector at a time
// (RowGroup.h). All other ops are lowered by functions that Lowerings.cpp lists.
#ifndef ATTNC_LIB_CONVERSION_TILETOVECTOR_KERNELEMITTER_H
#define ATTNC_LIB_CONVERSION_TILETOVECTOR_KERNELEMITTER_H

#include "Emitter.h"
#include "Lowerings.h"
#include "Regions.h"
#include "TileBuffers.h"
#include "dialects/Tile/Tile.h"
#include "mlir/IR/IRMapping.h"

namespace attnc {

/// Rows that are stored of tiles of `rows` rows: as many as there are from `row` to before `limit`.
struct StoredRows {
  mlir::Value row, limit;
  int64_t rows = 0;
  mlir::Value count; ///< i64, where it is the same in the whole kernel and known
};

class KernelEmitter {
public:
  KernelEmitter(mlir::OpBuilder &builder, tile::KernelOp kernel, const HostTarget &target,
                const HostOpTable &table)
      : e(builder, kernel.getLoc(), target), kernel(kernel), tiles(e), table(table) {}

  /// Emits the function before the kernel. Fails after reporting an error.
  mlir::FailureOr<mlir::LLVM::LLVMFuncOp> run();
  mlir::LogicalResult emitBlock(mlir::Block &block);

  Emitter e;
  tile::KernelOp kernel;
  TileBuffers tiles;
  llvm::SmallVector<mlir::Value> programIds;
  mlir::IRMapping scalars;
  ViewMap views;
  llvm::SmallVector<mlir::Operation *> group; ///< row ops that wait (RowGroup.h)
  /// What the current pass over rows has computed: (tile, vector) -> value.
  llvm::DenseMap<std::pair<mlir::Value, mlir::Value>, mlir::Value> inRegisters;
  llvm::SmallVector<StoredRows> rowBounds;
  /// The tiles of which only stored rows matter (RowBound.h), and which bound they have.
  llvm::DenseMap<mlir::Value, unsigned> storedRows;
  unsigned numDeferred = 0, numGroups = 0;

private:
  mlir::LogicalResult checkTypes();
  void bindArguments(mlir::Value slots);
  mlir::LogicalResult emitOp(mlir::Operation &op);
  mlir::LogicalResult emitScalar(mlir::Operation &op);

  const HostOpTable &table;
};

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_TILETOVECTOR_KERNELEMITTER_H
