// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the stages of a variant are to each other: which fuse, where scales of quantization go,
// which rows can be empty.
#ifndef ATTNC_ANALYSIS_STAGES_H
#define ATTNC_ANALYSIS_STAGES_H

#include "dialects/Attn/Attn.h"

#include <string>

namespace attnc {

/// Whether the indices of `space`, as `at` knows it, are rows: tokens, or blocks of tokens.
bool isRowSpace(mlir::Operation *at, llvm::StringRef space);

/// How a stage that computes a tensor can run.
enum class StagePlace : uint8_t {
  Parameter, ///< depends on no row: computed once, or an argument
  Load,      ///< of one row of what an attention stage or a recurrence reads: fuses into its loads
  Epilogue,  ///< of one row of what an attention stage or a recurrence puts out: fuses behind it
  Pass,      ///< reduces over rows, or mixes rows: a pass of its own
};

/// The place of `compute`, and in `reason` why.
StagePlace placeOf(attn::ComputeOp compute, std::string &reason);

/// Where the scales of `quantize` go once the codes are multiplied, and what smoothing adds: one
/// sentence each, for the attention stages that take the tensor.
std::string foldingOf(attn::QuantizeOp quantize);

enum class RowKeys : uint8_t { Always, Maybe };

/// Whether a row of `attend` can be without a key, and in `reason` why: a mask that holds for the
/// key at the row's own position leaves no row empty. `Always` holds for launches with keys, and at
/// least as many as queries; a kernel checks that.
RowKeys rowKeysOf(attn::AttendOp attend, std::string &reason);

} // namespace attnc

#endif // ATTNC_ANALYSIS_STAGES_H
