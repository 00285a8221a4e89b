// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Sizes and scalars of a variant in the body of its program.
#ifndef ATTNC_LIB_CONVERSION_ATTNTOTILE_PROGRAMSCALARS_H
#define ATTNC_LIB_CONVERSION_ATTNTOTILE_PROGRAMSCALARS_H

#include "dialects/Attn/Attn.h"
#include "dialects/Tile/Tile.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/StringMap.h"

namespace attnc {

/// Emits scalars of the body of a variant at the insertion point of `builder`, in `program`, whose
/// arguments are there already. Each is emitted once. Reals are computed in f64, as the reference
/// does.
class ProgramScalars {
public:
  ProgramScalars(mlir::OpBuilder &builder, attn::VariantOp variant, tile::ProgramOp program);

  /// Declares the spaces of the variant that have an extent and are no arguments. Fails, after an
  /// error at the declaration, where an extent is no arithmetic on sizes and parameters.
  mlir::LogicalResult declareSpaces();

  /// How many indices `space` has, i32; null if the program does not know.
  mlir::Value sizeOf(llvm::StringRef space) const { return sizes.lookup(space); }

  /// The value of `scalar` for a launch or a formula: i32, i1 or f32, as in the variant. Fails,
  /// after an error at its statement, where it is no arithmetic on sizes and parameters.
  mlir::FailureOr<mlir::Value> emit(mlir::Value scalar);

private:
  /// The same with f64 for reals.
  mlir::FailureOr<mlir::Value> emitExact(mlir::Value scalar);
  mlir::FailureOr<mlir::Value> emitOp(mlir::Operation *op);

  mlir::OpBuilder &builder;
  attn::VariantOp variant;
  llvm::StringMap<mlir::Value> sizes, params;
  mlir::IRMapping exact, emitted;
};

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_ATTNTOTILE_PROGRAMSCALARS_H
