// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Groups of a tensor's elements, as attn.quantize tells them by keys: ints that a region computes
// from the indices of an element. Elements with equal keys are a group.
//
// What a group has in common, a scale say, is a tensor with one element for each group where keys
// are plain, and with more, equal ones where they are not:
//
//   per [b, h, q]              over [b, h, q], reduced over d
//   per [b, h, q / 64]         over [b, h, blocks of 64 q], reduced over the members of one, and d
//   per [b, h, q / 64, q % 8]  over [b, h, q], reduced over the members of q's block that have the
//                              same q % 8, and d
//   per [b, f(h, q)]           over [b, h, q], reduced over all h and q with the same f, and d
#ifndef ATTNC_LIB_TRANSFORMS_QUANTIZEGROUPS_H
#define ATTNC_LIB_TRANSFORMS_QUANTIZEGROUPS_H

#include "FormulaBuilder.h"

namespace attnc {

class QuantizeGroups {
public:
  /// Of the elements of `tensor`, by the keys that `keys`, a region of `stage`, yields. Where the
  /// indices of an axis are divided by a size that is known before tensors are, blocks of the axis
  /// are declared in the variant, unless they are already; none is found for others.
  QuantizeGroups(mlir::Operation *stage, mlir::Value tensor, mlir::Region &keys);

  /// The axes of a tensor that has something for each group.
  llvm::ArrayRef<mlir::Attribute> getAxes() const { return axes; }
  /// The indices there of the element at `indices` of the tensor.
  llvm::SmallVector<mlir::Value> indicesOf(FormulaBuilder &builder, mlir::ValueRange indices) const;
  /// A reduction of `term` over the elements of the group at `groupIndices`; `term` gets the
  /// indices of an element, and may have a condition of its own.
  mlir::Value reduce(FormulaBuilder &builder, attn::Reduction kind, mlir::ValueRange groupIndices,
                     llvm::function_ref<Term(mlir::ValueRange)> term) const;
  /// The number of elements of the group at `groupIndices` (f32).
  mlir::Value count(FormulaBuilder &builder, mlir::ValueRange groupIndices) const;

private:
  /// An axis of the tensor.
  struct Axis {
    llvm::StringRef space;
    bool isKept = false;       ///< elements of a group have one index in common
    bool isCompared = false;   ///< a key that has to be compared depends on it
    llvm::StringRef blocks;    ///< elements of a group are in one block of these; or empty
    mlir::Value blockSize;     ///< i32, a value of the variant
    mlir::Attribute groupAxis; ///< which axis of `axes` tells about it; or null
  };

  void addKey(mlir::Operation *stage, attn::AttnTensorType type, mlir::Value key);
  /// The keys that have to be compared, of the element at `indices`, of which they use some.
  llvm::SmallVector<mlir::Value> comparedKeys(FormulaBuilder &builder,
                                              llvm::ArrayRef<mlir::Value> indices) const;

  mlir::Region &keys;
  llvm::SmallVector<Axis> tensorAxes;
  llvm::SmallVector<mlir::Attribute> axes;
  llvm::SmallVector<mlir::Value> compared; ///< keys that no axis of `axes` stands for
};

} // namespace attnc

#endif // ATTNC_LIB_TRANSFORMS_QUANTIZEGROUPS_H
