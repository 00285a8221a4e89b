// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Products that leave terms out: `tile.dot ... where %mask`. A matrix instruction adds all terms,
// and 0 * NaN is NaN. So the right operand B is taken apart, and with the mask v (1 or 0) as a left
// operand of its own three products are made, of which only the first has rounding:
//
//   sum += a' * finite(B)     a where v is 1, else 0, which it may be known to be; inf and NaN read
//   as 0 count = v * magnitude(B)  1 for inf, more than 1 (and at most 2) for NaN, 0 for what is
//   finite sign  = v * sign(B)       1 or -1 for inf and NaN, 0 for what is finite
//
// count is 0 where all terms were finite, count = sign where all others are +inf, count = -sign
// where they are -inf; else one is NaN, or there are both. Column tiles come first, so that only
// one pair of them has its three sums in registers.
#include "Products.h"
#include "SharedMatrices.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include <cmath>

using namespace mlir;
using namespace attnc;
using tile::TileType;

namespace {

/// The three right operands that one becomes.
struct Parts {
  Value finite, magnitude, sign;
};

class Scalars {
public:
  Scalars(OpBuilder &builder, Location loc) : b(builder), loc(loc) {}

  Value i32(uint32_t bits) {
    return arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(static_cast<int32_t>(bits)));
  }
  Value f32(float value) { return arith::ConstantOp::create(b, loc, b.getF32FloatAttr(value)); }
  Value both(Value x, Value y) { return arith::AndIOp::create(b, loc, x, y); }
  Value select(Value condition, Value yes, Value no) {
    return arith::SelectOp::create(b, loc, condition, yes, no);
  }
  Value compare(arith::CmpFPredicate predicate, Value x, Value y) {
    return arith::CmpFOp::create(b, loc, predicate, x, y);
  }
  Value isSet(Value flag) {
    return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, flag, i32(0));
  }

  /// Two f16 or bf16 in one register. Adding one to an exponent field of ones carries into the
  /// sign's place, which was cleared; that bit, moved to the half's lowest and multiplied by
  /// 0xffff, is a mask of the half. Clearing the top bit of such an exponent leaves that of 1: inf
  /// becomes 1, and NaN, whose mantissa is not 0, more.
  Parts partsOfPair(Value pair, Type element) {
    uint32_t exponent = element.isF16() ? 0x7c00 : 0x7f80, one = element.isF16() ? 0x3c00 : 0x3f80;
    uint32_t lowest = exponent & -exponent;
    auto halves = [&](uint32_t half) { return i32(half | half << 16); };
    Value sum = arith::AddIOp::create(b, loc, both(pair, halves(exponent)), halves(lowest));
    Value flags = arith::ShRUIOp::create(b, loc, both(sum, halves(0x8000)), i32(15));
    Value special = arith::MulIOp::create(b, loc, flags, i32(0xffff));
    Value others = arith::XOrIOp::create(b, loc, special, i32(0xffffffff));
    Value signs = arith::OrIOp::create(b, loc, both(pair, halves(0x8000)), halves(one));
    return {both(pair, others), both(both(pair, halves(0x3fff)), special), both(signs, special)};
  }

  Parts partsOfF32(Value x) {
    Value magnitude = math::AbsFOp::create(b, loc, x), zero = f32(0);
    Value finite = compare(arith::CmpFPredicate::OLT, magnitude, f32(INFINITY));
    Value isNaN = compare(arith::CmpFPredicate::UNO, x, x);
    Value isNegative = compare(arith::CmpFPredicate::OLT, x, zero);
    return {select(finite, x, zero), select(finite, zero, select(isNaN, f32(1.5), f32(1))),
            select(finite, zero, select(isNegative, f32(-1), f32(1)))};
  }

  /// `sum` and what the terms that are not finite make of it.
  Value combine(Value sum, Value count, Value sign) {
    using Predicate = arith::CmpFPredicate;
    Value negated = arith::NegFOp::create(b, loc, sign);
    Value special = select(compare(Predicate::OEQ, count, negated), f32(-INFINITY), f32(NAN));
    special = select(compare(Predicate::OEQ, count, sign), f32(INFINITY), special);
    // Added, not put in its place: the accumulator may be special too.
    Value added = arith::AddFOp::create(b, loc, sum, special);
    return select(compare(Predicate::OEQ, count, f32(0)), sum, added);
  }

