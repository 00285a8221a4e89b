// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Names, reads and operators, with the promotion rules: int and int stay int, a real on one side
// makes both real, conditions mix with nothing.
#include "Emitter.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"

using namespace attnc;
using namespace attnc::frontend;
using namespace mlir;
using llvm::formatv;
using llvm::SMRange;
using llvm::StringRef;

Reporter::Error Emitter::error(SMRange range, const llvm::Twine &message) {
  Reporter::Error result = reporter.error(range, message);
  for (const Frame &frame : llvm::reverse(frames))
    result.note(frame.call, "in this use of `" + frame.definition->name.text + "`");
  return result;
}

Location Emitter::locationOf(const Expr *expr) const {
  Location loc = reporter.location(expr->anchor);
  return frames.empty() ? loc : Location(CallSiteLoc::get(loc, frames.back().location));
}

Value Emitter::constant(Location loc, double value) {
  return arith::ConstantOp::create(builder, loc,
                                   builder.getF32FloatAttr(static_cast<float>(value)));
}

Value Emitter::constant(Location loc, int32_t value) {
  return arith::ConstantOp::create(builder, loc, builder.getI32IntegerAttr(value));
}

Value Emitter::toReal(Value value, Location loc) {
  if (value.getType().isF32())
    return value;
  return builder.createOrFold<arith::SIToFPOp>(loc, builder.getF32Type(), value);
}

Value Emitter::require(Value value, Type type, const Expr *expr, StringRef statement) {
  if (!value || value.getType() == type)
    return value;
  if (type.isF32() && value.getType().isInteger(32)) {
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointAfterValue(value);
    if (auto arg = dyn_cast<BlockArgument>(value))
      builder.setInsertionPointToEnd(arg.getOwner());
    return toReal(value, locationOf(expr));
  }
  error(expr->range,
        formatv("`{0}` needs {1}, found {2}", statement, nameOf(type), nameOf(value.getType()))
            .str());
  return {};
}

Value Emitter::emitIn(EmitContext &into, const Expr *expr) {
  OpBuilder::InsertionGuard guard(builder);
  builder.restoreInsertionPoint(into.end);
  EmitContext *saved = std::exchange(context, &into);
  bool savedAxis = std::exchange(onQueryAxis, false);
  Value result = emitExpr(expr);
  into.end = builder.saveInsertionPoint();
  context = saved;
  onQueryAxis = savedAxis;
  return result;
}

Value Emitter::emitExpr(const Expr *expr) {
  if (++numOperations > maxOperations) {
    if (numOperations == maxOperations + 1)
      error(expr->range, formatv("this attention is more than {0} operations", maxOperations).str())
          .note(expr->range, "helpers and lets are copied where they are used");
    return {};
  }
  switch (expr->kind) {
  case ExprKind::Integer:
    return emitInteger(expr, expr->integer);
  case ExprKind::Real:
    return constant(locationOf(expr), expr->real);
  case ExprKind::Bool:
    return arith::ConstantOp::create(builder, locationOf(expr), builder.getBoolAttr(expr->integer));
  case ExprKind::Name:
    return emitName(expr);
  case ExprKind::Call:
    return emitCall(expr);
  case ExprKind::Index:
    return emitIndex(expr);
  case ExprKind::At:
    return emitAt(expr);
  case ExprKind::Unary:
    return emitUnary(expr);
  case ExprKind::Binary:
    return emitBinary(expr);
  case ExprKind::If:
    return emitIf(expr);
  }
  return {};
}

Value Emitter::emitInteger(const Expr *expr, int64_t value) {
  if (value >= INT32_MIN && value <= INT32_MAX)
    return constant(locationOf(expr), static_cast<int32_t>(value));
  error(expr->range, "this integer does not fit into 32 bits")
      .note(expr->range, "write it with a decimal point if a real number is meant");
  return {};
}

Symbol *Emitter::lookup(StringRef name) {
  if (name.contains('.'))
    usedBranches[name.split('.').first] = true;
  if (auto it = scope.find(name); it != scope.end())
    return &it->second;
  if (auto it = fileScope.find(name); it != fileScope.end())
    return &it->second;
  return nullptr;
}

