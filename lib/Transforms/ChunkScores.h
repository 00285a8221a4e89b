// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Scores of the steps of a chunk: what a read of a step takes of the write of a step before.
#ifndef ATTNC_LIB_TRANSFORMS_CHUNKSCORES_H
#define ATTNC_LIB_TRANSFORMS_CHUNKSCORES_H

#include "ChunkDecay.h"

namespace attnc {

/// sum(weights[row] * columns[column] * factors between them for all of `summed`) where the column
/// is before the row, or with `isNew` the row itself, and 0 elsewhere: over batch, chunks, rows and
/// columns. `weights` and `columns` are over rows; without a decay factors are 1.
mlir::Value scoresOf(ChunkBuilder &builder, ChunkDecay *decay,
                     llvm::ArrayRef<mlir::Attribute> summed, mlir::Value weights,
                     mlir::Value columns, bool isNew);

/// The same for a decay that varies along what is summed, by halves (ChunkHalves.cpp).
mlir::Value scoresByHalves(ChunkBuilder &builder, ChunkDecay &decay,
                           llvm::ArrayRef<mlir::Attribute> summed, mlir::Value weights,
                           mlir::Value columns, bool isNew);

} // namespace attnc

#endif // ATTNC_LIB_TRANSFORMS_CHUNKSCORES_H
