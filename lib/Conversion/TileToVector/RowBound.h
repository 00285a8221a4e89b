// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Rows that are not stored need not be computed: RowBound.cpp explains.
#ifndef ATTNC_LIB_CONVERSION_TILETOVECTOR_ROWBOUND_H
#define ATTNC_LIB_CONVERSION_TILETOVECTOR_ROWBOUND_H

#include "KernelEmitter.h"

namespace attnc {

/// Finds the tiles of which only rows that are stored matter.
void findStoredRows(KernelEmitter &ke);
/// Emits, once they can be computed, the numbers of rows that are the same in the whole kernel.
/// Call before each op of the kernel's body.
void emitRowBounds(KernelEmitter &ke);
/// Rows of `tile` that matter: all, or those that are stored.
mlir::Value rowsOf(KernelEmitter &ke, mlir::Value tile);
/// Whether the same number of rows of both tiles matters.
bool haveSameRows(KernelEmitter &ke, mlir::Value tile, mlir::Value other);

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_TILETOVECTOR_ROWBOUND_H
