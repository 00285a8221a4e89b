// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// StateTiles.h explains.
#include "StateTiles.h"
#include "attnc/Analysis/Compilable.h"

using namespace mlir;
using namespace attnc;

/// Whether no other stage is in the kernel of `recur`.
static bool isAlone(attn::RecurOp recur) {
  auto variant = recur->getParentOfType<attn::VariantOp>();
  Attribute kernel = recur->getAttr("attn.kernel");
  return !kernel || llvm::none_of(variant.getBody().getOps(), [&](Operation &other) {
    return &other != recur && other.getAttr("attn.kernel") == kernel;
  });
}

/// Rows of a tile of four warps, 16 or 32 to each.
static bool fitsRows(int64_t rows) { return rows == 64 || rows == 128; }

/// Whether the stage around `read` is one of a step of `recur`, over the axes of what it reads, and
/// reads the element at its own place.
static bool readsOwnPlace(attn::ReadOp read, attn::RecurOp recur) {
  auto stage = dyn_cast<attn::ComputeOp>(read->getParentOp());
  return stage && stage->getParentOp() == recur &&
         stage.getType().getAxes() == read.getTensor().getType().getAxes() &&
         llvm::equal(read.getIndices(), stage.getBody().getArguments());
}

bool attnc::canStayInRegisters(attn::RecurOp recur, unsigned state, StringRef sliced,
                               int64_t columns) {
  Value old = recur.getStates()[state];
  auto type = cast<attn::AttnTensorType>(old.getType());
  if (sliced.empty() || recur.getEvery() || !isAlone(recur) || type.getRank() != 2 ||
      type.getAxisName(1) != sliced || !type.getElementType().isF32())
    return false;
  auto variant = recur->getParentOfType<attn::VariantOp>();
  std::optional<int64_t> rows = fixedExtent(variant, type.getAxisName(0)),
                         all = fixedExtent(variant, sliced);
  if (!rows || !fitsRows(*rows) || !all || *all % columns != 0)
    return false;
  Operation *yield = recur.getBody().front().getTerminator();
  Value next = yield->getOperand(recur.getNumOutputs() + state);
  auto compute = next.getDefiningOp<attn::ComputeOp>();
  if (!compute || compute->getParentOp() != recur || !next.hasOneUse())
    return false;
  return llvm::all_of(old.getUsers(), [&](Operation *user) {
    auto read = dyn_cast<attn::ReadOp>(user);
    return read && readsOwnPlace(read, recur);
  });
}
