// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Quotients that are the same for all elements of a tile.
#ifndef ATTNC_LIB_CONVERSION_ATTNTOTILE_QUOTIENTS_H
#define ATTNC_LIB_CONVERSION_ATTNTOTILE_QUOTIENTS_H

#include "Evaluator.h"

namespace attnc {

/// Lets quotients by a constant, in the formula of `compute`, of an index that runs along an axis
/// of tiles be scalars of `scope`, where a tile lies between two multiples of it: tiles start at
/// multiples of their size, which divides the constant. The indices have their places.
void setUniformQuotients(Evaluator &evaluator, Scope &scope, attn::ComputeOp compute);

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_ATTNTOTILE_QUOTIENTS_H
