// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The state of lowering one scheduled kernel to NVVM, shared by the files of this folder.
//
// A tile value becomes a *fragment*: the list of the elements that one thread holds, in the order
// of the live registers of its linear layout. f32 and i32 elements are scalars; 16-bit elements are
// pairs, vector<2xf16> or vector<2xbf16>, because register bit 0 of the layouts moves one column
// and matrix instructions take such pairs in one 32-bit register. What an op does to a fragment
// follows from the layout alone.
#ifndef ATTNC_LIB_CONVERSION_TILETONVVM_KERNELLOWERING_H
#define ATTNC_LIB_CONVERSION_TILETONVVM_KERNELLOWERING_H

#include "dialects/Tile/LinearLayout.h"
#include "dialects/Tile/Tile.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/IRMapping.h"
#include <array>

namespace attnc {

/// A view in the kernel: base pointer in global memory and 64-bit strides in elements.
struct ViewArgs {
  mlir::Value base;
  llvm::SmallVector<mlir::Value> strides;
};

/// Where ldmatrix finds 16x16 blocks in a stage of a buffer. With `rowsFirst` the four 8x8 matrices
/// of a block are ordered (0,0), (8,0), (0,8), (8,8) in (row, column), else (0,0), (0,8), (8,0),
/// (8,8). The swizzle makes the lane's address depend on the block's column in at most eight ways:
/// one pointer each, from which all blocks are at constant offsets.
struct MatrixSource {
  tile::SharedLayoutAttr layout;
  bool transpose = false;
  llvm::SmallVector<mlir::Value, 8> pointers; ///< by (chunk & mask) / 2
};

class KernelLowering {
public:
  KernelLowering(tile::KernelOp kernel, mlir::OpBuilder &builder);
  /// Creates the llvm.func next to the kernel; the kernel is left for the caller to erase.
  mlir::LogicalResult run();

private:
  using Fragment = llvm::SmallVector<mlir::Value>;

  // KernelLowering.cpp: structure and simple ops.
  mlir::LogicalResult createFunction();
  mlir::LogicalResult lowerBlock(mlir::Block &block);
  mlir::LogicalResult lowerOp(mlir::Operation *op);
  void lowerFill(tile::FillOp fill);
  mlir::LogicalResult lowerCast(tile::CastOp cast);
  void lowerWait(tile::WaitOp wait);
  mlir::LogicalResult lowerReduce(tile::ReduceOp reduce);
  mlir::LogicalResult lowerMap(tile::MapOp map);

  // Control.cpp: loops and branches.
  mlir::LogicalResult lowerFor(mlir::scf::ForOp loop);
  mlir::FailureOr<llvm::SmallVector<mlir::Value>> lowerLoopBody(mlir::scf::ForOp loop);
  mlir::LogicalResult lowerIf(mlir::scf::IfOp branch);
  void lowerAny(tile::AnyOp any);
  /// The flat values that stand for a lowered value.
  llvm::SmallVector<mlir::Value> valuesOf(mlir::Value value);
  /// Lets the flat values `flat` stand for `originals`, one after another.
  void distribute(mlir::ValueRange originals, mlir::ValueRange flat);

  // Memory.cpp: global and shared memory.
  mlir::LogicalResult lowerAsyncCopy(tile::AsyncCopyOp copy);
  void copyColumns(tile::AsyncCopyOp copy, mlir::Value source, mlir::Value rowBytes,
                   int64_t firstUnit, int64_t width);
  void copyUnit(tile::AsyncCopyOp copy, mlir::Value source, mlir::Value destination,
                mlir::Value validBytes, int64_t unit);
  mlir::LogicalResult lowerStore(tile::StoreOp store);
  void storeMatrix(tile::StoreOp store, mlir::Value base, mlir::Value rowStride);
  void storeRows(tile::StoreOp store, mlir::Value base, mlir::Value rowStride);
  mlir::FailureOr<mlir::Value> lowerElement(tile::ElementOp element, mlir::IRMapping &mapping);
  /// Byte address of view[indices..., row * rowStride], without the column.
  mlir::Value addressOf(mlir::Location loc, mlir::Value view, mlir::ValueRange indices,
                        int64_t rowDim);

