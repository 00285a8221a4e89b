// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The normal form of a recurrence whose steps can be taken a chunk at a time, with matrix products:
//
//   S'       = F . S + sum of a_n b_n^T       F: 1, or a factor that varies along summed axes
//   b_n      = v_n + sum of g_nr z_r          the row of a write: data, and reads of this step
//   z_r      = sum(y_r S for summed axes)     a read, over the kept axes
//   outputs  = any function of reads and data
//
// for each state S, whose axes are either summed by all of its reads or kept by all of them. F, a,
// v, g and y are data: they depend on no state. F and y are over summed axes, a too, v is over kept
// ones. All reads in updates are of S, before the step; those in outputs are of S or of S'.
#ifndef ATTNC_ANALYSIS_CHUNKFORM_H
#define ATTNC_ANALYSIS_CHUNKFORM_H

#include "attnc/Analysis/LinearForms.h"

namespace attnc {

/// A read of a state.
struct StateRead {
  unsigned state;
  bool isNew;              ///< of the state behind the step's update
  Expr weight;             ///< y
  mlir::Value placeholder; ///< what formulas of outputs read for it: a tensor over the kept axes
  bool isPutOut = false;   ///< a formula of outputs reads it
};

/// One outer product that is added to a state.
struct StateWrite {
  Expr column;                                                 ///< a
  Expr row;                                                    ///< v; null: 0
  llvm::SmallVector<std::pair<unsigned, Expr>, 2> corrections; ///< reads and their g
};

/// What happens to one state.
struct StateUpdateForm {
  llvm::SmallVector<unsigned> summed, kept; ///< axes
  Expr factor = nullptr;                    ///< F; null: 1
  llvm::SmallVector<StateWrite> writes;
};

/// The normal form of a recurrence.
struct ChunkForm {
  ChunkForm(attn::RecurOp recur, ExprContext &context) : indices(recur, context) {}

  /// What factors, columns, rows and weights depend on: the index of each axis of each state, the
  /// indices of the batch and the step.
  StateIndices indices;
  llvm::SmallVector<StateUpdateForm> states;
  llvm::SmallVector<StateRead> reads;
  /// The elements of the tensors of the step that depend on states and that outputs are computed
  /// from, as far as they are an attn.compute: over its arguments, with placeholders in place of
  /// reads. What else outputs are computed from is a function of rows, or data.
  llvm::DenseMap<mlir::Operation *, Expr> formulas;
};

/// Why a recurrence has no such form, and the op that it is because of.
struct ChunkRefusal {
  mlir::Operation *op = nullptr;
  std::string reason; ///< in words of the language
};

/// The form of `recur`, or nothing, and in `refusal` why.
std::optional<ChunkForm> deriveChunkForm(attn::RecurOp recur, ExprContext &context,
                                         ChunkRefusal &refusal);

} // namespace attnc

#endif // ATTNC_ANALYSIS_CHUNKFORM_H
