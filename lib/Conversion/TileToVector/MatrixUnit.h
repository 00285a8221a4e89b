// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Products of bf16 on a matrix unit: AMX, which multiplies a tile of 16 rows and 32 columns by one
// of 16 rows of pairs and 16 columns, and adds to 16 x 16 sums in f32.
#ifndef ATTNC_LIB_CONVERSION_TILETOVECTOR_MATRIXUNIT_H
#define ATTNC_LIB_CONVERSION_TILETOVECTOR_MATRIXUNIT_H

#include "Dot.h"
#include "Pack.h"

namespace attnc {

/// Whether the matrix unit multiplies `dot`: both operands are bf16, rows and depth are multiples
/// of 16, and the sums start at 0 or at a tile in memory.
bool usesMatrixUnit(const HostTarget &target, tile::DotOp dot);

/// Gives the unit's registers their shapes, which costs as much as a few hundred of its
/// multiplications: once for a kernel, at its start.
void emitMatrixUnitStart(KernelEmitter &ke);
/// Tells the CPU that the registers hold nothing more: threads are switched faster then.
void emitMatrixUnitEnd(KernelEmitter &ke);

/// The product of `dot`, whose right operand is `packed`. The accumulator is where the sums start:
/// their errors are far below those of operands in bf16.
void emitMatrixUnitDot(KernelEmitter &ke, tile::DotOp dot, const PackedOperand &packed);

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_TILETOVECTOR_MATRIXUNIT_H
