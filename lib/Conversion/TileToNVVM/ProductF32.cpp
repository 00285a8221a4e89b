// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Products of f32 operands by tf32 matrix instructions; Products.cpp explains.
#include "Elements.h"
#include "Products.h"

using namespace mlir;
using namespace attnc;
using tile::TileType;

SplitTF32 attnc::splitTF32(OpBuilder &b, Location loc, Value x, bool exact) {
  Value bits = arith::BitcastOp::create(b, loc, b.getI32Type(), x);
  if (!exact) {
    // Round to nearest: the instruction itself would truncate.
    Value half = arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(0x1000));
    return {arith::AddIOp::create(b, loc, bits, half), {}};
  }
  Value mask = arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(0xffffe000));
  Value high = arith::AndIOp::create(b, loc, bits, mask);
  Value rest =
      arith::SubFOp::create(b, loc, x, arith::BitcastOp::create(b, loc, b.getF32Type(), high));
  return {high, arith::BitcastOp::create(b, loc, b.getI32Type(), rest)};
}

namespace {
class ProductF32 {
public:
  ProductF32(KernelLowering &kl, tile::DotOp dot)
      : kl(kl), b(kl.builder), dot(dot), loc(dot.getLoc()), lhs(dot.getLhs().getType()),
        accType(dot.getAcc().getType()), exact(dot.getPrecision() != tile::Precision::TF32),
        isLeftNarrow(!lhs.getElementType().isF32()), numRowTiles(rowTiles(accType, kl.numThreads)) {
  }

  void lower(Fragment &acc) {
    findOperands();
    if (!leftOffset)
      left = unpack(kl, loc, lhs, kl.fragments[dot.getLhs()]);
    // The terms of one product are added up before they meet the accumulator: in a chain of their
    // own, so that the error does not grow with the number of products. A start at 0 is no
    // operation.
    Fragment start = acc;
    Value zero = arith::ConstantOp::create(b, loc, b.getF32FloatAttr(0.0f));
    auto fill = dot.getAcc().getDefiningOp<tile::FillOp>();
    bool fromZero = fill && matchPattern(fill.getValue(), m_AnyZeroFloat());
    if (!fromZero)
      acc.assign(acc.size(), zero);
    for (int64_t k = 0; k < lhs.getCols() / 8; ++k)
      addDepthTile(k, acc);
    if (!fromZero)
      for (auto [sum, before] : llvm::zip(acc, start))
        sum = arith::AddFOp::create(b, loc, before, sum);
  }

private:
  /// Where this thread finds its elements: of the left operand if that is in shared memory, and of
  /// the right one.
  void findOperands() {
    tile::ReadOp right = kl.sharedReads[dot.getRhs()];
    Value slot = kl.fragments[right.getSlot()].front();
    pitch = right.getSlot().getType().getBuffer().getLayout().getPitch();
    Value g = arith::ShRUIOp::create(b, loc, kl.laneId, kl.i32(loc, 2));
    Value t = arith::AndIOp::create(b, loc, kl.laneId, kl.i32(loc, 3));
    if (kl.sharedReads.count(dot.getLhs())) {
      tile::ReadOp left = kl.sharedReads[dot.getLhs()];
      leftPitch = left.getSlot().getType().getBuffer().getLayout().getPitch();
      int64_t warpRows = lhs.getRows() / (kl.numThreads / 32);
      leftOffset = kl.add(loc, kl.fragments[left.getSlot()].front(),
                          kl.mul(loc, kl.warpId, kl.i32(loc, warpRows * leftPitch)));
      leftOffset = kl.add(
          loc, leftOffset,
          kl.add(loc, kl.mul(loc, g, kl.i32(loc, leftPitch)), kl.mul(loc, t, kl.i32(loc, 8))));
    }
    rightOffset = dot.getTransposeRhs() ? kl.add(loc, slot,
                                                 kl.add(loc, kl.mul(loc, g, kl.i32(loc, pitch)),
                                                        kl.mul(loc, t, kl.i32(loc, 8))))
                                        : kl.add(loc, slot,
                                                 kl.add(loc, kl.mul(loc, t, kl.i32(loc, 2 * pitch)),
                                                        kl.mul(loc, g, kl.i32(loc, 4))));
  }

  Value sharedAt(Value laneOffset, int64_t constant) {
    Value pointer = kl.offsetPointer(loc, kl.sharedBase, laneOffset);
    return constant ? kl.offsetPointer(loc, pointer, kl.i32(loc, constant)) : pointer;
  }