private:
  OpBuilder &b;
  Location loc;
};

/// The sums of one 16x8 tile of the result.
struct Sums {
  SmallVector<Value> sum, count, sign;
};

} // namespace

LogicalResult attnc::lowerMaskedDot(KernelLowering &kl, tile::DotOp dot) {
  Location loc = dot.getLoc();
  TileType lhs = dot.getLhs().getType(), accType = dot.getAcc().getType();
  if (kl.sharedReads.count(dot.getLhs()))
    return dot.emitOpError("expects a left operand in registers with a mask");
  Type element = lhs.getElementType();
  bool packed = kl.isPacked(element), exact = dot.getPrecision() == tile::Precision::F32;
  int64_t depth = packed ? 16 : 8, numRowTiles = rowTiles(accType, kl.numThreads);
  FragmentIndex leftIndex(lhs), accIndex(accType);
  Scalars s(kl.builder, loc);

  // Left operands of (row tile m, depth tile k), in registers (row half, depth half) = (0,0),
  // (1,0), (0,1), (1,1); those of f32 hold columns 2t, 2t + 1 as depth halves (Products.cpp).
  const Fragment &weights = kl.fragments[dot.getLhs()], &mask = kl.fragments[dot.getMask()];
  struct Left {
    SmallVector<Value> high, low, mask;
  };
  auto leftOperand = [&](int64_t m, int64_t k) {
    Left left;
    for (int64_t r = 0; r < 4; ++r) {
      if (packed) {
        int64_t at = leftIndex(m, 2 * k + r / 2, r % 2, 0);
        Value pair = asMmaOperand(kl.builder, loc, weights[at / 2], element);
        uint32_t one = element.isF16() ? 0x3c00 : 0x3f80;
        Value even = s.select(s.isSet(mask[at]), s.i32(one), s.i32(0));
        Value odd = s.select(s.isSet(mask[at + 1]), s.i32(one << 16), s.i32(0));
        Value ones = arith::OrIOp::create(kl.builder, loc, even, odd);
        left.high.push_back(pair);
        left.mask.push_back(asMmaOperand(kl.builder, loc, ones, element));
        if (!dot.getZeroOutside()) {
          Value low = s.select(s.isSet(mask[at]), s.i32(0xffff), s.i32(0));
          Value high = s.select(s.isSet(mask[at + 1]), s.i32(0xffff0000), s.i32(0));
          Value seen = arith::OrIOp::create(kl.builder, loc, low, high);
          Value bits =
              LLVM::BitcastOp::create(kl.builder, loc, kl.builder.getI32Type(), weights[at / 2]);
          left.high.back() = asMmaOperand(kl.builder, loc, s.both(bits, seen), element);
        }
      } else {
        int64_t at = leftIndex(m, k, r % 2, r / 2);
        Value weight = weights[at];
        if (!dot.getZeroOutside())
          weight = s.select(s.isSet(mask[at]), weight, s.f32(0));
        SplitTF32 x = splitTF32(kl.builder, loc, weight, exact);
        left.high.push_back(x.high);
        left.low.push_back(x.low);
        left.mask.push_back(s.select(s.isSet(mask[at]), s.i32(0x3f800000), s.i32(0)));
      }
    }
    return left;
  };
  SmallVector<SmallVector<Left>> left(numRowTiles);
  for (int64_t m = 0; m < numRowTiles; ++m)
    for (int64_t k = 0; k < lhs.getCols() / depth; ++k)
      left[m].push_back(leftOperand(m, k));

  tile::ReadOp right = kl.sharedReads[dot.getRhs()];
  tile::BufferType buffer = right.getSlot().getType().getBuffer();
  Value slot = kl.fragments[right.getSlot()].front();
  MatrixSource source;
  Value rightOffset;
  int64_t pitch = buffer.getLayout().getPitch();
  if (packed) {
    source = matrixSource(kl, loc, slot, buffer, /*rowsFirst=*/true, /*transpose=*/true);
  } else {
    Value g = arith::ShRUIOp::create(kl.builder, loc, kl.laneId, kl.i32(loc, 2));
    Value t = arith::AndIOp::create(kl.builder, loc, kl.laneId, kl.i32(loc, 3));
    rightOffset =
        kl.add(loc, slot,
               kl.add(loc, kl.mul(loc, t, kl.i32(loc, 2 * pitch)), kl.mul(loc, g, kl.i32(loc, 4))));
  }
  auto loadF32 = [&](int64_t constant) -> Value {
    Value pointer = kl.offsetPointer(loc, kl.sharedBase, rightOffset);
    pointer = constant ? kl.offsetPointer(loc, pointer, kl.i32(loc, constant)) : pointer;
    return LLVM::LoadOp::create(kl.builder, loc, kl.builder.getF32Type(), pointer, 4);
  };
  /// The registers of column tiles n and n + 1 at depth tile k, in parts.
  auto rightOperands = [&](int64_t k, int64_t n) {
    SmallVector<Parts> parts;
    if (packed) {
      for (Value pair : loadMatrices(kl, loc, source, 16 * k, 8 * n))
        parts.push_back(s.partsOfPair(pair, element));
    } else {
      for (int64_t at : {n, n + 1})
        for (int64_t odd : {0, 1})
          parts.push_back(s.partsOfF32(loadF32((8 * k + odd) * pitch + 32 * at)));
    }
    return parts;
  };
  auto accumulate = [&](const Left &a, ArrayRef<Parts> b, Sums &sums) {
    auto operands = [&](Value Parts::*part) {
      SmallVector<Value> values;
      for (const Parts &x : b)
        values.push_back(packed ? asMmaOperand(kl.builder, loc, x.*part, element) : x.*part);
      return values;
    };
    auto bits = [&](ArrayRef<Value> values) { // of numbers that tf32 holds exactly
      SmallVector<Value> result;
      for (Value x : values)
        result.push_back(
            packed ? x
                   : Value(arith::BitcastOp::create(kl.builder, loc, kl.builder.getI32Type(), x)));
      return result;
    };
    SmallVector<Value> finite = operands(&Parts::finite);
    if (packed) {
      multiply(kl.builder, loc, element, a.high, finite, sums.sum);
    } else {
      SplitTF32 b0 = splitTF32(kl.builder, loc, finite[0], exact);
      SplitTF32 b1 = splitTF32(kl.builder, loc, finite[1], exact);
      if (exact) {
        multiply(kl.builder, loc, element, a.low, {b0.high, b1.high}, sums.sum);
        multiply(kl.builder, loc, element, a.high, {b0.low, b1.low}, sums.sum);
      }
      multiply(kl.builder, loc, element, a.high, {b0.high, b1.high}, sums.sum);
    }
    multiply(kl.builder, loc, element, a.mask, bits(operands(&Parts::magnitude)), sums.count);
    multiply(kl.builder, loc, element, a.mask, bits(operands(&Parts::sign)), sums.sign);
  };

  Fragment result = kl.fragments[dot.getAcc()];
  for (int64_t n = 0; n < accType.getCols() / 8; n += 2) { // columns are a multiple of 16
    SmallVector<Sums> sums(2 * numRowTiles);
    for (int64_t half = 0; half < 2; ++half)
      for (int64_t m = 0; m < numRowTiles; ++m)
        for (int64_t i = 0; i < 4; ++i) {
          Sums &own = sums[2 * m + half];
          own.sum.push_back(result[accIndex(m, n + half, i / 2, i % 2)]);
          own.count.push_back(s.f32(0));
          own.sign.push_back(s.f32(0));
        }
    for (int64_t k = 0; k < lhs.getCols() / depth; ++k) {
      SmallVector<Parts> b = rightOperands(k, n);
      for (int64_t half = 0; half < 2; ++half)
        for (int64_t m = 0; m < numRowTiles; ++m)
          accumulate(left[m][k], ArrayRef(b).slice(2 * half, 2), sums[2 * m + half]);
    }
    for (int64_t half = 0; half < 2; ++half)
      for (int64_t m = 0; m < numRowTiles; ++m)
        for (int64_t i = 0; i < 4; ++i) {
          const Sums &own = sums[2 * m + half];
          result[accIndex(m, n + half, i / 2, i % 2)] =
              s.combine(own.sum[i], own.count[i], own.sign[i]);
        }
    // Keeps ptxas from loading the operands of all column tiles first, for which the registers
    // would not last.
    NVVM::SyncWarpOp::create(kl.builder, loc, kl.i32(loc, -1));
  }
  kl.fragments[dot.getResult()] = result;
  return success();
}