Value Emitter::emitArgument(Argument &argument) {
  if (argument.value && argument.version == context->version)
    return argument.value;
  // The argument was written outside of this helper, but is evaluated at the coordinates here.
  Frame frame = std::move(frames.back());
  frames.pop_back();
  bool savedAxis = std::exchange(onQueryAxis, argument.onQueryAxis);
  Value value = emitExpr(argument.expr);
  onQueryAxis = savedAxis;
  frames.push_back(std::move(frame));
  return value;
}

Value Emitter::emitName(const Expr *expr) {
  StringRef name = expr->text;
  if (!frames.empty()) {
    auto it = frames.back().args.find(name);
    if (it != frames.back().args.end()) {
      Value value = emitArgument(it->second);
      // The frame was moved meanwhile.
      Argument &argument = frames.back().args.find(name)->second;
      argument.value = value;
      argument.version = context->version;
      return value;
    }
  }
  if (name == "inf")
    return constant(locationOf(expr), std::numeric_limits<double>::infinity());
  if (auto it = context->words.find(name); it != context->words.end())
    return it->second;
  if (refused.contains(name))
    return {};
  bool isCoordinate = false;
  if (Value v = emitCoordinate(expr, isCoordinate); v || isCoordinate)
    return v;
  if (name == "Q" || name == "K" || name == "V")
    operandNamed(name);
  Symbol *symbol = lookup(name);
  if (!symbol) {
    reportUnknownName(expr, /*isFunction=*/false);
    return {};
  }
  switch (symbol->kind) {
  case Symbol::Param:
    return symbol->value;
  case Symbol::Let:
    return emitLetUse(expr, *symbol);
  case Symbol::Input:
  case Symbol::Tensor:
    if (symbol->isState && context->isScratch) {
      error(expr->range, "a `let` without axes cannot read the state `" + name +
                             "`, which changes within a step")
          .note(symbol->range,
                "declared here; a tensor of the step has axes, as in `let x[e] = ...`");
      return {};
    }
    return symbol->isBroken ? Value() : emitRead(expr, name, symbol->value, symbol->range);
  case Symbol::Helper:
    error(expr->range, "`" + name + "` is a helper and needs arguments")
        .note(symbol->range, "defined here");
    return {};
  }
  return {};
}

Value Emitter::emitCoordinate(const Expr *expr, bool &isCoordinate) {
  StringRef name = expr->text;
  isCoordinate = name == "s" || isSpace(name);
  if (!isCoordinate)
    return {};
  Value v = name == "s" ? Value() : indexOf(name, locationOf(expr));
  if (!v) {
    if (name == "s")
      error(expr->range, "`s` is the current score and is only known in `score`");
    else {
      SmallVector<StringRef> known;
      for (StringRef space : attn::indexSpaces())
        if (context->coordinates.count(space) || (space == "g" && context->coordinates.count("h")))
          known.push_back(space);
      std::string list = known.empty() ? "" : llvm::join(ArrayRef(known).drop_back(), ", ");
      if (!known.empty())
        list = known.size() == 1 ? known[0].str() : list + " and " + known.back().str();
      error(expr->range, "`" + name + "` has no value in " + context->what)
          .note(expr->range, context == &top && top.what == "`scale`"
                                 ? llvm::Twine("a scale is one number for the whole tensor")
                             : known.empty() ? llvm::Twine("no index space has one here")
                                             : "here " + llvm::Twine(list) +
                                                   (known.size() == 1 ? " does" : " do"));
    }
    return {};
  }
  return name == "q" && !onQueryAxis ? emitPosition(expr) : v;
}

Value Emitter::emitPosition(const Expr *expr) {
  if (!align) {
    // A missing statement is one mistake, however often q occurs.
    if (seen.try_emplace("align missing", expr->range).second) {
      error(expr->range, "`q` is used as a position on the key axis, but `align` is not declared")
          .note(expr->range,
                "add `align bottom_right` (the last query sees the last key, as in decoding) or "
                "`align top_left` (the first query is at the first key)");
    }
    return {};
  }
  if (*align == attn::Align::None) {
    error(expr->range,
          "`q` is used as a position on the key axis, but `align none` says that it has none")
        .note(seen["align"],
              "declare top_left or bottom_right, or bind positions as an input over q");
    return {};
  }
  Value &position = context->derived["position"];
  if (!position)
    position = attn::PositionOp::create(builder, locationOf(expr), builder.getI32Type(),
                                        context->coordinates["q"], *align);
  return position;
}

