// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Copies arithmetic of a variant's body into its program. An op is copied with f64 in place of f32:
// the reference computes sizes in float64, and a size must not depend on who computes it. Where a
// whole number can leave 32 bits it is computed in i64 and cut, for i32 of a program has no limit.
#include "ProgramScalars.h"
#include "attnc/Sizes/SizeArithmetic.h"
#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace attnc;

ProgramScalars::ProgramScalars(OpBuilder &builder, attn::VariantOp variant, tile::ProgramOp program)
    : builder(builder), variant(variant) {
  for (BlockArgument argument : program.getBody().getArguments()) {
    auto [kind, name] = program.getBinding(argument.getArgNumber()).split(':');
    if (kind == "size")
      sizes[name] = argument;
    else if (kind == "param")
      params[name] = argument;
  }
}

LogicalResult ProgramScalars::declareSpaces() {
  for (auto space : variant.getBody().getOps<attn::SpaceOp>()) {
    if (!space.getExtent() || sizes.contains(space.getName()))
      continue;
    FailureOr<Value> extent = emit(space.getExtent());
    FailureOr<Value> stride = space.getStride() ? emit(space.getStride()) : Value();
    if (failed(extent) || failed(stride))
      return failure();
    Value parent;
    if (std::optional<llvm::StringRef> name = space.getParent()) {
      parent = sizes.lookup(*name);
      if (!parent)
        return emitError(space.getLoc(), "the size of `") << *name << "` follows from no input";
    }
    sizes[space.getName()] = tile::SpaceOp::create(builder, space.getLoc(), builder.getI32Type(),
                                                   space.getNameAttr(), parent, *extent, *stride,
                                                   space.getFullAttr(), space.getOptionalAttr());
  }
  return success();
}

FailureOr<Value> ProgramScalars::emit(Value scalar) {
  if (Value known = emitted.lookupOrNull(scalar))
    return known;
  FailureOr<Value> value = emitExact(scalar);
  if (failed(value))
    return failure();
  Value result = *value;
  if (scalar.getType().isF32() && result.getType().isF64()) {
    auto wide = result.getDefiningOp<arith::ExtFOp>(); // a parameter
    result = wide ? wide.getIn()
                  : arith::TruncFOp::create(builder, scalar.getLoc(), builder.getF32Type(), result);
  }
  emitted.map(scalar, result);
  return result;
}

FailureOr<Value> ProgramScalars::emitExact(Value scalar) {
  if (Value known = exact.lookupOrNull(scalar))
    return known;
  Operation *op = scalar.getDefiningOp();
  FailureOr<Value> value = op ? emitOp(op) : FailureOr<Value>();
  if (succeeded(value))
    exact.map(scalar, *value);
  return value;
}

FailureOr<Value> ProgramScalars::emitOp(Operation *op) {
  Location loc = op->getLoc();
  if (auto size = dyn_cast<attn::SizeOp>(op)) {
    if (Value known = sizes.lookup(size.getSpace()))
      return known;
    return emitError(loc, "the size of `") << size.getSpace() << "` follows from no input";
  }
  if (auto param = dyn_cast<attn::ParamOp>(op)) {
    Value known = params.lookup(param.getName());
    if (known && known.getType().isF32())
      known = arith::ExtFOp::create(builder, loc, builder.getF64Type(), known);
    if (known)
      return known;
    return emitError(loc, "`") << param.getName() << "` is no parameter of the program";
  }
  auto constant = dyn_cast<arith::ConstantOp>(op);
  if (auto real = constant ? dyn_cast<FloatAttr>(constant.getValue()) : FloatAttr())
    return arith::ConstantOp::create(builder, loc, builder.getF64FloatAttr(real.getValueAsDouble()))
        .getResult();
  if (!tile::ProgramOp::isArithmetic(op))
    return emitError(loc, "expected arithmetic on sizes and parameters: `+ - * /`, bits, min, max, "
                          "comparisons, conditions, floor, ceil and casts");
  Type type = op->getResult(0).getType(), wide = builder.getI64Type();
  bool wraps = canLeaveInt32(op);
  OperationState state(loc, op->getName());
  for (Value operand : op->getOperands()) {
    FailureOr<Value> value = emitExact(operand);
    if (failed(value))
      return failure();
    state.addOperands(wraps ? arith::ExtSIOp::create(builder, loc, wide, *value).getResult()
                            : *value);
  }
  state.addTypes(wraps ? wide : type.isF32() ? builder.getF64Type() : type);
  state.addAttributes(op->getAttrs());
  Value result = builder.create(state)->getResult(0);
  return wraps ? arith::TruncIOp::create(builder, loc, type, result).getResult() : result;
}
