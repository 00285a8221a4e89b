// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Demand.h explains. Stages are looked at last first: who reads a result is known by then.
#include "Demand.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace attnc;
using namespace attnc::reference;
using namespace mlir;

static constexpr llvm::StringLiteral rowSpace = "q";

static std::optional<size_t> rowAxisOf(Value tensor) {
  auto type = dyn_cast<attn::AttnTensorType>(tensor.getType()); // else a scalar
  for (unsigned axis = 0; type && axis < type.getRank(); ++axis)
    if (type.getAxisName(axis) == rowSpace)
      return axis;
  return std::nullopt;
}

static bool isAmong(ArrayAttr names) {
  return llvm::is_contained(names.getAsValueRange<StringAttr>(), rowSpace);
}

/// Whether `stage` computes each of its rows by itself.
static bool computesRows(Operation *stage) {
  bool haveRows = llvm::all_of(stage->getResults(), [](Value v) { return rowAxisOf(v); });
  return haveRows &&
         llvm::TypeSwitch<Operation *, bool>(stage)
             .Case<attn::ComputeOp, attn::MergeOp>([](auto) { return true; })
             .Case<attn::SoftmaxOp, attn::CumsumOp, attn::RankOp, attn::OrderOp>(
                 [](auto op) { return op.getSpace() != rowSpace; })
             .Case([](attn::SelectOp op) { return !isAmong(op.getSpaces()); })
             .Case([](attn::RecurOp op) { return isAmong(op.getBatch()); })
             // Rows of tiles are not by themselves.
             .Case([](attn::AttendOp op) { return op.getKeySpace() != rowSpace && !op.getTile(); })
             .Default([](Operation *) { return false; });
}

/// Whether `argument` is the row of `stage`, which computes rows.
static bool isRow(Operation *stage, BlockArgument argument) {
  if (argument.getOwner()->getParentOp() != stage)
    return false;
  unsigned number = argument.getArgNumber();
  if (auto compute = dyn_cast<attn::ComputeOp>(stage))
    return rowAxisOf(compute.getResult()) == number;
  if (auto recur = dyn_cast<attn::RecurOp>(stage))
    return number < recur.getBatch().size() &&
           cast<StringAttr>(recur.getBatch()[number]).getValue() == rowSpace;
  auto attend = dyn_cast<attn::AttendOp>(stage);
  if (!attend)
    return false;
  unsigned leading = argument.getOwner()->getParent() == &attend.getScore() ? 1 : 0;
  return number >= leading && rowAxisOf(attend.getQuery()) == number - leading;
}

/// Whether `user`, `stage` or an op in it, reads `tensor` at rows only that are computed: a
/// constant one that is wanted, or the stage's own.
bool Demand::readsWantedRows(Operation *stage, Operation *user, Value tensor) const {
  if (user == stage)
    return isPartial(stage); // operands are read by the names of axes
  auto read = dyn_cast<attn::ReadOp>(user);
  if (!read)
    return false;
  Value index = read.getIndices()[*rowAxisOf(tensor)];
  APInt row;
  if (matchPattern(index, m_ConstantInt(&row)))
    return wanted.contains(row.getSExtValue());
  auto argument = dyn_cast<BlockArgument>(index);
  return argument && isPartial(stage) && isRow(stage, argument);
}

Demand::Demand(attn::VariantOp variant, std::vector<int64_t> rows) : sample(std::move(rows)) {
  wanted.insert(sample.begin(), sample.end());
  Block &body = variant.getBody().front();
  for (Operation &op : llvm::reverse(body)) {
    if (!computesRows(&op) || op.getNumResults() == 0)
      continue;
    bool isWhole = false;
    for (Value result : op.getResults())
      for (Operation *user : result.getUsers()) {
        Operation *reader = body.findAncestorOpInBlock(*user);
        isWhole |= !isa<attn::ReturnOp>(user) && !readsWantedRows(reader, user, result);
      }
    if (!isWhole)
      partial.insert(&op);
  }
}

std::optional<size_t> Demand::axisOf(Operation *stage, llvm::ArrayRef<llvm::StringRef> axes) const {
  if (isPartial(stage))
    for (auto [axis, name] : llvm::enumerate(axes))
      if (name == rowSpace)
        return axis;
  return std::nullopt;
}
