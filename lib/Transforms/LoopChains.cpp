// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// How chains of loops are found: LoopChains.h.
#include "LoopChains.h"
#include "SharedLayouts.h"

using namespace mlir;
using namespace attnc;

bool attnc::feedsProduct(tile::LoadOp load) {
  return llvm::any_of(load.getResult().getUses(), isProductOperand);
}

SmallVector<tile::LoadOp> attnc::productLoads(scf::ForOp loop) {
  return llvm::filter_to_vector(loop.getBody()->getOps<tile::LoadOp>(), feedsProduct);
}

SmallVector<LoopChain> attnc::findLoopChains(tile::KernelOp kernel) {
  SmallVector<LoopChain> chains;
  kernel.walk<WalkOrder::PreOrder>([&](scf::ForOp loop) {
    if (productLoads(loop).empty())
      return;
    if (!chains.empty()) {
      scf::ForOp previous = chains.back().back();
      if (previous->getBlock() == loop->getBlock() &&
          previous.getUpperBound() == loop.getLowerBound() &&
          previous.getStep() == loop.getStep()) {
        chains.back().push_back(loop);
        return;
      }
    }
    chains.push_back({loop});
  });
  return chains;
}
