// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Between which numbers an i32 of the language lies, from its arithmetic and what is known of the
// indices in it: a read whose index is seen to be inside of its axis needs no clamp.
#ifndef ATTNC_LIB_CONVERSION_ATTNTOTILE_INDEXBOUNDS_H
#define ATTNC_LIB_CONVERSION_ATTNTOTILE_INDEXBOUNDS_H

#include "mlir/IR/Value.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include <cstdint>

namespace attnc {

/// An inclusive range; by default all that an i32 can be.
struct IndexBounds {
  int64_t least = INT32_MIN, most = INT32_MAX;
};

/// The bounds of `value` (i32), where `leaf` says those of what no arithmetic defines: indices and
/// parameters. Everything is possible for what is nested too deeply to follow.
IndexBounds boundsOf(mlir::Value value, llvm::function_ref<IndexBounds(mlir::Value)> leaf);

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_ATTNTOTILE_INDEXBOUNDS_H
