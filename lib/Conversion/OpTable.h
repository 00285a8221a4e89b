// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Which function lowers which op. A conversion has a state, files of functions that lower the ops
// of one subject each, and one list of these files: a new op is a new file and a line in the list.
// docs/Lowering.md shows how an op gets its lowerings.
#ifndef ATTNC_LIB_CONVERSION_OPTABLE_H
#define ATTNC_LIB_CONVERSION_OPTABLE_H

#include "mlir/IR/Operation.h"
#include "llvm/ADT/StringMap.h"
#include <functional>

namespace attnc {

template <class State> class OpTable {
public:
  /// Emits what an op becomes, at the place of the state's builder, and records what stands for its
  /// results. Fails after reporting an error.
  using Lowering = std::function<mlir::LogicalResult(State &, mlir::Operation *)>;

  /// Registers the lowering of `Op`.
  template <class Op> void add(mlir::LogicalResult (*lower)(State &, Op)) {
    table[Op::getOperationName()] = [lower](State &state, mlir::Operation *op) {
      return lower(state, mlir::cast<Op>(op));
    };
  }
  /// The lowering of `op`, null if it has none.
  const Lowering *find(mlir::Operation *op) const {
    auto it = table.find(op->getName().getStringRef());
    return it == table.end() ? nullptr : &it->second;
  }

private:
  llvm::StringMap<Lowering> table;
};

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_OPTABLE_H