  // Products.cpp: matrix instructions.
  mlir::LogicalResult lowerDot(tile::DotOp dot);
  void dot16(tile::DotOp dot, Fragment &acc);
  void dotF32(tile::DotOp dot, Fragment &acc);
  // MaskedProduct.cpp
  mlir::LogicalResult lowerMaskedDot(tile::DotOp dot);
  mlir::LogicalResult lowerRead(tile::ReadOp read);
  Fragment readFragment16(tile::ReadOp read);
  /// One 16x16 block of 16-bit elements read by ldmatrix.x4: four 32-bit registers.
  llvm::SmallVector<mlir::Value> loadMatrices(mlir::Location loc, const MatrixSource &source,
                                              int64_t row0, int64_t col0);
  /// Pointers for reading 16x16 blocks of `buffer` at `slotBase`; see MatrixSource.
  MatrixSource matrixSource(mlir::Location loc, mlir::Value slotBase, tile::BufferType buffer,
                            bool rowsFirst, bool transpose);
  /// Byte offset of this lane's row in a 16x16 block at column 0 of a row of blocks whose chunk
  /// index is `turned` modulo the swizzle. Emitted once, at the head of the kernel.
  mlir::Value laneMatrixOffset(mlir::Location loc, tile::SharedLayoutAttr layout, bool rowsFirst,
                               int64_t turned);

  // Scalars.
  mlir::Value i32(mlir::Location loc, int64_t value);
  mlir::Value i64(mlir::Location loc, int64_t value);
  mlir::Value add(mlir::Location loc, mlir::Value a, mlir::Value b);
  mlir::Value mul(mlir::Location loc, mlir::Value a, mlir::Value b);
  mlir::Value widen(mlir::Location loc, mlir::Value value);
  mlir::Value offsetPointer(mlir::Location loc, mlir::Value pointer, mlir::Value bytes);
  /// The part of a tile coordinate that comes from lane and warp.
  mlir::Value laneCoordinate(mlir::Location loc, tile::TileType type, bool row);

  static llvm::SmallVector<int64_t> liveRegisters(tile::TileType type);
  static bool isPacked(mlir::Type elementType) { return elementType.getIntOrFloatBitWidth() == 16; }
  /// Types of the values that stand for a tile, token or slot of this type.
  llvm::SmallVector<mlir::Type> flatten(mlir::Type type);

  tile::KernelOp kernel;
  mlir::OpBuilder &builder;
  mlir::LLVM::LLVMFuncOp function;
  mlir::IRMapping scalars;
  llvm::DenseMap<mlir::Value, Fragment> fragments;
  llvm::DenseMap<mlir::Value, ViewArgs> views;
  /// Buffers: shared address (i32) of stage 0. Tokens and slots are the address of their stage, a
  /// fragment of one value.
  llvm::DenseMap<mlir::Value, mlir::Value> buffers;
  /// Reads that stay in shared memory until a product uses them.
  llvm::DenseMap<mlir::Value, tile::ReadOp> sharedReads;
  mlir::Value sharedBase; ///< ptr<3>
  mlir::Value threadId, laneId, warpId;
  std::array<mlir::Value, 2> gridStarts; ///< i32: first points of grid dimensions 1 and 2
  llvm::DenseMap<std::pair<mlir::Attribute, unsigned>, mlir::Value> laneCoordinates;
  llvm::DenseMap<std::pair<mlir::Attribute, unsigned>, mlir::Value> laneMatrixOffsets;
  /// Constants live once in the entry block: emission would otherwise be a third constants.
  llvm::DenseMap<std::pair<int64_t, unsigned>, mlir::Value> constants;
  mlir::Value integer(mlir::Location loc, int64_t value, unsigned width);
  int64_t numThreads = 0;
};

/// True if `op` may appear in a map region and is cloned as it is; math functions that the target
/// has no instruction for are expanded by a later pass.
bool isScalarOp(mlir::Operation *op);

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_TILETONVVM_KERNELLOWERING_H
