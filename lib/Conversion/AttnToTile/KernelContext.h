// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What all parts of convert-attn-to-tile share: the plan, and the kernel's arguments by what they
// bind.
#ifndef ATTNC_LIB_CONVERSION_ATTNTOTILE_KERNELCONTEXT_H
#define ATTNC_LIB_CONVERSION_ATTNTOTILE_KERNELCONTEXT_H

#include "Domain.h"
#include "attnc/Plan/Plan.h"
#include "mlir/IR/IRMapping.h"

namespace attnc {

struct KernelContext {
  KernelContext(mlir::OpBuilder &builder, attn::VariantOp variant, const KernelPlan &plan,
                Domain domain)
      : builder(builder), variant(variant), plan(plan), domain(std::move(domain)) {}

  mlir::OpBuilder &builder;
  attn::VariantOp variant;
  const KernelPlan &plan;
  Domain domain;
  /// Views of the tensors that are arguments: of inputs, and of results that are returned.
  llvm::DenseMap<mlir::Value, mlir::Value> views;
  /// i32 by index-space name: launch-time sizes and the constants for d and e.
  llvm::StringMap<mlir::Value> sizes;
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
