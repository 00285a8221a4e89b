// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Lowers one tile kernel to a function. How it works:
//
// A tile value lives in a *buffer* of the scratch memory: row-major, each row padded to whole
// vectors. An op writes its result into the buffer of an operand that dies there, if the shapes
// allow it; loop-carried tiles keep one buffer that the loop updates in place. Some values have no
// buffer: a `tile.fill` is a scalar; a `tile.load` that only feeds the right side of a product is
// packed at once; a `tile.map` that only feeds an accumulator is computed when the accumulator is
// loaded (*deferred*).
//
// Row ops (map, reduce, cast) are collected into *groups* until something else needs a result, and
// a group runs over blocks of `lanes` rows, so that a row stays in the first-level cache from one
// op to the next and row values (rank 1) are handled a vector at a time.
//
// The parts: Kernel.cpp (function, blocks, loops), Buffers.cpp (who lives where), Memory.cpp (load,
// store), Rows.cpp (groups), Dot.cpp and Pack.cpp (products), Skip.cpp (iterations that change
// nothing), RowBound.cpp (rows that nobody stores), Any.cpp (conditions on tiles).
#ifndef ATTNC_LIB_CONVERSION_TILETOVECTOR_KERNELEMITTER_H
#define ATTNC_LIB_CONVERSION_TILETOVECTOR_KERNELEMITTER_H

#include "Emitter.h"
#include "Regions.h"
#include "dialects/Tile/Tile.h"
#include "mlir/IR/IRMapping.h"

namespace attnc {

/// Where a tile lies in the scratch memory.
struct Buffer {
  int64_t offset = 0;
  int64_t rows = 0, cols = 0;
  /// Elements from one row to the next: `cols` padded to whole vectors; 1 for a rank-1 tile.
  int64_t pitch = 0;
  mlir::Type storage; ///< f32, bf16 or i32

  int64_t rowBytes() const { return pitch * byteSize(storage); }
};

/// A right operand of a product, packed: panels of `vectors` vectors of columns, each panel holding
/// `depth` rows one after another. A word is an f32, or two bf16 of consecutive depth.
struct PackedOperand {
  int64_t offset = 0;
  int64_t depth = 0; ///< in words
  bool pairs = false;
};

class KernelEmitter {
public:
  KernelEmitter(mlir::OpBuilder &builder, tile::KernelOp kernel, const HostTarget &target)
      : e(builder, kernel.getLoc(), target), kernel(kernel) {}

  /// Emits the function before the kernel. Fails after reporting an error.
  mlir::FailureOr<mlir::LLVM::LLVMFuncOp> run();

  /// One pass over a block of rows: row ops that are computed together, vector by vector.
  struct RowPass {
    llvm::SmallVector<mlir::Operation *> ops;
    bool matrix = false; ///< rank 2; else lanes are rows
    int64_t rows = 0, cols = 0;
    /// Ops that run before ops that precede them in the kernel; they must not overwrite operands.
    llvm::SmallPtrSet<mlir::Operation *, 4> early;

    bool contains(mlir::Operation *op) const { return llvm::is_contained(ops, op); }
  };

  unsigned numDeferred = 0, numGroups = 0;

private:
  using TileValue = mlir::TypedValue<tile::TileType>;

  // Kernel.cpp
  void bindArguments(mlir::Value slots);
  mlir::LogicalResult emitBlock(mlir::Block &block);
  mlir::LogicalResult emitOp(mlir::Operation &op);
  mlir::LogicalResult emitFor(mlir::scf::ForOp loop);
  mlir::LogicalResult emitIf(mlir::scf::IfOp branch);
  mlir::LogicalResult emitScalar(mlir::Operation &op);
  /// Copies tiles to buffers as if all at once.
  void moveTiles(mlir::ValueRange from, llvm::ArrayRef<Buffer> to);
  void copyBuffer(const Buffer &from, const Buffer &to);
  void fillBuffer(mlir::Value scalar, const Buffer &buffer);

  // Buffers.cpp
  mlir::LogicalResult checkTypes();
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
  /// Calls `fn` for every op that needs the value of `v`, which may be nested in `v`'s block.
  void forEachUser(mlir::Value v, llvm::function_ref<void(mlir::Operation *)> fn) const;
  /// Whether `v` is defined in `op`'s block and no op after `op` uses it.
  bool diesAt(mlir::Value v, mlir::Operation *op) const;
  /// A buffer for `result`, written by `op`: that of a candidate that dies there, or a new one.
  Buffer resultBuffer(mlir::Value result, mlir::Operation *op, mlir::ValueRange candidates);
  const Buffer &bufferOf(mlir::Value v) const { return buffers.find(resolve(v))->second; }
  mlir::Value address(const Buffer &buffer, mlir::Value row, mlir::Value col);
  int64_t vectorAlign(mlir::Type storage) const { return e.lanes * byteSize(storage); }

