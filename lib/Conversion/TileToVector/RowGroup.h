// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Row ops that are computed together: RowGroup.cpp explains.
#ifndef ATTNC_LIB_CONVERSION_TILETOVECTOR_ROWGROUP_H
#define ATTNC_LIB_CONVERSION_TILETOVECTOR_ROWGROUP_H

#include "RowElements.h"

namespace attnc {

/// Emits the row ops that wait.
mlir::LogicalResult flushGroup(KernelEmitter &ke);

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_TILETOVECTOR_ROWGROUP_H
