// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The state of lowering one scheduled kernel to NVVM, shared by the lowerings of this folder.
//
// A tile value becomes a *fragment*: the list of the elements that one thread holds, in the order
// of the live registers of its linear layout. Elements are scalars; but 16-bit elements of a matrix
// whose register bit 0 moves one column are pairs, vector<2xf16> or vector<2xbf16>, which matrix
// instructions take in one 32-bit register. What an op does to a fragment follows from the layout
// alone.
//
// How an op is lowered stands in a file of its subject, as functions that take this state;
// Lowerings.h says how they are found.
#ifndef ATTNC_LIB_CONVERSION_TILETONVVM_KERNELLOWERING_H
#define ATTNC_LIB_CONVERSION_TILETONVVM_KERNELLOWERING_H

#include "Lowerings.h"
#include "dialects/Tile/LinearLayout.h"
#include "dialects/Tile/Tile.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/IRMapping.h"
#include <array>
#include <optional>

namespace attnc {

/// The elements of a tile that one thread holds; see the head of this file. A token or slot is a
/// fragment of one value, the shared address (i32) of its stage.
using Fragment = llvm::SmallVector<mlir::Value>;

/// A view in the kernel: base pointer in global memory and 64-bit strides in elements.
struct ViewArgs {
  mlir::Value base;
  llvm::SmallVector<mlir::Value> strides;
  bool isWritten = false; ///< by this kernel: what was read may change
};

/// A tensor map in the kernel: its address, and whether the launch could make it (i32).
struct MapArgs {
  mlir::Value map, isThere;
};

class KernelLowering {
public:
  /// `table` outlives this.
  KernelLowering(tile::KernelOp kernel, mlir::OpBuilder &builder, const NVVMOpTable &table);
  /// Creates the llvm.func next to the kernel; the kernel is left for the caller to erase.
  mlir::LogicalResult run();
  /// Lowers an op at the builder's place; fails after reporting an error.
  mlir::LogicalResult lower(mlir::Operation *op);
  /// Lowers the ops of a block for `threads` threads of the block from `firstThread`, whose
  /// barriers have the number `barrier`.
  mlir::LogicalResult lowerRole(mlir::Block &block, int64_t firstThread, int64_t threads,
                                int32_t barrier);
  /// Lowers the ops of a block, without its terminator if `withTerminator` is not set.
  mlir::LogicalResult lowerBlock(mlir::Block &block, bool withTerminator);

  // What stands for a value.
  /// The flat values that stand for a lowered value.
  Fragment valuesOf(mlir::Value value);
  /// Lets the flat values `flat` stand for `originals`, one after another.
  void distribute(mlir::ValueRange originals, mlir::ValueRange flat);
  /// Types of the values that stand for a tile, token, slot or scalar of this type.
  llvm::SmallVector<mlir::Type> flatten(mlir::Type type);
  static llvm::SmallVector<int64_t> liveRegisters(tile::TileType type);
  static bool isPacked(mlir::Type elementType) { return elementType.getIntOrFloatBitWidth() == 16; }
  /// Whether the fragment of a tile is of pairs.
  static bool isPacked(tile::TileType type);

