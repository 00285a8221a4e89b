// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attn-chunk-recurrences: the steps of a recurrence that is linear in its states, a chunk at a
// time.
//
//   for t:  S = F S + a (v + g y^T S)^T;  out = f(q^T S)
//
//   for all chunks: products of the steps' weights and columns, a triangular system for rows that
//                   hold reads                                               stages in front
//   for each chunk: b = known + weights H;  H = F H + added + A b            the recurrence
//   for all steps:  f(Q H + M b)                                             stages behind
//
// The normal form is derived by attnc/Analysis/ChunkForm.h; the formulas are in ChunkStates.h.
#include "ChunkStates.h"
#include "attnc/Transforms/Passes.h"

using namespace mlir;

namespace attnc {
#define GEN_PASS_DEF_ATTNCHUNKRECURRENCES
#include "attnc/Transforms/Passes.h.inc"

namespace {

/// Chunks of more steps than these have whole tiles of rows of matrix products.
constexpr int64_t kTile = 16;

/// Replaces `recur` by its chunked form.
void replaceByChunks(attn::RecurOp recur, ExprContext &context, const ChunkForm &form,
                     int64_t chunk, bool byHalves) {
  ChunkSpaces spaces = ChunkSpaces::declare(recur, chunk, byHalves);
  ChunkBuilder b(recur, context, form, spaces);
  ChunkStates states(b);
  attn::RecurOp chunked = states.build();
  for (auto [number, read] : llvm::enumerate(form.reads))
    if (read.isPutOut)
      b.setRows(read.placeholder, states.readRows(number));

  Operation *yield = recur.getBody().front().getTerminator();
  unsigned numOutputs = recur.getNumOutputs();
  for (unsigned i = 0; i < numOutputs; ++i) {
    Value result = recur.getResult(i);
    if (result.use_empty())
      continue;
    Value steps = b.lifted(yield->getOperand(i));
    // An output may be stored in another type than it is computed in.
    if (steps.getType() != result.getType())
      steps = b.compute(cast<attn::AttnTensorType>(result.getType()),
                        [&](ValueRange indices) { return b.read(steps, indices); });
    result.replaceAllUsesWith(steps);
  }
  unsigned numKept = chunked.getNumOutputs();
  for (unsigned i = 0; i < recur.getNumStates(); ++i)
    recur.getResult(numOutputs + i).replaceAllUsesWith(chunked.getResult(numKept + i));
  recur.erase();
}

struct AttnChunkRecurrences : impl::AttnChunkRecurrencesBase<AttnChunkRecurrences> {
  using AttnChunkRecurrencesBase::AttnChunkRecurrencesBase;

  void runOnOperation() override {
    if (chunk < 1 || (chunk > kTile && chunk % kTile != 0)) {
      emitError(getOperation().getLoc())
          << "expects `chunk` to be a multiple of " << kTile << ", or from 1 to " << kTile
          << ", found " << int64_t(chunk);
      return signalPassFailure();
    }
    SmallVector<attn::RecurOp> recurrences;
    getOperation().walk([&](attn::RecurOp recur) { recurrences.push_back(recur); });
    for (attn::RecurOp recur : recurrences) {
      ExprContext context(&getContext());
      ChunkRefusal refusal;
      std::optional<ChunkForm> form = deriveChunkForm(recur, context, refusal);
      if (!form) {
        if (reportRefusals)
          refusal.op->emitRemark() << "step by step: " << refusal.reason;
        continue;
      }
      replaceByChunks(recur, context, *form, chunk, byHalves);
      ++numChunked;
    }
  }
};

} // namespace
} // namespace attnc
