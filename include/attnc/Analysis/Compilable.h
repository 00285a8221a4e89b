// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What of the language code is generated for.
#ifndef ATTNC_ANALYSIS_COMPILABLE_H
#define ATTNC_ANALYSIS_COMPILABLE_H

#include "dialects/Attn/Attn.h"

#include <optional>
#include <string>

namespace attnc {

/// The first op of a variant that only the reference executes, and why in words of the language.
struct Uncompilable {
  mlir::Operation *op;
  std::string reason;
  /// "spec.attn:4:3: reason", for callers without a diagnostic handler.
  std::string located() const;
};

/// Nothing if `variant` is one attention stage over the inputs Q, K and V whose results it returns:
/// what code is generated for today.
std::optional<Uncompilable> findUncompilable(attn::VariantOp variant);

} // namespace attnc

#endif // ATTNC_ANALYSIS_COMPILABLE_H
