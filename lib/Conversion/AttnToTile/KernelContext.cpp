// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Clones scalar code from attn regions into a kernel. The ops that speak about index spaces are
// replaced on the way: `attn.size` by a launch-time size, `attn.position` by arithmetic,
// `attn.read` by a read of the bound view with indices that are clamped to the tensor wherever they
// are not provably inside.
#include "KernelContext.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace attnc;

Value KernelContext::i32(Location loc, int64_t value) {
  return arith::ConstantOp::create(builder, loc, builder.getI32IntegerAttr(value));
}

Value KernelContext::f32(Location loc, double value) {
  return arith::ConstantOp::create(builder, loc, builder.getF32FloatAttr(value));
}

FailureOr<Value> KernelContext::lowerRead(attn::ReadOp read, IRMapping &mapping,
                                          const Coordinates &at) {
  Location loc = read.getLoc();
  attn::AttnTensorType type = read.getTensor().getType();
  Value view = inputViews.lookup(read.getTensor());
  if (!view)
    return read.emitOpError("reads a tensor that is not an input of the variant");
  SmallVector<Value> indices;
  for (unsigned axis = 0; axis < type.getRank() && !at.key; ++axis)
    if (type.getAxisName(axis) == "kv")
      return emitError(loc,
                       "code is not generated for reads of a tensor over kv where there may be no "
                       "key (in a sink or a scale) yet: read it in score or mask");
  for (auto [axis, index] : llvm::enumerate(read.getIndices())) {
    Value value = mapping.lookup(index);
    llvm::StringRef space = type.getAxisName(axis);
    bool own = (space == "b" && value == at.b) || (space == "h" && value == at.h) ||
               (space == "kv" && value == at.key && !at.keyMayOverrun);
    if (!own) {
      Value size = space.empty() ? i32(loc, type.getAxisSize(axis)) : sizes.lookup(space);
      if (!size)
        return emitError(loc, "no input says the size of the index space `") << space << "`";
      Value last = arith::SubIOp::create(builder, loc, size, i32(loc, 1));
      // A row or a key of the tile can only overrun; anything else is clamped on both sides.
      bool onlyOverruns = (space == "q" && value == at.row) || (space == "kv" && value == at.key);
      if (!onlyOverruns)
        value = arith::MaxSIOp::create(builder, loc, value, i32(loc, 0));
      value = arith::MinSIOp::create(builder, loc, value, last);
    }
    indices.push_back(value);
  }
  return tile::ElementOp::create(builder, loc, read.getType(), view, indices).getResult();
}

/// erf by Abramowitz and Stegun 7.1.26 (absolute error below 1.5e-7): no target has an instruction
/// for it, and the host's vectoriser no routine.
Value KernelContext::emitErf(Location loc, Value x) {
  auto multiply = [&](Value a, Value b) -> Value {
    return arith::MulFOp::create(builder, loc, a, b);
  };
  Value one = f32(loc, 1.0);
  Value magnitude = math::AbsFOp::create(builder, loc, x);
  Value denominator = math::FmaOp::create(builder, loc, magnitude, f32(loc, 0.3275911), one);
  Value t = arith::DivFOp::create(builder, loc, one, denominator);
  Value p = f32(loc, 1.061405429);
  for (double coefficient : {-1.453152027, 1.421413741, -0.284496736, 0.254829592})
    p = math::FmaOp::create(builder, loc, p, t, f32(loc, coefficient));
  constexpr double kLog2E = 1.4426950408889634;
  Value square = multiply(multiply(x, x), f32(loc, -kLog2E));
  Value tail = multiply(multiply(p, t), math::Exp2Op::create(builder, loc, square));
  Value positive = arith::SubFOp::create(builder, loc, one, tail);
  Value isNegative =
      arith::CmpFOp::create(builder, loc, arith::CmpFPredicate::OLT, x, f32(loc, 0.0));
  Value negative = arith::NegFOp::create(builder, loc, positive);
  return arith::SelectOp::create(builder, loc, isNegative, negative, positive);
}

