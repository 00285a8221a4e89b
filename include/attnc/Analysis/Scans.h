// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the combiner of an attn.scan is.
#ifndef ATTNC_ANALYSIS_SCANS_H
#define ATTNC_ANALYSIS_SCANS_H

#include "dialects/Attn/Attn.h"
#include <optional>

namespace attnc {

/// The reduction of all entries that the combiner of one tensor is, if there is one.
std::optional<attn::Reduction> reductionOf(attn::ScanOp scan);

/// Whether a kernel takes `scan` as it is: sums or products of one tensor, which is over several
/// index spaces, from the first entry to the last and with each its own, at the top level of a
/// variant.
bool hasScanKernel(attn::ScanOp scan);

} // namespace attnc

#endif // ATTNC_ANALYSIS_SCANS_H
