// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attn.choose in a program: two stages with one tensor, of which a launch runs one.
#ifndef ATTNC_LIB_CONVERSION_ATTNTOTILE_CHOICES_H
#define ATTNC_LIB_CONVERSION_ATTNTOTILE_CHOICES_H

#include "dialects/Attn/Attn.h"
#include "llvm/ADT/DenseMap.h"
#include <optional>

namespace attnc {

/// When a stage runs: if `space` has elements, or if it has none.
struct Choice {
  llvm::StringRef space;
  bool hasElements;

  bool operator==(const Choice &other) const {
    return space == other.space && hasElements == other.hasElements;
  }
};

class Choices {
public:
  explicit Choices(attn::VariantOp variant);

  /// When the program runs `stage`; nothing if that is always.
  std::optional<Choice> choiceOf(mlir::Operation *stage) const;
  /// The tensor that `tensor` is in memory: what chooses it, if something does.
  mlir::Value memoryOf(mlir::Value tensor) const;
  /// The tensors of the variant that are `tensor` in memory.
  llvm::SmallVector<mlir::Value, 3> tensorsIn(mlir::Value tensor) const;

private:
  llvm::DenseMap<mlir::Operation *, Choice> choices;
};

/// Calls `visit` with `tensor` and the ops that read it, also as what was chosen.
void forEachUser(mlir::Value tensor, llvm::function_ref<void(mlir::Operation *)> visit);
/// Calls `visit` with the stages that `tensor` may come from.
void forEachSource(mlir::Value tensor, llvm::function_ref<void(mlir::Operation *)> visit);

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_ATTNTOTILE_CHOICES_H
