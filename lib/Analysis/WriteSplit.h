// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What is added to a state, as outer products of something along the axes that reads sum over and
// something along the others.
#ifndef ATTNC_LIB_ANALYSIS_WRITESPLIT_H
#define ATTNC_LIB_ANALYSIS_WRITESPLIT_H

#include "attnc/Analysis/ChunkForm.h"

namespace attnc {

/// `column`, of factors along summed axes, times `row`: of factors along kept axes and of those
/// along none.
struct OuterProduct {
  Expr column;
  Product row;
};

/// `product` as a sum of outer products: a factor along both kinds of axes is taken apart at its
/// additions, and a tensor of the step at its formula. `coordinates` are the state's, by axis.
/// Nothing if a factor along both kinds remains.
std::optional<llvm::SmallVector<OuterProduct>>
splitProduct(const Product &product, llvm::ArrayRef<mlir::Value> coordinates,
             llvm::ArrayRef<unsigned> summed, ExprContext &context, LinearForms &forms,
             attn::RecurOp recur);

/// The write with `column`, added to `writes` if there is none.
StateWrite &writeOf(llvm::SmallVectorImpl<StateWrite> &writes, Expr column);

} // namespace attnc

#endif // ATTNC_LIB_ANALYSIS_WRITESPLIT_H