Value Emitter::emitLetUse(const Expr *expr, Symbol &symbol) {
  if (symbol.isBroken)
    return {};
  StringRef name = expr->text;
  if (auto it = context->lets.find(name); it != context->lets.end())
    return it->second;
  Frame frame{symbol.definition, expr->range, locationOf(expr), {}};
  // The body was written outside of this bracket and outside of any helper.
  bool savedAxis = std::exchange(onQueryAxis, false);
  std::vector<Frame> saved = std::exchange(frames, {});
  frames.push_back(std::move(frame));
  Value v = emitExpr(symbol.definition->body);
  frames = std::move(saved);
  onQueryAxis = savedAxis;
  if (v)
    context->lets[name] = v;
  return v;
}

Value Emitter::emitUnary(const Expr *expr) {
  const Expr *operand = expr->operands.front();
  bool isNot = expr->unary == UnaryOp::Not;
  if (expr->unary == UnaryOp::Minus && operand->kind == ExprKind::Integer)
    return emitInteger(expr, -operand->integer);
  Value v = emitExpr(operand);
  if (!v)
    return {};
  if (expr->unary == UnaryOp::Complement)
    return emitComplement(expr, v);
  Location loc = locationOf(expr);
  if (isNot != v.getType().isInteger(1)) {
    error(expr->anchor,
          isNot ? formatv("`not` needs a condition, found {0}", nameOf(v.getType())).str()
                : std::string("`-` needs a number, found a condition"));
    return {};
  }
  if (isNot) {
    Value one = arith::ConstantOp::create(builder, loc, builder.getBoolAttr(true));
    return builder.createOrFold<arith::XOrIOp>(loc, v, one);
  }
  if (v.getType().isF32())
    return builder.createOrFold<arith::NegFOp>(loc, v);
  return builder.createOrFold<arith::SubIOp>(loc, constant(loc, 0), v);
}

Value Emitter::emitBinary(const Expr *expr) {
  Value lhs = emitExpr(expr->operands[0]), rhs = emitExpr(expr->operands[1]);
  if (!lhs || !rhs)
    return {};
  if (isOnBits(expr->op))
    return emitBits(expr, lhs, rhs);
  Location loc = locationOf(expr);
  bool isLogic = expr->op == BinaryOp::And || expr->op == BinaryOp::Or;
  bool isEquality = expr->op == BinaryOp::Eq || expr->op == BinaryOp::Ne;
  StringRef sign(expr->anchor.Start.getPointer(),
                 expr->anchor.End.getPointer() - expr->anchor.Start.getPointer());
  for (auto [v, operand] : {std::pair(lhs, expr->operands[0]), std::pair(rhs, expr->operands[1])}) {
    bool isCondition = v.getType().isInteger(1);
    if (isLogic && !isCondition) {
      error(operand->range,
            formatv("`{0}` joins conditions, found {1}", sign, nameOf(v.getType())).str());
      return {};
    }
    if (!isLogic && isCondition && !(isEquality && lhs.getType() == rhs.getType())) {
      error(operand->range, formatv("`{0}` needs numbers, found a condition", sign).str())
          .note(operand->range, "`i32(c)` is 1 where `c` holds and 0 elsewhere");
      return {};
    }
  }
  if (expr->op == BinaryOp::And)
    return builder.createOrFold<arith::AndIOp>(loc, lhs, rhs);
  if (expr->op == BinaryOp::Or)
    return builder.createOrFold<arith::OrIOp>(loc, lhs, rhs);
  if (lhs.getType() != rhs.getType()) {
    lhs = toReal(lhs, loc);
    rhs = toReal(rhs, loc);
  }
  return expr->op >= BinaryOp::Lt ? emitComparison(expr, lhs, rhs) : emitArithmetic(expr, lhs, rhs);
}

Value Emitter::emitArithmetic(const Expr *expr, Value lhs, Value rhs) {
  Location loc = locationOf(expr);
  bool isReal = lhs.getType().isF32();
  switch (expr->op) {
  case BinaryOp::Add:
    return isReal ? emitReal<arith::AddFOp>(builder, loc, lhs, rhs)
                  : builder.createOrFold<arith::AddIOp>(loc, lhs, rhs);
  case BinaryOp::Sub:
    return isReal ? emitReal<arith::SubFOp>(builder, loc, lhs, rhs)
                  : builder.createOrFold<arith::SubIOp>(loc, lhs, rhs);
  case BinaryOp::Mul:
    return isReal ? emitReal<arith::MulFOp>(builder, loc, lhs, rhs)
                  : builder.createOrFold<arith::MulIOp>(loc, lhs, rhs);
  default:
    break;
  }
  if (!isReal)
    return emitDivision(expr, lhs, rhs);
  if (expr->op == BinaryOp::Div)
    return emitReal<arith::DivFOp>(builder, loc, lhs, rhs);
  error(expr->anchor, "`%` is defined for ints only")
      .note(expr->range, "one of the operands is a real");
  return {};
}

