// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Layouts of scans along rows, and of what is computed around them.
//
//   x = map();  y = scan x along rows;  z = map(y);  store z
//
// A thread has to hold all elements that a scan combines. What is loaded for it, and computed from
// its result to be stored, may lie where the scan needs it, so that nothing moves through shared
// memory. So may what is combined along rows to one element for each thread. Lanes are neighbours
// in a row there, as memory wants it. Rows are constants of a thread: what a map chooses by the row
// is chosen by the compiler.
#ifndef ATTNC_LIB_TRANSFORMS_SCANLAYOUTS_H
#define ATTNC_LIB_TRANSFORMS_SCANLAYOUTS_H

#include "dialects/Tile/Tile.h"

namespace attnc {

/// The layout of operand and result of `scan`, which is along rows.
tile::LinearLayoutAttr scanRowsLayout(tile::ScanOp scan, int64_t warps);

/// Gives layouts to operands and results of scans along rows, to what maps make of them that is
/// only stored, and to what is computed to be combined along rows, where both sides agree.
void chooseScanLayouts(tile::KernelOp kernel);

} // namespace attnc

#endif // ATTNC_LIB_TRANSFORMS_SCANLAYOUTS_H
