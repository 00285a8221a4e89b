// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Products that leave terms out: `tile.dot ... where %mask`. A matrix instruction adds all terms,
// and 0 * NaN is NaN. So the right operand B is taken apart, and with the mask v (1 or 0) as a left
// operand of its own three products are made, of which only the first has rounding:
//
// - sum += a' * finite(B): a' is a where v is 1, else 0, which it may be known to be; inf and NaN
//   of B read as 0;
// - count = v * magnitude(B): 1 for inf, more than 1 (and at most 2) for NaN, 0 for what is finite;
// - sign = v * sign(B): 1 or -1 for inf and NaN, 0 for what is finite.
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

/// The registers of a left operand, and of the mask as one.
struct Left {
  SmallVector<Value> high, low, mask;
};

class MaskedProduct {
public:
  MaskedProduct(KernelLowering &kl, tile::DotOp dot)
      : kl(kl), b(kl.builder), dot(dot), loc(dot.getLoc()), lhs(dot.getLhs().getType()),
        accType(dot.getAcc().getType()), element(lhs.getElementType()),
        packed(kl.isPacked(element)), exact(dot.getPrecision() == tile::Precision::F32),
        numRowTiles(rowTiles(accType, kl.numThreads)), s(b, loc) {}

  Fragment lower() {
    int64_t depthTiles = lhs.getCols() / (packed ? 16 : 8);
    SmallVector<SmallVector<Left>> left(numRowTiles);
    for (int64_t m = 0; m < numRowTiles; ++m)
      for (int64_t k = 0; k < depthTiles; ++k)
        left[m].push_back(leftOperand(m, k));
    findRightOperands();
    Fragment result = kl.fragments[dot.getAcc()];
    for (int64_t n = 0; n < accType.getCols() / 8; n += 2) { // columns are a multiple of 16
      SmallVector<Sums> sums = start(result, n);
      for (int64_t k = 0; k < depthTiles; ++k) {
        SmallVector<Parts> right = rightOperands(k, n);
        for (int64_t half = 0; half < 2; ++half)
          for (int64_t m = 0; m < numRowTiles; ++m)
            accumulate(left[m][k], ArrayRef(right).slice(2 * half, 2), sums[2 * m + half]);
      }
      finish(sums, n, result);
      // Keeps ptxas from loading the operands of all column tiles first, for which the registers
      // would not last.
      NVVM::SyncWarpOp::create(b, loc, kl.i32(loc, -1));
    }
    return result;
  }

private:
  /// Of (row tile m, depth tile k), in registers (row half, depth half) = (0,0), (1,0), (0,1),
  /// (1,1); those of f32 hold columns 2t, 2t + 1 as depth halves (Products.cpp).
  Left leftOperand(int64_t m, int64_t k) {
    FragmentIndex index(lhs);
    Left left;
    for (int64_t r = 0; r < 4; ++r)
      if (packed)
        addPair(index(m, 2 * k + r / 2, r % 2, 0), left);
      else
        addF32(index(m, k, r % 2, r / 2), left);
    return left;
  }

  /// Weights `at` and `at` + 1, which are in one register.
  void addPair(int64_t at, Left &left) {
    const Fragment &weights = kl.fragments[dot.getLhs()], &mask = kl.fragments[dot.getMask()];
    Value pair = asMmaOperand(b, loc, weights[at / 2], element);
    uint32_t one = element.isF16() ? 0x3c00 : 0x3f80;
    Value even = s.select(s.isSet(mask[at]), s.i32(one), s.i32(0));
    Value odd = s.select(s.isSet(mask[at + 1]), s.i32(one << 16), s.i32(0));
    Value ones = arith::OrIOp::create(b, loc, even, odd);
    left.high.push_back(pair);
    left.mask.push_back(asMmaOperand(b, loc, ones, element));
    if (dot.getZeroOutside())
      return;
    Value low = s.select(s.isSet(mask[at]), s.i32(0xffff), s.i32(0));
    Value high = s.select(s.isSet(mask[at + 1]), s.i32(0xffff0000), s.i32(0));
    Value seen = arith::OrIOp::create(b, loc, low, high);
    Value bits = LLVM::BitcastOp::create(b, loc, b.getI32Type(), weights[at / 2]);
    left.high.back() = asMmaOperand(b, loc, s.both(bits, seen), element);
  }

  void addF32(int64_t at, Left &left) {
    const Fragment &mask = kl.fragments[dot.getMask()];
    Value weight = kl.fragments[dot.getLhs()][at];
    if (!dot.getZeroOutside())
      weight = s.select(s.isSet(mask[at]), weight, s.f32(0));
    SplitTF32 x = splitTF32(b, loc, weight, exact);
    left.high.push_back(x.high);
    left.low.push_back(x.low);
    left.mask.push_back(s.select(s.isSet(mask[at]), s.i32(0x3f800000), s.i32(0)));
  }