/// Floor division and its remainder, which has the sign of the divisor. A divisor of 0, which only
/// a value known at run time can have, acts as 1, so that no back end can trap.
Value Emitter::emitDivision(const Expr *expr, Value lhs, Value rhs) {
  Location loc = locationOf(expr);
  IntegerAttr known;
  if (matchPattern(rhs, m_Constant(&known))) {
    if (known.getInt() == 0) {
      error(expr->range, "division by zero");
      return {};
    }
    if (known.getInt() == -1) // floordivsi of the smallest int by -1 is undefined
      return expr->op == BinaryOp::Mod
                 ? constant(loc, 0)
                 : builder.createOrFold<arith::SubIOp>(loc, constant(loc, 0), lhs);
  } else if (auto size = rhs.getDefiningOp<attn::SizeOp>();
             !size || !llvm::is_contained({"b", "h", "g", "d", "e"}, size.getSpace())) {
    // Where an expression is evaluated, the sizes of batch, heads and dimensions are at least 1.
    Value isZero =
        arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::eq, rhs, constant(loc, 0));
    rhs = arith::SelectOp::create(builder, loc, isZero, constant(loc, 1), rhs);
  }
  Value quotient = builder.createOrFold<arith::FloorDivSIOp>(loc, lhs, rhs);
  if (expr->op == BinaryOp::Div)
    return quotient;
  Value product = builder.createOrFold<arith::MulIOp>(loc, quotient, rhs);
  return builder.createOrFold<arith::SubIOp>(loc, lhs, product);
}

Value Emitter::emitComparison(const Expr *expr, Value lhs, Value rhs) {
  unsigned i = static_cast<unsigned>(expr->op) - static_cast<unsigned>(BinaryOp::Lt);
  static const arith::CmpIPredicate ints[] = {arith::CmpIPredicate::slt, arith::CmpIPredicate::sle,
                                              arith::CmpIPredicate::sgt, arith::CmpIPredicate::sge,
                                              arith::CmpIPredicate::eq,  arith::CmpIPredicate::ne};
  // A comparison with NaN is false, and `!=` is true, as in IEEE 754.
  static const arith::CmpFPredicate reals[] = {
      arith::CmpFPredicate::OLT, arith::CmpFPredicate::OLE, arith::CmpFPredicate::OGT,
      arith::CmpFPredicate::OGE, arith::CmpFPredicate::OEQ, arith::CmpFPredicate::UNE};
  Location loc = locationOf(expr);
  if (lhs.getType().isF32())
    return builder.createOrFold<arith::CmpFOp>(loc, reals[i], lhs, rhs);
  return builder.createOrFold<arith::CmpIOp>(loc, ints[i], lhs, rhs);
}

Value Emitter::emitIf(const Expr *expr) {
  Value condition = emitExpr(expr->operands[0]), a = emitExpr(expr->operands[1]),
        b = emitExpr(expr->operands[2]);
  if (!condition || !a || !b)
    return {};
  if (!condition.getType().isInteger(1)) {
    error(expr->operands[0]->range,
          formatv("`if` needs a condition, found {0}", nameOf(condition.getType())).str());
    return {};
  }
  return emitChoice(expr, "both cases of `if` must be of one kind", condition, a, b);
}

/// `a` where `condition` holds, else `b`: real if one of them is. `rule` begins the message about
/// a number and a condition.
Value Emitter::emitChoice(const Expr *expr, StringRef rule, Value condition, Value a, Value b) {
  Location loc = locationOf(expr);
  if (a.getType() != b.getType()) {
    if (a.getType().isInteger(1) || b.getType().isInteger(1)) {
      error(
          expr->range,
          formatv("{0}, found {1} and {2}", rule, nameOf(a.getType()), nameOf(b.getType())).str());
      return {};
    }
    a = toReal(a, loc);
    b = toReal(b, loc);
  }
  return builder.createOrFold<arith::SelectOp>(loc, condition, a, b);
}
