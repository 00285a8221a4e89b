// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the states of a recurrence start with.
#ifndef ATTNC_ANALYSIS_STARTS_H
#define ATTNC_ANALYSIS_STARTS_H

#include "dialects/Attn/Attn.h"
#include <optional>

namespace attnc {

/// The number that all elements of `stage` are, if it is an attn.compute of a constant that nothing
/// but recurrences use, as what a state starts with: such a tensor is not in memory.
std::optional<double> constantStart(mlir::Operation *stage);

} // namespace attnc

#endif // ATTNC_ANALYSIS_STARTS_H
