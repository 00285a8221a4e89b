// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Sides of products that are blocks of a 16-bit tensor: they are loaded at once, row by row,
// instead of element by element.
#ifndef ATTNC_LIB_CONVERSION_ATTNTOTILE_BLOCKLOADS_H
#define ATTNC_LIB_CONVERSION_ATTNTOTILE_BLOCKLOADS_H

#include "Evaluator.h"

namespace attnc {

/// Whether `stage` (a compute, or a recurrence with such in it) may load blocks of `tensor`, or
/// makes it in 16 bits by products: its rows have to be contiguous then. It has the operand dtype.
bool movesBlocksOf(mlir::Operation *stage, mlir::Value tensor);

/// The elements of a tensor that `factor` is in the tile of `frame`, by `tile.load_block`: its last
/// index runs along the columns, another one along the rows, perhaps from the first step of a chunk
/// on or modulo its steps, and the rest is the same for all of the tile. What a condition sets to 0
/// lies beyond the end of the axis. No value if this is not so, or if it is not known that all
/// columns are there.
mlir::FailureOr<std::optional<mlir::Value>> loadBlock(Evaluator &evaluator, Scope &scope,
                                                      mlir::Value factor, Frame frame);

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_ATTNTOTILE_BLOCKLOADS_H
