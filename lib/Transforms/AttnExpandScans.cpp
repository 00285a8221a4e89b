// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attn-expand-scans: scans and triangular systems as recurrences.
//
//   scan:  for each row, state = identity; at each entry  state = combine(state, x)   put out
//   solve: for each column of the right side, x[j] = 0;   at each row i
//          value = R[i] + sum(N[i, j] x[j] for j < i)     put out, x[i] = value
//
// A recurrence goes from entry to entry, so that the freedom of order which the ops promise is
// given up: this is the form for where no kernel of their own uses it. What stands in the step of a
// recurrence stays, since recurrences do not nest; so do scans of ints, as states are reals.
#include "attnc/Transforms/Passes.h"
#include "dialects/Attn/Attn.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace attnc {
#define GEN_PASS_DEF_ATTNEXPANDSCANS
#include "attnc/Transforms/Passes.h.inc"

namespace {

using Formula = llvm::function_ref<Value(ValueRange)>;

/// Builds stages of f32 at an op's place, and the recurrence that takes the op's.
class StepBuilder : public ImplicitLocOpBuilder {
public:
  explicit StepBuilder(Operation *op) : ImplicitLocOpBuilder(op->getLoc(), op) {}

  attn::AttnTensorType over(ArrayRef<Attribute> axes) {
    return attn::AttnTensorType::get(getContext(), axes, getF32Type());
  }

  /// A tensor over `axes` whose elements `formula` computes from their indices.
  Value compute(ArrayRef<Attribute> axes, Formula formula) {
    Region region;
    Block &body = region.emplaceBlock();
    for (size_t i = 0; i < axes.size(); ++i)
      body.addArgument(getI32Type(), getLoc());
    {
      InsertionGuard guard(*this);
      setInsertionPointToEnd(&body);
      attn::YieldOp::create(*this, formula(body.getArguments()));
    }
    auto op = attn::ComputeOp::create(*this, over(axes));
    op.getBody().takeBody(region);
    return op.getResult();
  }

  Value read(Value tensor, ValueRange indices) {
    Type element = cast<attn::AttnTensorType>(tensor.getType()).getElementType();
    return attn::ReadOp::create(*this, isa<IntegerType>(element) ? element : getF32Type(), tensor,
                                indices);
  }

  Value real(double value) {
    return arith::ConstantOp::create(*this, getF32FloatAttr(static_cast<float>(value)));
  }
};

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

/// Whether each axis is an index space: an attn.compute and a recurrence have no other.
bool isOverSpaces(attn::AttnTensorType type) {
  return llvm::all_of(type.getAxes(), llvm::IsaPred<StringAttr>);
}

/// One step: from the indices (of rows, then the step) and the states, what is put out and the new
/// states.
using Step = llvm::function_ref<void(StepBuilder &, ValueRange indices, ValueRange states,
                                     SmallVector<Value> &outs, SmallVector<Value> &next)>;

/// A recurrence over `time` for each index of `rows`.
attn::RecurOp recur(StepBuilder &b, StringRef time, ArrayRef<Attribute> rows, ValueRange inits,
                    Step step) {
  Region region;
  Block &body = region.emplaceBlock();
  for (size_t i = 0; i <= rows.size(); ++i)
    body.addArgument(b.getI32Type(), b.getLoc());
  for (Value init : inits)
    body.addArgument(init.getType(), b.getLoc());
  SmallVector<Value> outs, next;
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToEnd(&body);
    step(b, body.getArguments().take_front(rows.size() + 1),
         body.getArguments().drop_front(rows.size() + 1), outs, next);
    SmallVector<Value> yielded(outs);
    yielded.append(next);
    attn::YieldOp::create(b, yielded);
  }
  SmallVector<Type> results;
  for (auto [i, value] : llvm::enumerate(llvm::concat<Value>(outs, next))) {
    SmallVector<Attribute> axes(rows);
    if (i < outs.size())
      axes.push_back(b.getStringAttr(time));
    llvm::append_range(axes, cast<attn::AttnTensorType>(value.getType()).getAxes());
    results.push_back(b.over(axes));
  }
  auto op = attn::RecurOp::create(b, results, b.getStringAttr(time), b.getArrayAttr(rows), inits,
                                  /*every=*/Value());
  op.getBody().takeBody(region);
  return op;
}

