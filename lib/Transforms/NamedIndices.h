// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Reads of tensors by the names of their axes, in whatever order these are, and spaces for the axes
// that a rewrite needs.
#ifndef ATTNC_LIB_TRANSFORMS_NAMEDINDICES_H
#define ATTNC_LIB_TRANSFORMS_NAMEDINDICES_H

#include "FormulaBuilder.h"

namespace attnc {

/// Indices by the names of axes.
class NamedIndices {
public:
  NamedIndices() = default;
  NamedIndices(llvm::ArrayRef<mlir::Attribute> names, mlir::ValueRange values) {
    for (auto [name, value] : llvm::zip_equal(names, values))
      indices[name] = value;
  }
  NamedIndices with(mlir::Attribute name, mlir::Value index) const {
    NamedIndices changed = *this;
    changed.indices[name] = index;
    return changed;
  }
  mlir::Value operator[](mlir::Attribute name) const { return indices.lookup(name); }

private:
  llvm::SmallDenseMap<mlir::Attribute, mlir::Value, 8> indices;
};

/// The element of `tensor` at its axes' indices.
mlir::Value readAt(FormulaBuilder &builder, mlir::Value tensor, const NamedIndices &indices);

/// A space of `extent` indices whose name is `name`, or `name` with a number if that is taken.
mlir::StringAttr declareSpace(FormulaBuilder &builder, mlir::Operation *user, llvm::StringRef name,
                              int64_t extent, mlir::StringAttr parent = {});

} // namespace attnc

#endif // ATTNC_LIB_TRANSFORMS_NAMEDINDICES_H
