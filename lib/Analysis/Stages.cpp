// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attnc/Analysis/Stages.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FormatVariadic.h"

using namespace attnc;
using namespace mlir;

bool attnc::isRowSpace(Operation *at, llvm::StringRef space) {
  if (space == "q" || space == "kv" || space == "t")
    return true;
  llvm::StringRef parent = attn::blockParent(at, space);
  return !parent.empty() && space != "g" && isRowSpace(at, parent);
}

StagePlace attnc::placeOf(attn::ComputeOp compute, std::string &reason) {
  attn::AttnTensorType type = compute.getResult().getType();
  bool hasRow = false;
  for (unsigned i = 0; i < type.getRank(); ++i)
    hasRow |= isRowSpace(compute, type.getAxisName(i));
  Operation *mixes = nullptr;
  bool readsResult = false, readsRows = false;
  compute.walk([&](Operation *inner) {
    if (auto reduce = dyn_cast<attn::ReduceOp>(inner);
        reduce && isRowSpace(compute, reduce.getSpace()))
      mixes = inner;
    auto read = dyn_cast<attn::ReadOp>(inner);
    if (!read)
      return;
    Operation *source = read.getTensor().getDefiningOp();
    readsResult |= isa_and_nonnull<attn::AttendOp, attn::RecurOp, attn::MergeOp>(source);
    auto sourceType = read.getTensor().getType();
    for (auto [i, index] : llvm::enumerate(read.getIndices())) {
      if (!isRowSpace(compute, sourceType.getAxisName(static_cast<unsigned>(i))))
        continue;
      readsRows = true;
      auto argument = dyn_cast<BlockArgument>(index);
      if (!argument)
        mixes = inner; // another row than the own one
    }
  });
  if (mixes) {
    auto reduce = dyn_cast<attn::ReduceOp>(mixes);
    reason = reduce ? llvm::formatv("reduces over `{0}`", reduce.getSpace()).str()
                    : "reads other rows than its own";
    return StagePlace::Pass;
  }
  if (!hasRow && !readsRows) {
    reason = "depends on no row";
    return StagePlace::Parameter;
  }
  if (readsResult) {
    reason = "a row of a result at a time";
    return StagePlace::Epilogue;
  }
  for (Operation *user : compute.getResult().getUsers())
    if (!isa<attn::AttendOp, attn::RecurOp, attn::ReadOp, attn::ReturnOp>(user)) {
      reason = llvm::formatv("a row at a time, for `{0}`, which takes whole rows",
                             user->getName().stripDialect());
      return StagePlace::Pass;
    }
  reason = "a row at a time";
  return StagePlace::Load;
}

/// The axes of `type` that some value of `region` depends on.
static llvm::SmallVector<bool> axesUsed(Region &region) {
  llvm::SmallVector<bool> used;
  for (BlockArgument arg : region.getArguments())
    used.push_back(!arg.use_empty());
  return used;
}

std::string attnc::foldingOf(attn::QuantizeOp quantize) {
  attn::AttnTensorType type = quantize.getTensor().getType();
  std::string text;
  auto add = [&](const llvm::Twine &sentence) {
    text += (text.empty() ? "" : "; ") + sentence.str();
  };
  for (OpOperand &use : quantize.getResult().getUses()) {
    auto attend = dyn_cast<attn::AttendOp>(use.getOwner());
    if (!attend || type.getRank() < 2)
      continue;
    bool isValue = use.get() == attend.getValue(), isQuery = use.get() == attend.getQuery();
    llvm::StringRef what = isValue ? "values" : isQuery ? "queries" : "keys";
    if (!quantize.getGroup().empty()) {
      llvm::SmallVector<bool> used = axesUsed(quantize.getGroup());
      bool alongRow = used[type.getRank() - 2], alongDim = used[type.getRank() - 1];
      if (isValue)
        add(alongRow && alongDim
                ? "scales of the values stay in the product (block-scaled instructions)"
            : alongRow ? "scales of the values fold into the weights"
            : alongDim ? "scales of the values fold into the output, channel by channel"
                       : "scales of the values fold into the output");
      else
        add(alongDim ? "scales of the " + what + " stay in the product (block-scaled instructions)"
                     : "scales of the " + what + " fold into the scores" +
                           (alongRow ? (isQuery ? ", row by row" : ", key by key")
                                     : llvm::Twine(", one factor for a head").str()));
    }
    if (quantize.getSmooth().empty())
      continue;
    llvm::SmallVector<bool> used = axesUsed(quantize.getSmooth());
    bool alongRow = used[type.getRank() - 2];
    if (isValue)
      add(alongRow ? "the mean of a block of values is added, weighted by the block's share"
                   : "the mean value is added to the output: the weights sum to 1");
    else if (isQuery)
      add("the mean query of a block gives a bias (mean . key) to the scores of its rows");
    else
      add(alongRow ? "the mean key of a block gives a bias (query . mean) to the scores of its keys"
                   : "the mean key shifts all scores of a row alike: it drops out of the weights, "
                     "and lse gets scale * query . mean");
  }
  return text.empty() ? "no attention stage takes the tensor directly: the numbers are scaled back"
                      : text;
}