/// What a recurrence over `time` put out, in the order of the axes of `type`; with `reverse`, the
/// last step is the first index.
Value arranged(StepBuilder &b, Value out, attn::AttnTensorType type, StringRef time, bool reverse) {
  if (!reverse && out.getType() == type)
    return out;
  auto from = cast<attn::AttnTensorType>(out.getType());
  return b.compute(type.getAxes(), [&](ValueRange indices) {
    SmallVector<Value> moved(indices);
    if (reverse)
      for (auto [axis, index] : llvm::zip_equal(type.getAxes(), moved))
        if (axis == b.getStringAttr(time)) {
          Value size = attn::SizeOp::create(b, b.getI32Type(), time);
          Value one = arith::ConstantOp::create(b, b.getI32IntegerAttr(1));
          index = arith::SubIOp::create(b, arith::SubIOp::create(b, size, one), index);
        }
    return b.read(out, indicesOf(from, type.getAxes(), moved));
  });
}

bool expand(attn::ScanOp scan) {
  auto type = cast<attn::AttnTensorType>(scan.getResult(0).getType());
  if (!isOverSpaces(type) ||
      llvm::any_of(scan.getIdentities(), [](Value v) { return !v.getType().isF32(); }))
    return false;
  StepBuilder b(scan);
  SmallVector<Attribute> rows = othersOf(type, scan.getSpace()), names(rows);
  names.push_back(scan.getSpaceAttr());
  SmallVector<Value> inits;
  for (Value identity : scan.getIdentities())
    inits.push_back(b.compute({}, [&](ValueRange) { return identity; }));
  auto step = [&](StepBuilder &b, ValueRange indices, ValueRange states, SmallVector<Value> &outs,
                  SmallVector<Value> &next) {
    for (unsigned k = 0; k < states.size(); ++k)
      next.push_back(b.compute({}, [&](ValueRange) {
        SmallVector<Value> at(indices), arguments;
        if (scan.getReverse()) {
          Value size = attn::SizeOp::create(b, b.getI32Type(), scan.getSpace());
          Value one = arith::ConstantOp::create(b, b.getI32IntegerAttr(1));
          at.back() = arith::SubIOp::create(b, arith::SubIOp::create(b, size, one), at.back());
        }
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
  attn::RecurOp op = recur(b, scan.getSpace(), rows, inits, step);
  for (auto [k, result] : llvm::enumerate(scan.getResults()))
    result.replaceAllUsesWith(
        arranged(b, op.getResult(k), type, scan.getSpace(), scan.getReverse()));
  return true;
}

bool expand(attn::SolveOp solve) {
  attn::AttnTensorType type = solve.getResult().getType(), matrix = solve.getMatrix().getType();
  if (!isOverSpaces(type) || !isOverSpaces(matrix))
    return false;
  StepBuilder b(solve);
  SmallVector<Attribute> systems = othersOf(type, solve.getRow()), names(systems);
  names.append({solve.getRowAttr(), solve.getColumnAttr()});
  Value init = b.compute({solve.getColumnAttr()}, [&](ValueRange) { return b.real(0.0); });
  auto step = [&](StepBuilder &b, ValueRange indices, ValueRange states, SmallVector<Value> &outs,
                  SmallVector<Value> &next) {
    Value row = indices.back();
    Value value = b.compute({}, [&](ValueRange) {
      Value rhs = b.read(solve.getRhs(), indicesOf(solve.getRhs().getType(), names, indices));
      auto sum = attn::ReduceOp::create(b, b.getF32Type(), attn::Reduction::Sum, solve.getColumn(),
                                        StringAttr(), Value(), Value(), row);
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToEnd(&sum.getBody().emplaceBlock());
      SmallVector<Value> at(indices);
      at.push_back(sum.getBody().addArgument(b.getI32Type(), b.getLoc()));
      Value entry = b.read(solve.getMatrix(), indicesOf(matrix, names, at));
      Value known = b.read(states.front(), at.back());
      attn::YieldOp::create(b, arith::MulFOp::create(b, entry, known).getResult());
      b.setInsertionPointAfter(sum);
      return arith::AddFOp::create(b, rhs, sum).getResult();
    });
    outs.push_back(value);
    next.push_back(b.compute({solve.getColumnAttr()}, [&](ValueRange column) {
      Value isNew = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, column.front(), row);
      return arith::SelectOp::create(b, isNew, b.read(value, {}), b.read(states.front(), column))
          .getResult();
    }));
  };
  attn::RecurOp op = recur(b, solve.getRow(), systems, init, step);
  solve.getResult().replaceAllUsesWith(
      arranged(b, op.getResult(0), type, solve.getRow(), /*reverse=*/false));
  return true;
}

struct AttnExpandScans : impl::AttnExpandScansBase<AttnExpandScans> {
  using AttnExpandScansBase::AttnExpandScansBase;

  void runOnOperation() override {
    getOperation().walk([&](Operation *op) {
      if (!isa_and_nonnull<attn::VariantOp>(op->getParentOp()))
        return;
      bool isExpanded = llvm::TypeSwitch<Operation *, bool>(op)
                            .Case<attn::ScanOp, attn::SolveOp>([](auto it) { return expand(it); })
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
