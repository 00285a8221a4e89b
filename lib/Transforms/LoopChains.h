// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Loops over tiles of keys that follow each other.
#ifndef ATTNC_LIB_TRANSFORMS_LOOPCHAINS_H
#define ATTNC_LIB_TRANSFORMS_LOOPCHAINS_H

#include "dialects/Tile/Tile.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

namespace attnc {

/// Sibling loops that load what products read, each starting where the one before ends: leading
/// PARTIAL, FULL and trailing PARTIAL tiles.
using LoopChain = llvm::SmallVector<mlir::scf::ForOp>;

/// The maximal chains of a kernel, in the order of its text.
llvm::SmallVector<LoopChain> findLoopChains(tile::KernelOp kernel);

/// Whether a product may read the load's tile from shared memory; other loads go to registers.
bool feedsProduct(tile::LoadOp load);

/// The loads of a loop's own body that feed products, in order.
llvm::SmallVector<tile::LoadOp> productLoads(mlir::scf::ForOp loop);

} // namespace attnc

#endif // ATTNC_LIB_TRANSFORMS_LOOPCHAINS_H
