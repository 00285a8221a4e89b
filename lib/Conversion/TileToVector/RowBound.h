// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Rows that are not stored need not be computed: RowBound.cpp explains.
#ifndef ATTNC_LIB_CONVERSION_TILETOVECTOR_ROWBOUND_H
#define ATTNC_LIB_CONVERSION_TILETOVECTOR_ROWBOUND_H

#include "KernelEmitter.h"

namespace attnc {

/// Finds the tiles whose rows are the rows that the kernel stores.
void findStoredRows(KernelEmitter &ke);
/// Emits the number of rows to store once it can be computed. Call before each op of the kernel's
/// body.
void emitRowBound(KernelEmitter &ke);
/// Rows of `tile` that matter: all, or those that are stored.
mlir::Value rowsOf(KernelEmitter &ke, mlir::Value tile);

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_TILETOVECTOR_ROWBOUND_H