  /// Where this thread finds what is on the right.
  void findRightOperands() {
    tile::ReadOp right = kl.sharedReads[dot.getRhs()];
    tile::BufferType buffer = right.getSlot().getType().getBuffer();
    Value slot = kl.fragments[right.getSlot()].front();
    pitch = buffer.getLayout().getPitch();
    if (packed) {
      source = matrixSource(kl, loc, slot, buffer, /*rowsFirst=*/true, /*transpose=*/true);
      return;
    }
    Value g = arith::ShRUIOp::create(b, loc, kl.laneId, kl.i32(loc, 2));
    Value t = arith::AndIOp::create(b, loc, kl.laneId, kl.i32(loc, 3));
    rightOffset =
        kl.add(loc, slot,
               kl.add(loc, kl.mul(loc, t, kl.i32(loc, 2 * pitch)), kl.mul(loc, g, kl.i32(loc, 4))));
  }

  Value loadF32(int64_t constant) {
    Value pointer = kl.offsetPointer(loc, kl.sharedBase, rightOffset);
    pointer = constant ? kl.offsetPointer(loc, pointer, kl.i32(loc, constant)) : pointer;
    return LLVM::LoadOp::create(b, loc, b.getF32Type(), pointer, 4);
  }

  /// The registers of column tiles n and n + 1 at depth tile k, in parts.
  SmallVector<Parts> rightOperands(int64_t k, int64_t n) {
    SmallVector<Parts> parts;
    if (packed) {
      for (Value pair : loadMatrices(kl, loc, source, 16 * k, 8 * n))
        parts.push_back(s.partsOfPair(pair, element));
      return parts;
    }
    for (int64_t at : {n, n + 1})
      for (int64_t odd : {0, 1})
        parts.push_back(s.partsOfF32(loadF32((8 * k + odd) * pitch + 32 * at)));
    return parts;
  }

  SmallVector<Value> operands(ArrayRef<Parts> of, Value Parts::*part) {
    SmallVector<Value> values;
    for (const Parts &x : of)
      values.push_back(packed ? asMmaOperand(b, loc, x.*part, element) : x.*part);
    return values;
  }

  /// The same of parts that tf32 holds exactly.
  SmallVector<Value> exactOperands(ArrayRef<Parts> of, Value Parts::*part) {
    SmallVector<Value> values = operands(of, part);
    if (!packed)
      for (Value &x : values)
        x = arith::BitcastOp::create(b, loc, b.getI32Type(), x);
    return values;
  }

  void accumulate(const Left &a, ArrayRef<Parts> right, Sums &sums) {
    SmallVector<Value> finite = operands(right, &Parts::finite);
    if (packed) {
      multiply(b, loc, element, a.high, finite, sums.sum);
    } else {
      SplitTF32 b0 = splitTF32(b, loc, finite[0], exact);
      SplitTF32 b1 = splitTF32(b, loc, finite[1], exact);
      if (exact) {
        multiply(b, loc, element, a.low, {b0.high, b1.high}, sums.sum);
        multiply(b, loc, element, a.high, {b0.low, b1.low}, sums.sum);
      }
      multiply(b, loc, element, a.high, {b0.high, b1.high}, sums.sum);
    }
    multiply(b, loc, element, a.mask, exactOperands(right, &Parts::magnitude), sums.count);
    multiply(b, loc, element, a.mask, exactOperands(right, &Parts::sign), sums.sign);
  }

  /// The sums of column tiles n and n + 1, of which (row tile m, tile n + half) is at 2 m + half.
  SmallVector<Sums> start(const Fragment &acc, int64_t n) {
    FragmentIndex index(accType);
    SmallVector<Sums> sums(2 * numRowTiles);
    for (int64_t half = 0; half < 2; ++half)
      for (int64_t m = 0; m < numRowTiles; ++m)
        for (int64_t i = 0; i < 4; ++i) {
          Sums &own = sums[2 * m + half];
          own.sum.push_back(acc[index(m, n + half, i / 2, i % 2)]);
          own.count.push_back(s.f32(0));
          own.sign.push_back(s.f32(0));
        }
    return sums;
  }

  void finish(ArrayRef<Sums> sums, int64_t n, Fragment &result) {
    FragmentIndex index(accType);
    for (int64_t half = 0; half < 2; ++half)
      for (int64_t m = 0; m < numRowTiles; ++m)
        for (int64_t i = 0; i < 4; ++i) {
          const Sums &own = sums[2 * m + half];
          result[index(m, n + half, i / 2, i % 2)] =
              s.combine(own.sum[i], own.count[i], own.sign[i]);
        }
  }

  KernelLowering &kl;
  OpBuilder &b;
  tile::DotOp dot;
  Location loc;
  TileType lhs, accType;
  Type element;
  bool packed, exact; ///< f16 or bf16, two in a register; f32 to the last bit
  int64_t numRowTiles;
  Scalars s;
  MatrixSource source; ///< of what is on the right, if it is packed
  Value rightOffset;   ///< of this thread, if it is not
  int64_t pitch = 0;
};

} // namespace

LogicalResult attnc::lowerMaskedDot(KernelLowering &kl, tile::DotOp dot) {
  if (kl.sharedReads.count(dot.getLhs()))
    return dot.emitOpError("expects a left operand in registers with a mask");
  Fragment result = MaskedProduct(kl, dot).lower();
  kl.fragments[dot.getResult()] = std::move(result);
  return success();
}