  // Scalars.
  mlir::Value i32(mlir::Location loc, int64_t value);
  mlir::Value i64(mlir::Location loc, int64_t value);
  mlir::Value add(mlir::Location loc, mlir::Value a, mlir::Value b);
  mlir::Value mul(mlir::Location loc, mlir::Value a, mlir::Value b);
  mlir::Value widen(mlir::Location loc, mlir::Value value);
  mlir::Value offsetPointer(mlir::Location loc, mlir::Value pointer, mlir::Value bytes);
  /// A coordinate of a tile and a constant more: no coordinate overflows.
  mlir::Value coordinate(mlir::Location loc, mlir::Value base, int64_t offset);
  /// `pointer` to an element of `view`, `index` (i32) further along a dimension.
  mlir::Value movedAlong(mlir::Location loc, mlir::Value pointer, mlir::Value view, int64_t dim,
                         mlir::Value index);
  static int64_t elementBytes(mlir::Value view);
  /// All threads of the role that is lowered meet.
  void barrier(mlir::Location loc);
  /// The same, and whether `flag` (i1) is true in any of them (i1).
  mlir::Value barrierOr(mlir::Location loc, mlir::Value flag);
  /// Which four warps this thread belongs to (i32), in a way that ptxas sees to be one for a warp.
  mlir::Value warpgroupId(mlir::Location loc);
  /// The part of a tile coordinate that comes from lane and warp.
  mlir::Value laneCoordinate(mlir::Location loc, tile::TileType type, bool row);
  /// Byte address of view[indices..., row * rowStride], without the column.
  mlir::Value addressOf(mlir::Location loc, mlir::Value view, mlir::ValueRange indices,
                        int64_t rowDim);
  /// What `emit` makes at the head of the kernel, or of a role's code, where thread, lane and warp
  /// are known: once for each (`subject`, `key`).
  mlir::Value atHead(mlir::Attribute subject, unsigned key, llvm::function_ref<mlir::Value()> emit);

  tile::KernelOp kernel;
  mlir::OpBuilder &builder;
  int64_t numThreads = 0; ///< of the role that is lowered: those that tiles are laid out for
  mlir::LLVM::LLVMFuncOp function;
  mlir::IRMapping scalars;
  llvm::DenseMap<mlir::Value, Fragment> fragments;
  llvm::DenseMap<mlir::Value, ViewArgs> views;
  llvm::DenseMap<mlir::Value, MapArgs> tensorMaps;
  /// Buffers: shared address (i32) of stage 0.
  llvm::DenseMap<mlir::Value, mlir::Value> buffers;
  /// Rings: shared address (i32) of the barrier of stage 0 that says it is full; see Rings.cpp.
  llvm::DenseMap<mlir::Value, mlir::Value> rings;
  /// Reads that stay in shared memory until a product uses them.
  llvm::DenseMap<mlir::Value, tile::ReadOp> sharedReads;
  mlir::Value sharedBase; ///< ptr<3>
  /// What has been emitted of arithmetic on addresses in the straight-line code under way, so that
  /// those of neighbouring elements share what is equal in them; null where code is not straight.
  using ArithmeticTable = llvm::DenseMap<std::tuple<char, mlir::Value, mlir::Value>, mlir::Value>;
  ArithmeticTable *emittedArithmetic = nullptr;
  mlir::Value threadId, laneId, warpId; ///< in the role that is lowered
  /// Whether other threads of the block have another role: then this one's barriers have a number.
  std::optional<int32_t> roleBarrier;
  std::array<mlir::Value, 2> gridStarts; ///< i32: first points of grid dimensions 1 and 2

private:
  mlir::LogicalResult createFunction();
  void nameThread(mlir::Value id);
  void bindArguments(mlir::Block &entry);
  mlir::Value integer(mlir::Location loc, int64_t value, unsigned width);
  mlir::Value once(ArithmeticTable::key_type what, llvm::function_ref<mlir::Value()> emit);

  const NVVMOpTable &table;
  llvm::DenseMap<std::pair<mlir::Attribute, unsigned>, mlir::Value> headValues;
  /// Constants live once in the entry block: emission would otherwise be a third constants.
  llvm::DenseMap<std::pair<int64_t, unsigned>, mlir::Value> constants;
};

/// True if `op` may appear in a map region and is cloned as it is; math functions that the target
/// has no instruction for are expanded by a later pass.
bool isScalarOp(mlir::Operation *op);

/// Reads one element as a scalar from an address that is a multiple of `alignment` bytes; indices
/// are looked up in `mapping`.
mlir::FailureOr<mlir::Value> loadElement(KernelLowering &kl, tile::ElementOp element,
                                         mlir::IRMapping &mapping, int64_t alignment);

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_TILETONVVM_KERNELLOWERING_H
