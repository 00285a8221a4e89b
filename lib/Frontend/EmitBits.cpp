// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Operators on the bits of ints: ~ & | ^ and shifts, in two's complement of 32 bits.
#include "Emitter.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/Support/FormatVariadic.h"

using namespace attnc;
using namespace attnc::frontend;
using namespace mlir;
using llvm::formatv;
using llvm::StringRef;

static StringRef textOf(llvm::SMRange range) {
  return {range.Start.getPointer(),
          static_cast<size_t>(range.End.getPointer() - range.Start.getPointer())};
}

/// True if `value`, what `operand` of `expr` is, is an int; else an error that says what is written
/// for other kinds.
bool Emitter::requireInt(const Expr *expr, const Expr *operand, Value value) {
  if (value.getType().isInteger(32))
    return true;
  StringRef sign = textOf(expr->anchor);
  bool isCondition = value.getType().isInteger(1);
  auto e = error(operand->range,
                 formatv("`{0}` needs ints, found {1}", sign, nameOf(value.getType())).str());
  if (isCondition) {
    StringRef word = sign == "&" ? "and" : sign == "|" ? "or" : sign == "~" ? "not" : "";
    if (sign == "^")
      e.note(expr->anchor, "of two conditions, one holds and one does not where `!=` holds");
    else if (word.empty())
      e.note(operand->range, "`i32(c)` is 1 where `c` holds and 0 elsewhere");
    else
      e.note(expr->anchor, "of conditions, write `" + word + "`");
  } else if (sign == "^") {
    e.note(expr->anchor, "a power is written `pow(x, y)`, a square root `sqrt(x)`");
  } else {
    e.note(operand->range, "`i32(x)` rounds a real toward zero");
  }
  return false;
}

Value Emitter::emitComplement(const Expr *expr, Value value) {
  if (!requireInt(expr, expr->operands.front(), value))
    return {};
  Location loc = locationOf(expr);
  return builder.createOrFold<arith::XOrIOp>(loc, value, constant(loc, -1));
}

/// `x ^ 2` where a power is meant would be an int without a word. In parentheses the number is
/// meant as it is.
static bool looksLikePower(const Expr *expr) {
  const Expr *exponent = expr->operands[1];
  return expr->op == BinaryOp::BitXor && exponent->kind == ExprKind::Integer &&
         !exponent->isParenthesized && (exponent->integer == 2 || exponent->integer == 3);
}

Value Emitter::emitBits(const Expr *expr, Value lhs, Value rhs) {
  for (auto [value, operand] : llvm::zip_equal(ValueRange{lhs, rhs}, expr->operands))
    if (!requireInt(expr, operand, value))
      return {};
  if (looksLikePower(expr) && seen.try_emplace("power warned", expr->range).second)
    reporter.warn(expr->anchor, "`^` is exclusive or, bit by bit; a power is written `pow(x, y)`");
  Location loc = locationOf(expr);
  switch (expr->op) {
  case BinaryOp::BitAnd:
    return builder.createOrFold<arith::AndIOp>(loc, lhs, rhs);
  case BinaryOp::BitOr:
    return builder.createOrFold<arith::OrIOp>(loc, lhs, rhs);
  case BinaryOp::BitXor:
    return builder.createOrFold<arith::XOrIOp>(loc, lhs, rhs);
  default:
    return emitShift(expr, lhs, rhs);
  }
}

/// A shift by `count` is one by each of its 32 values that arith defines, and by any other shifts
/// all bits out: 0 on the left, the sign on the right. No executor sees a count that is undefined.
Value Emitter::emitShift(const Expr *expr, Value value, Value count) {
  Location loc = locationOf(expr);
  bool isLeft = expr->op == BinaryOp::ShiftLeft;
  IntegerAttr known;
  if (matchPattern(count, m_Constant(&known))) {
    if (known.getInt() < 0 || known.getInt() > 31) {
      error(expr->operands[1]->range,
            formatv("a shift by {0}: expected a count from 0 to 31", known.getInt()).str());
      return {};
    }
    return isLeft ? builder.createOrFold<arith::ShLIOp>(loc, value, count)
                  : builder.createOrFold<arith::ShRSIOp>(loc, value, count);
  }
  Value low = arith::AndIOp::create(builder, loc, count, constant(loc, 31));
  Value isInside = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::eq, low, count);
  if (isLeft) {
    Value shifted = arith::ShLIOp::create(builder, loc, value, low);
    return arith::SelectOp::create(builder, loc, isInside, shifted, constant(loc, 0));
  }
  Value most = arith::SelectOp::create(builder, loc, isInside, low, constant(loc, 31));
  return arith::ShRSIOp::create(builder, loc, value, most);
}
