// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What products with and without a mask share.
#ifndef ATTNC_LIB_CONVERSION_TILETOVECTOR_DOT_H
#define ATTNC_LIB_CONVERSION_TILETOVECTOR_DOT_H

#include "KernelEmitter.h"

namespace attnc {

/// Where a product goes: the accumulator's place, or that of what its deferred map reads, where it
/// dies there. It is read row by row before the same places are written, so only matrices of the
/// result's shape are reused.
Buffer productBuffer(KernelEmitter &ke, tile::DotOp dot);
/// The accumulator's vector at (row, col), computed here if its map was deferred; null after an
/// error.
mlir::Value accumulator(KernelEmitter &ke, tile::DotOp dot, mlir::Value row, mlir::Value col);
/// Whether `acc` is a fill with the constant 0.
bool isZeroFill(mlir::Value acc);
/// Whether emitDotInPlace can emit `dot`: its right operand is loaded for it alone.
bool canReadInPlace(KernelEmitter &ke, tile::DotOp dot);
/// A product of few rows, for which nothing is packed: DotInPlace.cpp.
mlir::LogicalResult emitDotInPlace(KernelEmitter &ke, tile::DotOp dot);
/// MaskedDot.cpp.
mlir::LogicalResult emitMaskedDot(KernelEmitter &ke, tile::DotOp dot);

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_TILETOVECTOR_DOT_H
