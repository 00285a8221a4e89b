// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attn.uniform as integer arithmetic: Philox4x32-10 (Salmon et al., SC 2011). A round multiplies
// two of the four words of the counter by constants and mixes the halves of the products with the
// others and a key:
//
//   (c0, c1, c2, c3) = (high(B c2) ^ c1 ^ k0, low(B c2), high(A c0) ^ c3 ^ k1, low(A c0))
//
// and the keys of the next round are 0x9E3779B9 and 0xBB67AE85 more. Products of words are made
// with 64 bits, for which both targets have an instruction, on the host one for several lanes. What
// depends on the seed alone is the same for all elements, and LLVM computes it once.
#include "ScalarOps.h"

using namespace mlir;
using namespace attnc;

namespace {

/// i32 and i64 arithmetic at one place.
struct Words {
  OpBuilder &builder;
  Location loc;

  Value word(uint32_t value) {
    return arith::ConstantOp::create(builder, loc,
                                     builder.getI32IntegerAttr(static_cast<int32_t>(value)));
  }
  Value wide(Value x) { return arith::ExtUIOp::create(builder, loc, builder.getI64Type(), x); }
  Value mix(Value x, Value y, Value z) {
    Value both = arith::XOrIOp::create(builder, loc, x, y);
    return arith::XOrIOp::create(builder, loc, both, z);
  }
  /// The upper and the lower word of a product.
  std::pair<Value, Value> multiply(Value x, uint32_t factor) {
    Value constant = arith::ConstantOp::create(builder, loc, builder.getI64IntegerAttr(factor));
    Value product = arith::MulIOp::create(builder, loc, wide(x), constant);
    Value half = arith::ConstantOp::create(builder, loc, builder.getI64IntegerAttr(32));
    Value upper = arith::ShRUIOp::create(builder, loc, product, half);
    return {arith::TruncIOp::create(builder, loc, builder.getI32Type(), upper),
            arith::TruncIOp::create(builder, loc, builder.getI32Type(), product)};
  }
};

} // namespace

FailureOr<Value> attnc::lowerUniform(Operation *op, const ScalarScope &scope) {
  auto uniform = cast<attn::UniformOp>(op);
  Words w{scope.context.builder, op->getLoc()};
  Value counter[4];
  for (unsigned i = 0; i < 4; ++i)
    counter[i] =
        i < uniform.getCounter().size() ? scope.values.lookup(uniform.getCounter()[i]) : w.word(0);
  Value key = scope.values.lookup(uniform.getSeed());
  uint32_t otherKey = 0;
  for (unsigned round = 0; round < 10; ++round) {
    auto [a, lowerA] = w.multiply(counter[0], 0xD2511F53u);
    auto [b, lowerB] = w.multiply(counter[2], 0xCD9E8D57u);
    counter[0] = w.mix(b, counter[1], key);
    counter[2] = w.mix(a, counter[3], w.word(otherKey));
    counter[1] = lowerB;
    counter[3] = lowerA;
    key = arith::AddIOp::create(w.builder, w.loc, key, w.word(0x9E3779B9u));
    otherKey += 0xBB67AE85u;
  }
  // 24 bits are an f32.
  Value bits = arith::ShRUIOp::create(w.builder, w.loc, counter[0], w.word(8));
  Value whole = arith::SIToFPOp::create(w.builder, w.loc, w.builder.getF32Type(), bits);
  return arith::MulFOp::create(w.builder, w.loc, whole, scope.context.f32(w.loc, 0x1p-24))
      .getResult();
}
