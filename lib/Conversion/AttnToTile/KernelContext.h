// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What all parts of convert-attn-to-tile share: the plan, and the arguments of the kernel, or of
// the program, by what they bind.
#ifndef ATTNC_LIB_CONVERSION_ATTNTOTILE_KERNELCONTEXT_H
#define ATTNC_LIB_CONVERSION_ATTNTOTILE_KERNELCONTEXT_H

#include "Domain.h"
#include "attnc/Plan/Plan.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/MapVector.h"

namespace attnc {

/// Some neighbouring indices of a space.
struct IndexPart {
  mlir::Value first, count; ///< i32
  int64_t most = 0;         ///< `count` is not larger; 0 if that is not known
};

struct KernelContext {
  KernelContext(mlir::OpBuilder &builder, attn::VariantOp variant, const KernelPlan &plan)
      : builder(builder), variant(variant), plan(plan) {}

  mlir::OpBuilder &builder;
  attn::VariantOp variant;
  const KernelPlan &plan;
  Domain domain; ///< of lowerings that have one axis map
  /// Views of tensors of the variant that are in memory.
  llvm::DenseMap<mlir::Value, mlir::Value> views;
  /// Indices (i32) of the first dimensions of a view that has more of them than its tensor: which
  /// of several such tensors it is.
  llvm::DenseMap<mlir::Value, llvm::SmallVector<mlir::Value>> leading;
  /// Spaces that a kernel reads tensors at although none of its indices runs over them: they must
  /// not be empty. With a tensor for each.
  llvm::MapVector<llvm::StringRef, mlir::Value> readAnywhere;
  /// Views of the memory that the lowering asked for, in its order.
  llvm::SmallVector<mlir::Value> scratch;
  /// i32 by index-space name: launch-time sizes and the constants for d and e.
  llvm::StringMap<mlir::Value> sizes;
  /// Spaces of which the kernel computes a part only, as independent axes.
  llvm::StringMap<IndexPart> parts;
  /// Arguments of the kernel by the `attn.param` that they are.
  mlir::IRMapping params;

  mlir::Value i32(mlir::Location loc, int64_t value) {
    return mlir::arith::ConstantOp::create(builder, loc,
                                           builder.getI32IntegerAttr(static_cast<int32_t>(value)));
  }
  mlir::Value f32(mlir::Location loc, double value) {
    return mlir::arith::ConstantOp::create(builder, loc,
                                           builder.getF32FloatAttr(static_cast<float>(value)));
  }
};

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_ATTNTOTILE_KERNELCONTEXT_H
