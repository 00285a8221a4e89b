// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The elements of a fragment one by one, where they lie, and memory that threads exchange them
// through.
#ifndef ATTNC_LIB_CONVERSION_TILETONVVM_ELEMENTS_H
#define ATTNC_LIB_CONVERSION_TILETONVVM_ELEMENTS_H

#include "KernelLowering.h"

namespace attnc {

/// The elements of `fragment`, of a tile of this type, in the order of the live registers: pairs
/// are taken apart.
llvm::SmallVector<mlir::Value> unpack(KernelLowering &kl, mlir::Location loc, tile::TileType type,
                                      llvm::ArrayRef<mlir::Value> fragment);
/// The inverse of `unpack`.
Fragment pack(KernelLowering &kl, mlir::Location loc, tile::TileType type,
              llvm::ArrayRef<mlir::Value> elements);

/// Where an element lies in its tile (i32).
struct Position {
  mlir::Value row, col;
};
/// The positions of this thread's elements, in the order of the live registers.
llvm::SmallVector<Position> positions(KernelLowering &kl, mlir::Location loc, tile::TileType type);

/// True in the one thread of those that hold a copy that writes it; null if all hold their own.
mlir::Value isFirstCopy(KernelLowering &kl, mlir::Location loc, tile::TileType type);

/// The type in which an element is kept in memory: i8 for a condition in global memory, i32 in
/// shared memory.
mlir::Type memoryType(mlir::OpBuilder &builder, mlir::Type element, bool shared);
mlir::Value toMemory(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value value,
                     mlir::Type memory);
mlir::Value fromMemory(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value value,
                       mlir::Type element);

/// What stands for both `x` and `y` (f32 or i32) in a reduction or scan.
mlir::Value combineElements(mlir::OpBuilder &builder, mlir::Location loc, tile::ReduceKind kind,
                            mlir::Value x, mlir::Value y);

/// Runs `emit` under `condition`, or always if that is null.
void guarded(KernelLowering &kl, mlir::Location loc, mlir::Value condition,
             llvm::function_ref<void()> emit);

/// A number of f16 or bf16, or its 16 bits, as f32. LLVM narrows comparisons and signs of extended
/// numbers, and where f32 flushes denormal numbers it flushes those of f16 too then; of bf16 it
/// makes `setp.ftz.bf16`, which PTX has not. So it does not see that the number is extended.
mlir::Value extended(mlir::OpBuilder &builder, mlir::Location loc, mlir::Type type, mlir::Value x);
/// The other way, for the same reason: f32 rounded to f16 or bf16 (`type`), and two of them in a
/// packed register.
mlir::Value narrowed(mlir::OpBuilder &builder, mlir::Location loc, mlir::Type type, mlir::Value x);
mlir::Value narrowedPair(mlir::OpBuilder &builder, mlir::Location loc, mlir::Type type,
                         mlir::Value low, mlir::Value high);

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_TILETONVVM_ELEMENTS_H
