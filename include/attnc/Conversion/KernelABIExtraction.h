// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The KernelABI of a tile kernel, read off its signature and argument attributes.
#ifndef ATTNC_CONVERSION_KERNELABIEXTRACTION_H
#define ATTNC_CONVERSION_KERNELABIEXTRACTION_H

#include "attnc/Runtime/KernelABI.h"
#include "dialects/Tile/Tile.h"

namespace attnc {

/// Reads `tile.binding` (what an argument is), `tile.axes` (a tensor's index spaces, or decimal
/// sizes, one string for each dimension), `tile.output` (unit: the kernel writes it) and
/// `tile.row_alignment` (i64: bytes) of each argument. Fails, after reporting an error, on a
/// binding that does not fit its type.
mlir::FailureOr<KernelABI> extractKernelABI(tile::KernelOp kernel);

} // namespace attnc

#endif // ATTNC_CONVERSION_KERNELABIEXTRACTION_H