/// The truth of a condition of the mask at the key of the row's own position: 1, 0 or unknown.
static std::optional<bool> truthOnDiagonal(Value value, Value key) {
  Operation *op = value.getDefiningOp();
  if (!op)
    return std::nullopt;
  if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
    auto integer = dyn_cast<IntegerAttr>(constant.getValue());
    return integer ? std::optional(integer.getValue().getBoolValue()) : std::nullopt;
  }
  if (isa<arith::AndIOp, arith::OrIOp>(op)) {
    bool isAnd = isa<arith::AndIOp>(op);
    auto a = truthOnDiagonal(op->getOperand(0), key), b = truthOnDiagonal(op->getOperand(1), key);
    if ((a && *a != isAnd) || (b && *b != isAnd))
      return !isAnd;
    return a && b ? std::optional(isAnd) : std::nullopt;
  }
  auto compare = dyn_cast<arith::CmpIOp>(op);
  if (!compare)
    return std::nullopt;
  auto isPosition = [](Value v) { return isa_and_nonnull<attn::PositionOp>(v.getDefiningOp()); };
  auto isSame = [&](Value a, Value b) {
    if ((a == key && isPosition(b)) || (b == key && isPosition(a)))
      return true;
    // The same operation on both, as in q / 64 == kv / 64.
    Operation *x = a.getDefiningOp(), *y = b.getDefiningOp();
    if (!x || !y || x->getName() != y->getName() || !isa<arith::FloorDivSIOp>(x) ||
        x->getOperand(1) != y->getOperand(1))
      return a == b;
    Value p = x->getOperand(0), q = y->getOperand(0);
    return (p == key && isPosition(q)) || (q == key && isPosition(p));
  };
  using P = arith::CmpIPredicate;
  if (isSame(compare.getLhs(), compare.getRhs())) {
    P p = compare.getPredicate();
    return p == P::eq || p == P::sle || p == P::sge || p == P::ule || p == P::uge;
  }
  // A distance of 0 against a constant.
  auto distance = compare.getLhs().getDefiningOp<arith::SubIOp>();
  auto bound = compare.getRhs().getDefiningOp<arith::ConstantOp>();
  if (distance && bound && isSame(distance.getLhs(), distance.getRhs()))
    if (auto number = dyn_cast<IntegerAttr>(bound.getValue()))
      return arith::applyCmpPredicate(compare.getPredicate(), APInt(32, 0), number.getValue());
  return std::nullopt;
}

RowKeys attnc::rowKeysOf(attn::AttendOp attend, std::string &reason) {
  if (attend.getSet()) {
    reason = "the set may hold none of a row's keys";
    return RowKeys::Maybe;
  }
  if (!attend.getSkip().empty()) {
    reason = "tiles may be skipped";
    return RowKeys::Maybe;
  }
  if (attend.getMask().empty()) {
    reason = "no mask, if there are keys";
    return RowKeys::Always;
  }
  Block &mask = attend.getMask().front();
  Value key = mask.getArgument(mask.getNumArguments() - 1);
  auto truth = truthOnDiagonal(cast<attn::YieldOp>(mask.back()).getValue(), key);
  bool holds = truth && *truth && attend.getKeySpace() == "kv";
  reason = holds ? "the mask holds for the key at the row's own position, if there are as many "
                   "keys as queries"
                 : "the mask is not known to hold for any key";
  return holds ? RowKeys::Always : RowKeys::Maybe;
}
