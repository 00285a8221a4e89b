// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The table of scalar ops. Arithmetic stays as it is. The ops that speak about index spaces are
// replaced: `attn.size` by a launch-time size, `attn.position` by arithmetic, `attn.read` by a read
// of the bound view with indices that are clamped to the tensor wherever they are not provably
// inside.
#include "ScalarOps.h"
#include "attnc/Analysis/IntIntervals.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace attnc;

static FailureOr<Value> unknownSize(Operation *op, StringRef space) {
  return emitError(op->getLoc(), "no input says the size of the index space `") << space << "`";
}

static FailureOr<Value> lowerSize(Operation *op, const ScalarScope &scope) {
  StringRef space = cast<attn::SizeOp>(op).getSpace();
  if (Value known = scope.context.sizes.lookup(space))
    return known;
  return unknownSize(op, space);
}

static FailureOr<Value> lowerPosition(Operation *op, const ScalarScope &scope) {
  auto position = cast<attn::PositionOp>(op);
  OpBuilder &builder = scope.context.builder;
  Value row = scope.values.lookup(position.getRow());
  if (position.getAlign() != attn::Align::BottomRight)
    return row;
  llvm::StringMap<Value> &sizes = scope.context.sizes;
  Value shift = arith::SubIOp::create(builder, op->getLoc(), sizes["kv"], sizes["q"]);
  return arith::AddIOp::create(builder, op->getLoc(), row, shift).getResult();
}

/// Whether an index runs over `space`, or over what its blocks consist of: then it has some.
static bool isSeenToHaveIndices(Operation *op, StringRef space, const ScalarScope &scope) {
  while (!space.empty()) {
    if (llvm::any_of(scope.indices, [&](const Index &index) { return index.space == space; }))
      return true;
    attn::SpaceOp declared = attn::findSpace(scope.context.variant, space);
    if (declared && declared.getFull())
      return false;
    space = attn::blockParent(op, space);
  }
  return false;
}

FailureOr<Value> attnc::clampIndex(attn::ReadOp read, unsigned axis, Value value,
                                   const ScalarScope &scope) {
  OpBuilder &builder = scope.context.builder;
  Location loc = read.getLoc();
  attn::AttnTensorType type = read.getTensor().getType();
  StringRef space = type.getAxisName(axis);
  const Index *own = llvm::find_if(scope.indices, [&](const Index &index) {
    return index.space == space && index.value == value;
  });
  bool isOwn = own != scope.indices.end();
  if (isOwn && !own->mayOverrun)
    return value;
  Value size = space.empty() ? scope.context.i32(loc, type.getAxisSize(axis))
                             : scope.context.sizes.lookup(space);
  if (!size)
    return unknownSize(read, space);
  if (!space.empty() && !isSeenToHaveIndices(read, space, scope))
    scope.context.readAnywhere.insert({space, read.getTensor()});
  IndexBounds bounds;
  if (scope.bounds)
    bounds = boundsOf(read.getIndices()[axis], scope.bounds);
  if (!isOwn && bounds.least < 0)
    value = arith::MaxSIOp::create(builder, loc, value, scope.context.i32(loc, 0));
  llvm::APInt known;
  if (matchPattern(size, m_ConstantInt(&known)) && bounds.most < known.getSExtValue())
    return value;
  Value last = arith::SubIOp::create(builder, loc, size, scope.context.i32(loc, 1));
  return arith::MinSIOp::create(builder, loc, value, last).getResult();
}

static FailureOr<Value> lowerRead(Operation *op, const ScalarScope &scope) {
  auto read = cast<attn::ReadOp>(op);
  Value view = scope.context.views.lookup(read.getTensor());
  if (!view)
    return read.emitOpError("reads a tensor that is not in memory");
  SmallVector<Value> indices = scope.context.leading.lookup(read.getTensor());
  for (auto [axis, index] : llvm::enumerate(read.getIndices())) {
    FailureOr<Value> inside = clampIndex(read, axis, scope.values.lookup(index), scope);
    if (failed(inside))
      return failure();
    indices.push_back(*inside);
  }
  return tile::ElementOp::create(scope.context.builder, read.getLoc(), read.getType(), view,
                                 indices)
      .getResult();
}

/// erf where |x| < 1/2, by its series: 2 / sqrt(pi) times the sum of (-1)^n x^(2n+1) / (n! (2n+1)),
/// with an error of 3e-8 of its value.
static Value erfNearZero(KernelContext &context, Location loc, Value x) {
  OpBuilder &builder = context.builder;
  constexpr double twoBySqrtPi = 1.1283791670955126;
  constexpr double series[] = {-1.0 / 1320, 1.0 / 216, -1.0 / 42, 1.0 / 10, -1.0 / 3, 1.0};
  Value z = arith::MulFOp::create(builder, loc, x, x);
  Value sum = context.f32(loc, twoBySqrtPi * series[0]);
  for (double coefficient : llvm::drop_begin(series))
    sum = math::FmaOp::create(builder, loc, sum, z, context.f32(loc, twoBySqrtPi * coefficient));
  return arith::MulFOp::create(builder, loc, sum, x);
}