FailureOr<Value> KernelContext::lowerOp(Operation *op, IRMapping &mapping, const Coordinates &at) {
  Location loc = op->getLoc();
  return llvm::TypeSwitch<Operation *, FailureOr<Value>>(op)
      .Case<attn::ParamOp>([&](attn::ParamOp param) -> FailureOr<Value> {
        // Arguments are in `globals` from the start, and const parameters are constants.
        return param.emitOpError("has no kernel argument");
      })
      .Case<attn::SizeOp>([&](attn::SizeOp size) -> FailureOr<Value> {
        if (Value known = sizes.lookup(size.getSpace()))
          return known;
        return emitError(loc, "no input says the size of the index space `")
               << size.getSpace() << "`";
      })
      .Case<attn::PositionOp>([&](attn::PositionOp position) -> FailureOr<Value> {
        Value row = mapping.lookup(position.getRow());
        if (position.getAlign() != attn::Align::BottomRight)
          return row;
        Value shift = arith::SubIOp::create(builder, loc, sizes["kv"], sizes["q"]);
        return arith::AddIOp::create(builder, loc, row, shift).getResult();
      })
      .Case<attn::ReadOp>([&](attn::ReadOp read) { return lowerRead(read, mapping, at); })
      .Case<math::ErfOp>([&](math::ErfOp erf) -> FailureOr<Value> {
        return emitErf(loc, mapping.lookup(erf.getOperand()));
      })
      .Default([&](Operation *other) -> FailureOr<Value> {
        if (other->getNumResults() != 1 || other->getNumRegions() != 0)
          return other->emitOpError("has no scalar form in a kernel");
        return builder.clone(*other, mapping)->getResult(0);
      });
}

/// Emits `root` after what it is computed from, each value once and without recursion: values are
/// shared, and can be computed through as many ops as a spec has.
FailureOr<Value> KernelContext::emitInOrder(Value root, llvm::function_ref<Value(Value)> known,
                                            llvm::function_ref<LogicalResult(Operation *)> emit) {
  SmallVector<Value> open{root};
  while (!open.empty()) {
    Value value = open.back();
    if (known(value)) {
      open.pop_back();
      continue;
    }
    Operation *op = value.getDefiningOp();
    if (!op || isa<attn::InputOp, attn::AttendOp>(op))
      return emitError(value.getLoc(), "a tensor is used where a scalar is needed");
    size_t waiting = open.size();
    for (Value operand : op->getOperands())
      if (!isa<attn::AttnTensorType>(operand.getType()) && !known(operand))
        open.push_back(operand);
    if (open.size() == waiting && failed(emit(op)))
      return failure();
  }
  return known(root);
}

FailureOr<Value> KernelContext::materialize(Value value) {
  auto known = [&](Value v) { return globals.lookupOrNull(v); };
  return emitInOrder(value, known, [&](Operation *op) -> LogicalResult {
    FailureOr<Value> result = lowerOp(op, globals, Coordinates{b, h, {}, {}, false});
    if (failed(result))
      return failure();
    globals.map(op->getResult(0), *result);
    return success();
  });
}

LogicalResult KernelContext::materializeCaptures(Region &region) {
  WalkResult walk = region.walk([&](Operation *op) -> WalkResult {
    for (Value operand : op->getOperands()) {
      if (region.isAncestor(operand.getParentRegion()) ||
          isa<attn::AttnTensorType>(operand.getType()))
        continue;
      if (failed(materialize(operand)))
        return WalkResult::interrupt();
    }
    return WalkResult::advance();
  });
  return failure(walk.wasInterrupted());
}

FailureOr<Value> KernelContext::cloneRegion(Region &region, ValueRange arguments,
                                            const Coordinates &at) {
  IRMapping mapping = globals;
  Block &block = region.front();
  mapping.map(block.getArguments(), arguments);
  for (Operation &op : block.without_terminator()) {
    FailureOr<Value> result = lowerOp(&op, mapping, at);
    if (failed(result))
      return failure();
    mapping.map(op.getResult(0), *result);
  }
  return mapping.lookup(block.getTerminator()->getOperand(0));
}

FailureOr<Value> KernelContext::materializeUniform(Value value) {
  auto known = [&](Value v) -> Value {
    if (auto arg = dyn_cast<BlockArgument>(v)) // of the mask: (b, h, q, kv)
      return arg.getArgNumber() == 0 ? b : h;
    return uniforms.lookupOrNull(v);
  };
  return emitInOrder(value, known, [&](Operation *op) -> LogicalResult {
    bool isGlobal = isa<attn::VariantOp>(op->getParentOp());
    for (Value operand : op->getOperands()) // block arguments are not in the mapping
      if (!isGlobal && !isa<attn::AttnTensorType>(operand.getType()))
        uniforms.map(operand, known(operand));
    FailureOr<Value> result = isGlobal ? materialize(op->getResult(0))
                                       : lowerOp(op, uniforms, Coordinates{b, h, {}, {}, false});
    if (failed(result))
      return failure();
    uniforms.map(op->getResult(0), *result);
    return success();
  });
}
