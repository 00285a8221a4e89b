// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Tensors between the stages of one kernel, of which each program needs a small part that no other
// one reads: they are in memory that a program has for itself, and share it with others that are
// not needed at the same time.
#ifndef ATTNC_LIB_CONVERSION_ATTNTOTILE_LOCALTENSORS_H
#define ATTNC_LIB_CONVERSION_ATTNTOTILE_LOCALTENSORS_H

#include "Lowerings.h"

namespace attnc {

struct LocalTensor {
  mlir::Value tensor;
  llvm::SmallVector<int64_t> sizes; ///< of the part that a program has
  int64_t offset = 0;               ///< bytes

  bool operator==(mlir::Value other) const { return tensor == other; }
  int64_t bytes() const;
  /// A view of it, for the part of the axes that `context` has.
  mlir::Value emit(KernelContext &context) const;
};

/// The tensors that only `members`, the stages of a kernel in their order, have, and that fit into
/// memory of a program. A program has a part of `axes`. `isWorkspace` says of tensors that no
/// caller sees them.
llvm::SmallVector<LocalTensor> findLocalTensors(attn::VariantOp variant,
                                                llvm::ArrayRef<mlir::Operation *> members,
                                                llvm::ArrayRef<IndependentAxis> axes,
                                                llvm::function_ref<bool(mlir::Value)> isWorkspace);

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_ATTNTOTILE_LOCALTENSORS_H
