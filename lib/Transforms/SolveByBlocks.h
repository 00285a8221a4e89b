// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Triangular systems by blocks of up to 64 rows, as products of matrices.
#ifndef ATTNC_LIB_TRANSFORMS_SOLVEBYBLOCKS_H
#define ATTNC_LIB_TRANSFORMS_SOLVEBYBLOCKS_H

#include "dialects/Attn/Attn.h"
#include "llvm/ADT/DenseMap.h"

namespace attnc {

/// The systems of a variant that go by blocks. What is computed of a matrix serves all right sides.
class BlockSolves {
public:
  /// Replaces the uses of `solve`, which stands in a variant and is over index spaces, by stages
  /// and recurrences over blocks of its rows: false if the number of rows is not known to be a
  /// multiple of 16. Systems are given in the order in which they stand.
  bool expand(attn::SolveOp solve);

  /// The blocks on the diagonal of a matrix.
  struct Blocks {
    int64_t rows = 0;                   ///< of a block
    mlir::StringAttr part, row, column; ///< spaces, where there are several blocks
    mlir::Value inverses;               ///< over systems, part if there is one, row and column
  };

private:
  using Matrix = std::tuple<mlir::Value, mlir::StringAttr, mlir::StringAttr>;
  llvm::DenseMap<Matrix, Blocks> known;
};

} // namespace attnc

#endif // ATTNC_LIB_TRANSFORMS_SOLVEBYBLOCKS_H