  // Memory.cpp
  /// Address of element (row, 0) of the rows that a load or store names.
  mlir::Value rowAddress(mlir::Value view, mlir::ValueRange indices, mlir::Value row0,
                         int64_t rowDim, mlir::Value row);
  mlir::Value rowAddress(tile::LoadOp load, mlir::Value row);
  /// How many of `rows` rows from `row` on lie before `limit`.
  mlir::Value validRows(mlir::Value row, mlir::Value limit, int64_t rows);
  void emitLoad(tile::LoadOp load);
  /// Copies rows [from, to) of the load to consecutive rows at `into`; rows from `valid` on are 0.
  void copyRows(tile::LoadOp load, mlir::Value from, mlir::Value to, mlir::Value valid,
                mlir::Value into, int64_t pitch, mlir::Type storage);
  mlir::LogicalResult emitStore(tile::StoreOp store);
  /// The first `count` elements (at most a vector) at `address`, as `storage`; 0 beyond.
  mlir::Value loadTensor(mlir::Value address, mlir::Type element, mlir::Type storage,
                         int64_t count);
  void storeTensor(mlir::Value value, mlir::Value address, mlir::Type element, int64_t count);

  // Rows.cpp
  mlir::LogicalResult flushGroup();
  llvm::SmallVector<RowPass> splitGroup() const;
  mlir::LogicalResult assignBuffers(llvm::ArrayRef<RowPass> passes);
  mlir::LogicalResult emitMatrixPass(const RowPass &pass, mlir::Value row);
  mlir::LogicalResult emitColumns(const RowPass &pass, mlir::Value row, mlir::Value col,
                                  int64_t count, llvm::SmallVectorImpl<mlir::Value> &sums);
  mlir::LogicalResult emitRowValuePass(const RowPass &pass, mlir::Value row);
  /// The vector of `v` at (row, col), or a scalar if its lanes are all the same. In a row value
  /// pass (null `col`) lanes are rows.
  mlir::Value readVector(mlir::Value v, mlir::Value row, mlir::Value col);
  void writeVector(mlir::Value value, mlir::Value tile, mlir::Value row, mlir::Value col);
  mlir::Value convertElement(mlir::Value x, mlir::Type from, mlir::Type to);
  /// The elements of `map` at (row, col); a null `col` as in readVector. `wanted` as in emitRegion.
  mlir::Value mapVector(tile::MapOp map, mlir::ValueRange operands, mlir::Value row,
                        mlir::Value col, mlir::Value wanted = {});

  // RowBound.cpp
  /// Finds the tiles whose rows are the rows that the kernel stores.
  void findStoredRows();
  /// Emits the number of rows to store once it can be computed. Call before each op of the kernel's
  /// body.
  void emitRowBound();
  /// Rows of `tile` that matter: all, or those that are stored.
  mlir::Value rowsOf(mlir::Value tile);

  // Any.cpp
  void emitAny(tile::AnyOp any);

  // Skip.cpp
  /// The condition under which an iteration of `loop` changes anything; null if none is known.
  mlir::FailureOr<mlir::Value> iterationIsVisible(mlir::scf::ForOp loop);

  // Pack.cpp
  /// Panels of one width: `count` panels of `vectors` vectors, from column `first`.
  struct PanelRun {
    int64_t first, vectors, count;
  };
  llvm::SmallVector<PanelRun> panelRuns(int64_t cols) const;
  PackedOperand pack(tile::DotOp dot);
  void packTransposed(tile::DotOp dot, tile::LoadOp load, const PackedOperand &packed);
  void transposeBlock(mlir::Value source, mlir::Value pitchBytes, mlir::Value panel,
                      int64_t panelVectors, mlir::Value vector, const PackedOperand &packed);
  void packStraight(tile::DotOp dot, tile::LoadOp load, const PackedOperand &packed);

  // Dot.cpp
  mlir::LogicalResult emitDot(tile::DotOp dot);
  /// Where a product goes: the accumulator's place, or that of what its deferred map reads, where
  /// it dies there. It is read row by row before the same places are written, so only matrices of
  /// the result's shape are reused.
  Buffer productBuffer(tile::DotOp dot);
  mlir::LogicalResult emitMicroKernel(tile::DotOp dot, const PackedOperand &packed,
                                      mlir::Value panel, mlir::Value row, mlir::Value col,
                                      int64_t rows, int64_t vectors);
  // MaskedDot.cpp
  mlir::LogicalResult emitMaskedDot(tile::DotOp dot);
  /// The accumulator's vector at (row, col), computed here if its map was deferred; null after an
  /// error.
  mlir::Value accumulator(tile::DotOp dot, mlir::Value row, mlir::Value col);

  Emitter e;
  tile::KernelOp kernel;
  mlir::Value scratch;
  llvm::SmallVector<mlir::Value> programIds;
  mlir::IRMapping scalars;
  ViewMap views;
  llvm::DenseMap<mlir::Value, Buffer> buffers;
  llvm::SmallVector<mlir::Operation *> group;
  int64_t used = 0, highWater = 0;
  llvm::DenseSet<mlir::Value> storedRows; ///< tiles found by findStoredRows
  tile::StoreOp rowStore;                 ///< a store that bounds them
  mlir::Value rowBound;                   ///< i64, null if not known
  /// What the current pass has computed of the current vectors: (tile, vector) -> value.
  llvm::DenseMap<std::pair<mlir::Value, mlir::Value>, mlir::Value> inRegisters;
};

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_TILETOVECTOR_KERNELEMITTER_H