  std::pair<Value, Value> loadPair(Value laneOffset, int64_t constant) {
    Type pair = VectorType::get({2}, b.getF32Type());
    Value v = LLVM::LoadOp::create(b, loc, pair, sharedAt(laneOffset, constant), 8);
    return {LLVM::ExtractElementOp::create(b, loc, v, kl.i32(loc, 0)),
            LLVM::ExtractElementOp::create(b, loc, v, kl.i32(loc, 1))};
  }

  Value loadOne(Value laneOffset, int64_t constant) {
    return LLVM::LoadOp::create(b, loc, b.getF32Type(), sharedAt(laneOffset, constant), 4);
  }

  /// Of (row tile m, depth tile k): rows g, g + 8; columns 8k + 2t, 8k + 2t + 1.
  SmallVector<Value> leftOperand(int64_t m, int64_t k) {
    FragmentIndex index(lhs);
    SmallVector<Value> values(4); // (row half, depth half) = (0,0), (1,0), (0,1), (1,1)
    for (int64_t h = 0; h < 2; ++h) {
      if (leftOffset) {
        auto [even, odd] = loadPair(leftOffset, (16 * m + 8 * h) * leftPitch + 32 * k);
        values[h] = even;
        values[2 + h] = odd;
      } else {
        values[h] = left[index(m, k, h, 0)];
        values[2 + h] = left[index(m, k, h, 1)];
      }
    }
    return values;
  }

  /// Of (depth tile k, column tile n): column 8n + g; depth 8k + 2t, 8k + 2t + 1.
  std::pair<Value, Value> rightOperand(int64_t k, int64_t n) {
    if (dot.getTransposeRhs())
      return loadPair(rightOffset, 8 * n * pitch + 32 * k);
    return {loadOne(rightOffset, 8 * k * pitch + 32 * n),
            loadOne(rightOffset, (8 * k + 1) * pitch + 32 * n)};
  }

  void addDepthTile(int64_t k, Fragment &acc) {
    FragmentIndex index(accType);
    Type f32 = b.getF32Type();
    SmallVector<SmallVector<Value>> aHigh(numRowTiles), aLow(numRowTiles);
    for (int64_t m = 0; m < numRowTiles; ++m)
      for (Value x : leftOperand(m, k)) {
        if (isLeftNarrow) {
          aHigh[m].push_back(arith::BitcastOp::create(b, loc, b.getI32Type(),
                                                      extended(b, loc, lhs.getElementType(), x)));
          continue;
        }
        SplitTF32 s = splitTF32(b, loc, x, exact);
        aHigh[m].push_back(s.high);
        aLow[m].push_back(s.low);
      }
    for (int64_t n = 0; n < accType.getCols() / 8; ++n) {
      auto [even, odd] = rightOperand(k, n);
      SplitTF32 b0 = splitTF32(b, loc, even, exact), b1 = splitTF32(b, loc, odd, exact);
      for (int64_t m = 0; m < numRowTiles; ++m) {
        SmallVector<Value> c;
        for (int64_t i = 0; i < 4; ++i)
          c.push_back(acc[index(m, n, i / 2, i % 2)]);
        if (exact) { // small terms first
          if (!isLeftNarrow)
            multiply(b, loc, f32, aLow[m], {b0.high, b1.high}, c);
          multiply(b, loc, f32, aHigh[m], {b0.low, b1.low}, c);
        }
        multiply(b, loc, f32, aHigh[m], {b0.high, b1.high}, c);
        for (int64_t i = 0; i < 4; ++i)
          acc[index(m, n, i / 2, i % 2)] = c[i];
      }
    }
  }

  KernelLowering &kl;
  OpBuilder &b;
  tile::DotOp dot;
  Location loc;
  TileType lhs, accType;
  bool exact;        ///< f32 to the last bit, else to that of tf32
  bool isLeftNarrow; ///< bf16, whose bits are those of a tf32
  int64_t numRowTiles, pitch = 0, leftPitch = 0;
  Value leftOffset, rightOffset; ///< of this thread; of the left operand if that is in memory
  SmallVector<Value> left;       ///< its elements, if it is in registers
};
} // namespace

void attnc::dotF32(KernelLowering &kl, tile::DotOp dot, Fragment &acc) {
  ProductF32(kl, dot).lower(acc);
}
