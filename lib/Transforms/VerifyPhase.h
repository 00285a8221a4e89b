// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the contract passes share. Each closes a phase: it checks what may not remain at its end, so
// that a pass which leaves something behind is named at once, and not by what fails two phases
// later.
#ifndef ATTNC_LIB_TRANSFORMS_VERIFYPHASE_H
#define ATTNC_LIB_TRANSFORMS_VERIFYPHASE_H

#include "dialects/Attn/Attn.h"
#include "dialects/Tile/Tile.h"
#include "mlir/IR/Visitors.h"

namespace attnc {

/// Calls `check`, a LogicalResult of an op that reports what is wrong with it, on all ops below
/// `root`, outer ones first; stops at the first failure.
template <typename Check> mlir::LogicalResult verifyEach(mlir::Operation *root, Check check) {
  mlir::WalkResult walk = root->walk<mlir::WalkOrder::PreOrder>([&](mlir::Operation *op) {
    return op == root || succeeded(check(op)) ? mlir::WalkResult::advance()
                                              : mlir::WalkResult::interrupt();
  });
  return mlir::failure(walk.wasInterrupted());
}

/// True if `op` is of dialect `Dialect`, registered or not.
template <typename Dialect> bool isOf(mlir::Operation *op) {
  return op->getName().getDialectNamespace() == Dialect::getDialectNamespace();
}

/// Calls `check(value, op)` on the results and block arguments that `op` defines.
template <typename Check> mlir::LogicalResult verifyDefinitions(mlir::Operation *op, Check check) {
  for (mlir::Value result : op->getResults())
    if (failed(check(result, op)))
      return mlir::failure();
  for (mlir::Region &region : op->getRegions())
    for (mlir::Block &block : region)
      for (mlir::Value argument : block.getArguments())
        if (failed(check(argument, op)))
          return mlir::failure();
  return mlir::success();
}

} // namespace attnc

#endif // ATTNC_LIB_TRANSFORMS_VERIFYPHASE_H
