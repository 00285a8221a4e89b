// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// convert-scf-to-branches: loops and conditions to blocks and branches, in time linear in the code.
//
//   %x = scf.if %c -> i32 { ... }        cf.cond_br %c, ^then, ^else
//   rest                            ->   ^then: ... cf.br ^rest(%a : i32)
//                                        ^rest(%x: i32): rest
//
// The rewrites are MLIR's own (populateSCFToControlFlowConversionPatterns); only the order is ours.
// Each rewrite splits a block behind its op, which moves all that follows. MLIR's pass goes from
// the first op to the last, so that the rest of a kernel is moved once for each condition before
// it, and its conversion driver keeps a record of each operation that moves: a kernel with a
// thousand conditions spent nine tenths of its lowering here. From the last op to the first, only
// what lies before the next condition moves.
#include "attnc/Conversion/Passes.h"
#include "mlir/Conversion/SCFToControlFlow/SCFToControlFlow.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/IR/Iterators.h"
#include "mlir/Rewrite/PatternApplicator.h"

using namespace mlir;

namespace attnc {
#define GEN_PASS_DEF_CONVERTSCFTOBRANCHES
#include "attnc/Conversion/Passes.h.inc"

namespace {
struct ConvertSCFToBranches : impl::ConvertSCFToBranchesBase<ConvertSCFToBranches> {
  using ConvertSCFToBranchesBase::ConvertSCFToBranchesBase;

  LogicalResult initialize(MLIRContext *context) override {
    RewritePatternSet set(context);
    populateSCFToControlFlowConversionPatterns(set);
    patterns = FrozenRewritePatternSet(std::move(set));
    return success();
  }

  void runOnOperation() override {
    // An op before those inside it: a `while` is rewritten while its regions are one block each.
    SmallVector<Operation *> structured;
    getOperation()->walk<WalkOrder::PreOrder, ReverseIterator>([&](Operation *op) {
      if (isa<scf::SCFDialect>(op->getDialect()) && op->getNumRegions())
        structured.push_back(op);
    });
    PatternApplicator applicator(patterns);
    applicator.applyDefaultCostModel();
    PatternRewriter rewriter(&getContext());
    for (Operation *op : structured) {
      rewriter.setInsertionPoint(op);
      if (failed(applicator.matchAndRewrite(op, rewriter))) {
        op->emitError("has no lowering to branches");
        return signalPassFailure();
      }
    }
  }

  FrozenRewritePatternSet patterns;
};
} // namespace
} // namespace attnc