/// erf beyond, by Abramowitz and Stegun 7.1.26, whose error is absolute (1.5e-7).
static Value erfFarFromZero(KernelContext &context, Location loc, Value x, Value magnitude) {
  OpBuilder &builder = context.builder;
  auto f32 = [&](double value) { return context.f32(loc, value); };
  auto multiply = [&](Value a, Value b) -> Value {
    return arith::MulFOp::create(builder, loc, a, b);
  };
  Value one = f32(1.0);
  Value denominator = math::FmaOp::create(builder, loc, magnitude, f32(0.3275911), one);
  Value t = arith::DivFOp::create(builder, loc, one, denominator);
  Value p = f32(1.061405429);
  for (double coefficient : {-1.453152027, 1.421413741, -0.284496736, 0.254829592})
    p = math::FmaOp::create(builder, loc, p, t, f32(coefficient));
  constexpr double kLog2E = 1.4426950408889634;
  Value square = multiply(multiply(x, x), f32(-kLog2E));
  Value tail = multiply(multiply(p, t), math::Exp2Op::create(builder, loc, square));
  Value positive = arith::SubFOp::create(builder, loc, one, tail);
  Value isNegative = arith::CmpFOp::create(builder, loc, arith::CmpFPredicate::OLT, x, f32(0.0));
  Value negative = arith::NegFOp::create(builder, loc, positive);
  return arith::SelectOp::create(builder, loc, isNegative, negative, positive);
}

/// No target has an instruction for erf, and the host's vectoriser no routine.
static FailureOr<Value> lowerErf(Operation *op, const ScalarScope &scope) {
  KernelContext &context = scope.context;
  OpBuilder &builder = context.builder;
  Location loc = op->getLoc();
  Value x = scope.values.lookup(op->getOperand(0));
  Value magnitude = math::AbsFOp::create(builder, loc, x);
  Value isNear = arith::CmpFOp::create(builder, loc, arith::CmpFPredicate::OLT, magnitude,
                                       context.f32(loc, 0.5));
  Value near = erfNearZero(context, loc, x);
  Value far = erfFarFromZero(context, loc, x, magnitude);
  return arith::SelectOp::create(builder, loc, isNear, near, far).getResult();
}

static FailureOr<Value> keep(Operation *op, const ScalarScope &scope) {
  return scope.context.builder.clone(*op, scope.values)->getResult(0);
}

/// A quotient of a coordinate that is the same for all of its tile is a scalar.
static FailureOr<Value> lowerQuotient(Operation *op, const ScalarScope &scope) {
  Value dividend = scope.values.lookup(op->getOperand(0));
  std::optional<int64_t> divisor = constantOf(op->getOperand(1));
  const Index *index = llvm::find_if(
      scope.indices, [&](const Index &each) { return each.tileFirst && each.value == dividend; });
  if (!divisor || index == scope.indices.end() || *divisor < 1 || *divisor % index->tile != 0)
    return keep(op, scope);
  return arith::DivUIOp::create(scope.context.builder, op->getLoc(), index->tileFirst,
                                scope.context.i32(op->getLoc(), *divisor))
      .getResult();
}

using ScalarLowering = FailureOr<Value> (*)(Operation *, const ScalarScope &);

/// By the name of an op, or, for what holds of all of a dialect's ops in scalar code, of a dialect.
static ScalarLowering find(Operation *op) {
  static const llvm::StringMap<ScalarLowering> table = {
      {"arith", keep},
      {"math", keep},
      {arith::FloorDivSIOp::getOperationName(), lowerQuotient},
      {math::ErfOp::getOperationName(), lowerErf},
      {attn::SizeOp::getOperationName(), lowerSize},
      {attn::PositionOp::getOperationName(), lowerPosition},
      {attn::ReadOp::getOperationName(), lowerRead},
      {attn::UniformOp::getOperationName(), lowerUniform},
  };
  if (ScalarLowering own = table.lookup(op->getName().getStringRef()))
    return own;
  return table.lookup(op->getName().getDialectNamespace());
}

FailureOr<Value> attnc::lowerScalarOp(Operation *op, const ScalarScope &scope) {
  ScalarLowering lowering = find(op);
  if (!lowering || op->getNumResults() != 1 || op->getNumRegions() != 0)
    return op->emitOpError("has no scalar form in a kernel");
  return lowering(op, scope);
}
