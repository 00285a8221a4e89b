// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// tile-delay-products: which products are computed an iteration later. In a loop
//
//   s = q k^T;  p = softmax(s);  o = o * decay + p v
//
// each step waits for the one before: the matrix units have nothing to do during the softmax. If
// p v belongs to the next iteration, it runs beside the softmax there. This pass only marks such
// products, before loads become pipelines: what a delayed product reads must stay for an iteration
// longer. tile-overlap-products moves them.
//
// Nothing is known of a softmax here: what is delayed is the last op on a value that the loop
// carries, and not needed before the next iteration.
#include "LoopChains.h"
#include "attnc/Transforms/Passes.h"

using namespace mlir;

namespace attnc {
#define GEN_PASS_DEF_TILEDELAYPRODUCTS
#include "attnc/Transforms/Passes.h.inc"

namespace {

/// A product that can be delayed: which of its loop's results it is, and of which load it reads.
struct Delayable {
  tile::DotOp dot;
  unsigned result;
  size_t load;
};

/// The product of `loop` that can be delayed, if there is one.
std::optional<Delayable> delayableIn(scf::ForOp loop) {
  Block *body = loop.getBody();
  auto products = llvm::filter_to_vector(body->getOps<tile::DotOp>(),
                                         [](tile::DotOp dot) { return dot.getWarpgroup(); });
  if (products.size() < 2) // nothing runs beside it
    return std::nullopt;
  tile::DotOp dot = products.back();
  if (!dot.getResult().hasOneUse())
    return std::nullopt;
  OpOperand &use = *dot.getResult().use_begin();
  if (use.getOwner() != body->getTerminator())
    return std::nullopt;
  // Its left operand is made for it alone, and so is what it reads. A converted tile is in
  // registers.
  auto lhs = dot.getLhs().getDefiningOp<tile::CastOp>();
  auto rhs = dot.getRhs().getDefiningOp<tile::LoadOp>();
  if (!lhs || !rhs || lhs->getBlock() != body || rhs->getBlock() != body ||
      !lhs.getResult().hasOneUse() || !rhs.getResult().hasOneUse())
    return std::nullopt;
  // What another product needs of the value that is carried, it would wait for.
  Value carried = loop.getRegionIterArg(use.getOperandNumber());
  for (Operation *user : carried.getUsers())
    if (!body->findAncestorOpInBlock(*user) ||
        !products.front()->isBeforeInBlock(body->findAncestorOpInBlock(*user)))
      return std::nullopt;
  SmallVector<tile::LoadOp> loads = productLoads(loop);
  return Delayable{dot, use.getOperandNumber(),
                   static_cast<size_t>(llvm::find(loads, rhs) - loads.begin())};
}

/// Those of a chain whose loops all have one, of the same value and from the same load; else none.
SmallVector<Delayable> delayableIn(const LoopChain &chain) {
  SmallVector<Delayable> found;
  for (scf::ForOp loop : chain) {
    std::optional<Delayable> next = delayableIn(loop);
    if (!next)
      return {};
    if (!found.empty()) {
      const Delayable &last = found.back();
      scf::ForOp previous = chain[found.size() - 1];
      Value before = previous.getResult(last.result);
      if (next->result != last.result || next->load != last.load || !before.hasOneUse() ||
          loop.getInitArgs()[next->result] != before)
        return {};
    }
    found.push_back(*next);
  }
  return found;
}

struct TileDelayProducts : impl::TileDelayProductsBase<TileDelayProducts> {
  using TileDelayProductsBase::TileDelayProductsBase;

  void runOnOperation() override {
    for (const LoopChain &chain : findLoopChains(getOperation()))
      for (Delayable product : delayableIn(chain)) {
        product.dot.setDelayed(true);
        ++numDelayed;
      }
  }
};

} // namespace
} // namespace attnc
