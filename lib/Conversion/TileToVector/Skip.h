// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Skips iterations in which a mask hides everything.
#ifndef ATTNC_LIB_CONVERSION_TILETOVECTOR_SKIP_H
#define ATTNC_LIB_CONVERSION_TILETOVECTOR_SKIP_H

#include "KernelEmitter.h"

namespace attnc {

/// The condition under which an iteration of `loop` changes anything; null if none is known.
mlir::FailureOr<mlir::Value> iterationIsVisible(KernelEmitter &ke, mlir::scf::ForOp loop);

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_TILETOVECTOR_SKIP_H
