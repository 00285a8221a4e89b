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

/// `op` with its name in a spec, if it is a stage that no code is generated for, whatever is around
/// it.
std::optional<Uncompilable> asUncompilable(mlir::Operation &op);

/// Whether the mask of an attention over b, h, q and keys looks at the head: heads that share keys
/// may then see other ones.
bool maskLooksAtHead(attn::AttendOp attend);

/// The first op of `variant` that follows from others through a chain longer than passes and
/// lowerings, which recurse along such chains, have a stack for.
std::optional<Uncompilable> findTooDeep(attn::VariantOp variant);

/// The number of a declared space's slots, if it follows from constants (`slots n = 4`).
std::optional<int64_t> fixedExtent(attn::VariantOp variant, llvm::StringRef space);

/// Whether `attend`, in a specialised variant, is over the axes of the softmax family with operands
/// of one type, head dims that are a multiple of 8 from 8 to 256, and formulas without reductions
/// that read no operands: the kernel that walks key ranges takes it (Attend.cpp). Any other goes
/// through the general one.
bool hasFusedForm(attn::AttendOp attend);

} // namespace attnc

#endif // ATTNC_ANALYSIS_COMPILABLE_H
