// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attn-expand-scans: scans and triangular systems as recurrences.
//
//   scan:  for each row, state = identity; at each entry  state = combine(state, x)   put out
//   solve: for each column of the right side, x[j] = 0;   at each row i
//          value = R[i] + sum(N[i, j] x[j] for j < i)     put out, x[i] = value
//
// Large systems go by blocks (SolveByBlocks.h). Running sums and products at the top level stay:
// they have a kernel.
//
// A recurrence goes from entry to entry, so that the freedom of order which the ops promise is
// given up: this is the form for where no kernel of their own uses it. Recurrences do not nest and
// their states are reals: within a step, and of ints, a scan by a combiner that is a reduction is
// that reduction over the entries so far, at a cost of n^2 for a row of n; other ones stay.
#include "FormulaBuilder.h"
#include "SolveByBlocks.h"
#include "attnc/Analysis/Scans.h"
#include "attnc/Transforms/Passes.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace attnc {
#define GEN_PASS_DEF_ATTNEXPANDSCANS
#include "attnc/Transforms/Passes.h.inc"

namespace {

/// The axes of `type` beside the one over `space`.
SmallVector<Attribute> othersOf(attn::AttnTensorType type, StringRef space) {
  SmallVector<Attribute> others;
  for (Attribute axis : type.getAxes())
    if (axis != StringAttr::get(type.getContext(), space))
      others.push_back(axis);
  return others;
}

/// The indices of an element of `type` from those of the axes `names`.
SmallVector<Value> indicesOf(attn::AttnTensorType type, ArrayRef<Attribute> names,
                             ValueRange values) {
  SmallVector<Value> indices;
  for (Attribute axis : type.getAxes())
    indices.push_back(values[llvm::find(names, axis) - names.begin()]);
  return indices;
}

/// The index that is as far from the last of `space` as `index` is from the first.
Value fromEnd(FormulaBuilder &b, StringRef space, Value index) {
  Value size = attn::SizeOp::create(b, b.getI32Type(), space);
  return b.sub(b.sub(size, b.integer(1)), index);
}

/// What a recurrence over `time` put out, in the order of the axes of `type`; with `reverse`, the
/// last step is the first index.
Value arranged(FormulaBuilder &b, Value out, attn::AttnTensorType type, StringRef time,
               bool reverse) {
  if (!reverse && out.getType() == type)
    return out;
  auto from = cast<attn::AttnTensorType>(out.getType());
  return b.compute(type, [&](ValueRange indices) {
    SmallVector<Value> moved(indices);
    if (reverse)
      for (auto [axis, index] : llvm::zip_equal(type.getAxes(), moved))
        if (axis == b.getStringAttr(time))
          index = fromEnd(b, time, index);
    return b.read(out, indicesOf(from, type.getAxes(), moved));
  });
}

/// The entries so far, reduced anew for each.
bool expandToReduction(attn::ScanOp scan) {
  std::optional<attn::Reduction> kind = reductionOf(scan);
  if (!kind)
    return false;
  FormulaBuilder b(scan);
  RowView rows(scan.getTensors().front(), scan.getSpace());
  auto type = cast<attn::AttnTensorType>(scan.getResult(0).getType());
  Value result = b.compute(type, [&](ValueRange indices) {
    SmallVector<Value> row = rows.rowOf(indices);
    Value own = rows.alongOf(indices);
    IndexRange range{scan.getSpace()};
    if (!scan.getReverse())
      range.end = scan.getExclusive() ? own : b.add(own, b.integer(1));
    auto isBehind = scan.getExclusive() ? arith::CmpIPredicate::sgt : arith::CmpIPredicate::sge;
    return b.reduce(*kind, range, [&](Value index) {
      Value condition = scan.getReverse() ? b.compare(isBehind, index, own) : Value();
      return Term{rows.read(b, row, index), condition};
    });
  });
  scan.getResult(0).replaceAllUsesWith(result);
  return true;
}

bool expand(attn::ScanOp scan) {
  auto type = cast<attn::AttnTensorType>(scan.getResult(0).getType());
  if (!isOverSpaces(type) || hasScanKernel(scan))
    return false;
  if (!isa<attn::VariantOp>(scan->getParentOp()) ||
      llvm::any_of(scan.getIdentities(), [](Value v) { return !v.getType().isF32(); }))
    return expandToReduction(scan);
  FormulaBuilder b(scan);
  SmallVector<Attribute> rows = othersOf(type, scan.getSpace()), names(rows);
  names.push_back(scan.getSpaceAttr());
  SmallVector<Value> inits;
  for (Value identity : scan.getIdentities())
    inits.push_back(b.compute({}, b.getF32Type(), [&](ValueRange) { return identity; }));
  auto step = [&](ValueRange indices, ValueRange states, SmallVector<Value> &outs,
                  SmallVector<Value> &next) {
    for (unsigned k = 0; k < states.size(); ++k)
      next.push_back(b.compute({}, b.getF32Type(), [&](ValueRange) {
        SmallVector<Value> at(indices), arguments;
        if (scan.getReverse())
          at.back() = fromEnd(b, scan.getSpace(), at.back());
        for (Value state : states)
          arguments.push_back(b.read(state, {}));
        for (Value tensor : scan.getTensors())
          arguments.push_back(
              b.read(tensor, indicesOf(cast<attn::AttnTensorType>(tensor.getType()), names, at)));
        IRMapping mapping;
        mapping.map(scan.getBody().getArguments(), arguments);
        for (Operation &op : scan.getBody().front().without_terminator())
          b.clone(op, mapping);
        return mapping.lookupOrDefault(scan.getBody().front().getTerminator()->getOperand(k));
      }));
    llvm::append_range(outs, scan.getExclusive() ? SmallVector<Value>(states) : next);
  };
  attn::RecurOp op = b.recur(scan.getSpace(), rows, inits, step);
  for (auto [k, result] : llvm::enumerate(scan.getResults()))
    result.replaceAllUsesWith(
        arranged(b, op.getResult(k), type, scan.getSpace(), scan.getReverse()));
  return true;
}

bool expand(attn::SolveOp solve, BlockSolves &blocks) {
  attn::AttnTensorType type = solve.getResult().getType(), matrix = solve.getMatrix().getType();
  if (!isOverSpaces(type) || !isOverSpaces(matrix) || !isa<attn::VariantOp>(solve->getParentOp()))
    return false;
  if (blocks.expand(solve))
    return true;
  FormulaBuilder b(solve);
  SmallVector<Attribute> systems = othersOf(type, solve.getRow()), names(systems);
  names.append({solve.getRowAttr(), solve.getColumnAttr()});
  Value init =
      b.compute({solve.getColumnAttr()}, b.getF32Type(), [&](ValueRange) { return b.real(0.0); });
  auto step = [&](ValueRange indices, ValueRange states, SmallVector<Value> &outs,
                  SmallVector<Value> &next) {
    Value row = indices.back();
    Value value = b.compute({}, b.getF32Type(), [&](ValueRange) {
      Value rhs = b.read(solve.getRhs(), indicesOf(solve.getRhs().getType(), names, indices));
      IndexRange before{solve.getColumn()};
      before.end = row;
      return b.add(rhs, b.reduce(attn::Reduction::Sum, before, [&](Value column) {
        SmallVector<Value> at(indices);
        at.push_back(column);
        Value entry = b.read(solve.getMatrix(), indicesOf(matrix, names, at));
        return Term{b.mul(entry, b.read(states.front(), column)), {}};
      }));
    });
    outs.push_back(value);
    next.push_back(b.compute({solve.getColumnAttr()}, b.getF32Type(), [&](ValueRange column) {
      Value isNew = b.compare(arith::CmpIPredicate::eq, column.front(), row);
      return b.select(isNew, b.read(value, {}), b.read(states.front(), column));
    }));
  };
  attn::RecurOp op = b.recur(solve.getRow(), systems, init, step);
  solve.getResult().replaceAllUsesWith(
      arranged(b, op.getResult(0), type, solve.getRow(), /*reverse=*/false));
  return true;
}

struct AttnExpandScans : impl::AttnExpandScansBase<AttnExpandScans> {
  using AttnExpandScansBase::AttnExpandScansBase;

  void runOnOperation() override {
    BlockSolves blocks;
    getOperation().walk([&](Operation *op) {
      bool isExpanded =
          llvm::TypeSwitch<Operation *, bool>(op)
              .Case<attn::ScanOp>([](attn::ScanOp scan) { return expand(scan); })
              .Case<attn::SolveOp>([&](attn::SolveOp solve) { return expand(solve, blocks); })
              .Default(false);
      if (!isExpanded)
        return;
      op->erase();
      ++numExpanded;
    });
  }
};

} // namespace
} // namespace attnc
