// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// One step of a chunked recurrence: all steps of a chunk at once.
//
// With H a state before the chunk, and i, j steps of it, everything that does not depend on H is
// computed for all chunks before:
//
//   M_rn[i, j] = y_r[i]^T (F of the steps between) a_n[j], where j < i      scores
//   Y_r[i]     = (F of the steps before i) y_r[i]
//   A_n[j]     = (F of the steps behind j) a_n[j]
//   added      = sum of A_n[j] v_n[j]^T, of writes that hold no reads
//
// Rows of writes that hold reads, b_n = v_n + sum of g_nr z_r, solve a unit triangular system, one
// unknown for each step and write:
//
//   N = sum of g_nr M_rm;   (1 - N) known = v_n + sum of g_nr M_rm v_m;   (1 - N) weights = g_nr
//   Y_r
//
// and the step that is left is  b = known + weights H;   H' = (F of all steps) H + added + sum of
// A_n b_n. Reads of outputs, z_r = Y_r H + sum of M_rn b_n, follow when all H are known.
#ifndef ATTNC_LIB_TRANSFORMS_CHUNKSTATES_H
#define ATTNC_LIB_TRANSFORMS_CHUNKSTATES_H

#include "ChunkDecay.h"

namespace attnc {

class ChunkStates {
public:
  explicit ChunkStates(ChunkBuilder &builder);

  /// Replaces the steps by chunks: the recurrence over chunks, whose last results are the final
  /// states.
  attn::RecurOp build();
  /// The rows of a read that outputs need, behind `build`: over batch, chunks, rows and kept axes.
  mlir::Value readRows(unsigned read);

private:
  /// What there is of one state before the recurrence over chunks, and behind it.
  struct System {
    llvm::SmallVector<unsigned> corrected, plain; ///< writes that hold reads, and others
    mlir::StringAttr row, column; ///< spaces of the unknowns, one for each step and corrected write
    mlir::Value known, weights;   ///< over batch, chunks, `row`, and kept or summed axes
    mlir::Value added;            ///< over batch, chunks and the state's axes; null: 0
    mlir::Value states, unknowns; ///< of all chunks, behind `build`
  };
  using WriteFormula = llvm::function_ref<mlir::Value(unsigned write, mlir::Value step)>;

  /// A tensor of chunks by what it is of: states with the same data, factor and summed axes share
  /// it.
  enum class Part : uint8_t { Scores, Weights, Columns };
  using Key = std::tuple<Part, const void *, Expr, Expr, Expr, bool>;
  Key keyOf(Part part, unsigned state, Expr weight, Expr column, bool isNew) const;

  ChunkDecay *decayOf(unsigned state);
  ChunkBuilder::Axes summedOf(unsigned state) const;
  ChunkBuilder::Axes keptOf(unsigned state) const;
  bool isNeeded(unsigned state) const;

  // Tensors over chunks, each made once.
  mlir::Value scores(unsigned read, unsigned write);
  mlir::Value weightsOf(unsigned read);
  mlir::Value columnsOf(unsigned state, unsigned write);

  void prepare(unsigned state);
  mlir::Value addedOf(unsigned state);
  void solve(unsigned state);
  mlir::Value matrixOf(unsigned state);
  mlir::Value knownSide(unsigned state);
  mlir::Value weightsSide(unsigned state);
  /// `formula` of the write and the step that an unknown is of.
  mlir::Value ofUnknown(const System &system, mlir::Value unknown, WriteFormula formula);
  /// The unknown that the row of the `number`th corrected write is in a step.
  mlir::Value unknownOf(const System &system, unsigned number, mlir::Value step);
  mlir::Value rowOf(unsigned state, unsigned write, const NamedIndices &at);

  mlir::Value unknownsOfStep(unsigned state, mlir::Value tensor, const NamedIndices &chunk);
  mlir::Value nextState(unsigned state, mlir::Value tensor, mlir::Value unknowns,
                        const NamedIndices &chunk);

  ChunkBuilder &b;
  const ChunkSpaces &s;
  const ChunkForm &form;
  llvm::SmallVector<System> systems;
  std::map<Expr, std::unique_ptr<ChunkDecay>> decays;
  std::map<Key, mlir::Value> known;
};

} // namespace attnc

#endif // ATTNC_LIB_TRANSFORMS_CHUNKSTATES_H
