// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Matrix products by mma.sync; those of warpgroups are in WarpgroupProduct.cpp.
//
// 16-bit operands: m16n8k16. Left operands are fragments in registers; right operands are read from
// shared memory by ldmatrix as they are used, two column tiles and one depth tile (16x16) at a
// time.
//
// f32 times bf16: the same instructions, with the left operand as a sum of three bf16, which hold
// the 24 bits of an f32 between them: as exact as f32, at half the instructions of tf32. Two, the
// second of which is rounded, hold 16 bits and a half.
//
// f32 operands: m16n8k8 on tf32. A tf32 has 11 significant bits, so f32-grade results need each
// operand split into a high and a low part, x = hi + lo, and three products: lo*hi + hi*lo + hi*hi
// (the lo*lo term is below 2^-22 of the product); two where the left operand is bf16, which is all
// high. Operands are read from shared memory at each use:
// their fragments do not fit in registers. Depth is permuted: the instruction's depth indices (t, t
// + 4) stand for columns (2t, 2t + 1), so that a pair is one 8-byte read, and so that accumulator
// fragments, which hold columns (2t, 2t + 1), are left operands as they are.
#include "Products.h"
#include "Elements.h"
#include "SharedMatrices.h"

using namespace mlir;
using namespace attnc;
using tile::LinearLayout;
using tile::TileType;

bool attnc::isMmaFragment(TileType type, int64_t numThreads) {
  if (!type.getLayout())
    return false;
  LinearLayout wanted = LinearLayout::mmaFragment(type.getRows(), type.getCols(), numThreads / 32);
  return wanted.toAttr(type.getContext()) == type.getLayout();
}

Value attnc::asMmaOperand(OpBuilder &b, Location loc, Value pair, Type element) {
  Type type = element.isBF16() ? Type(b.getI32Type()) : Type(VectorType::get({2}, element));
  return pair.getType() == type ? pair : Value(LLVM::BitcastOp::create(b, loc, type, pair));
}

void attnc::multiply(OpBuilder &builder, Location loc, Type element, ArrayRef<Value> a,
                     ArrayRef<Value> b, MutableArrayRef<Value> c) {
  auto type = element.isBF16()  ? NVVM::MMATypes::bf16
              : element.isF16() ? NVVM::MMATypes::f16
                                : NVVM::MMATypes::tf32;
  int64_t depth = element.isF32() ? 8 : 16;
  auto resultType = LLVM::LLVMStructType::getLiteral(builder.getContext(),
                                                     SmallVector<Type>(4, builder.getF32Type()));
  Value d = NVVM::MmaOp::create(
      builder, loc, resultType, a, b, c, ArrayRef<int64_t>{16, 8, depth}, std::nullopt,
      std::nullopt, std::array<NVVM::MMATypes, 2>{type, type},
      std::array<NVVM::MMALayout, 2>{NVVM::MMALayout::row, NVVM::MMALayout::col});
  for (int64_t i = 0; i < 4; ++i)
    c[i] = LLVM::ExtractValueOp::create(builder, loc, d, i);
}

namespace {

/// Operands of mma, of one depth tile and one row tile: four registers of two elements each.
using LeftRegisters = SmallVector<Value, 4>;

/// The left operand of a product as a sum of matrices of 16-bit elements, the smallest first.
class LeftTerms {
public:
  LeftTerms(KernelLowering &kl, tile::DotOp dot)
      : kl(kl), loc(dot.getLoc()), type(dot.getLhs().getType()),
        element(dot.getRhs().getType().getElementType()) {
    tile::ReadOp read = kl.sharedReads.lookup(dot.getLhs());
    fragment = read ? readFragment16(kl, read) : kl.fragments[dot.getLhs()];
    if (type.getElementType().isF32())
      numTerms = dot.getPrecision() == tile::Precision::TwoBF16 ? 2 : 3;
  }

  SmallVector<LeftRegisters, 3> at(int64_t rowTile, int64_t depthTile);

private:
  Value asOperand(Value pair) { return asMmaOperand(kl.builder, loc, pair, element); }
  SmallVector<Value, 3> split(Value low, Value high);

  KernelLowering &kl;
  Location loc;
  TileType type;
  Type element;
  Fragment fragment;
  int64_t numTerms = 1;
};

} // namespace

/// Two f32 as pairs of bf16 whose sums they are: each takes the next 8 bits. None is rounded but
/// the last of two.
SmallVector<Value, 3> LeftTerms::split(Value low, Value high) {
  OpBuilder &b = kl.builder;
  Type i32 = b.getI32Type(), f32 = b.getF32Type();
  Value upper = kl.i32(loc, 0xffff0000), half = kl.i32(loc, 16);
  SmallVector<Value, 3> terms;
  for (int64_t term = 0; term < numTerms; ++term) {
    if (numTerms == 2 && term == 1) {
      terms.insert(terms.begin(), narrowedPair(b, loc, element, low, high));
      break;
    }
    SmallVector<Value> bits;
    for (Value *x : {&low, &high}) {
      bits.push_back(arith::BitcastOp::create(b, loc, i32, *x));
      Value head = arith::AndIOp::create(b, loc, bits.back(), upper);
      if (term + 1 < numTerms)
        *x = arith::SubFOp::create(b, loc, *x, arith::BitcastOp::create(b, loc, f32, head));
    }
    Value first = arith::ShRUIOp::create(b, loc, bits[0], half);
    Value second = arith::AndIOp::create(b, loc, bits[1], upper);
    terms.insert(terms.begin(), arith::OrIOp::create(b, loc, first, second));
  }
  return terms;
}

SmallVector<LeftRegisters, 3> LeftTerms::at(int64_t rowTile, int64_t depthTile) {
  FragmentIndex index(type);
  bool isSplit = type.getElementType().isF32();
  SmallVector<LeftRegisters, 3> terms(numTerms);
  for (int64_t r = 0; r < 4; ++r) {
    int64_t first = index(rowTile, 2 * depthTile + r / 2, r % 2, 0);
    if (!isSplit) {
      terms[0].push_back(asOperand(fragment[first / 2]));
      continue;
    }
    for (auto [term, pair] : llvm::zip(terms, split(fragment[first], fragment[first + 1])))
      term.push_back(asOperand(pair));
  }
  return terms;
}

static void dot16(KernelLowering &kl, tile::DotOp dot, Fragment &acc) {
  Location loc = dot.getLoc();
  TileType lhs = dot.getLhs().getType(), accType = dot.getAcc().getType();
  tile::ReadOp right = kl.sharedReads[dot.getRhs()];
  tile::BufferType buffer = right.getSlot().getType().getBuffer();
  Value slot = kl.fragments[right.getSlot()].front();
  LeftTerms left(kl, dot);
  FragmentIndex accIndex(accType);
  Type element = dot.getRhs().getType().getElementType();
  auto asOperand = [&](Value v) { return asMmaOperand(kl.builder, loc, v, element); };
  int64_t depthTiles = lhs.getCols() / 16, colTiles = accType.getCols() / 8;
  int64_t numRowTiles = rowTiles(accType, kl.numThreads);
  // B of m16n8k16: register r holds depth half r. Transposed operands lie as [column][depth].
  bool transposed = dot.getTransposeRhs();
  MatrixSource source =
      matrixSource(kl, loc, slot, buffer, /*rowsFirst=*/!transposed, /*transpose=*/!transposed);

  for (int64_t k = 0; k < depthTiles; ++k) {
    SmallVector<SmallVector<LeftRegisters, 3>> a;
    for (int64_t m = 0; m < numRowTiles; ++m)
      a.push_back(left.at(m, k));
    for (int64_t n = 0; n < colTiles; n += 2) {
      SmallVector<Value> b = transposed ? loadMatrices(kl, loc, source, 8 * n, 16 * k)
                                        : loadMatrices(kl, loc, source, 16 * k, 8 * n);
      for (int64_t half = 0; half < 2 && n + half < colTiles; ++half)
        for (int64_t m = 0; m < numRowTiles; ++m) {
          SmallVector<Value> c;
          for (int64_t i = 0; i < 4; ++i)
            c.push_back(acc[accIndex(m, n + half, i / 2, i % 2)]);
          for (const LeftRegisters &term : a[m])
            multiply(kl.builder, loc, element, term,
                     {asOperand(b[2 * half]), asOperand(b[2 * half + 1])}, c);
          for (int64_t i = 0; i < 4; ++i)
            acc[accIndex(m, n + half, i / 2, i % 2)] = c[i];
        }
    }
  }
}

static LogicalResult lowerDot(KernelLowering &kl, tile::DotOp dot) {
  TileType acc = dot.getAcc().getType();
  if (!isMmaFragment(acc, kl.numThreads) ||
      acc.getLayout() != dot.getResult().getType().getLayout())
    return dot.emitOpError("expects accumulators in mma fragments, found ") << acc;
  if (!kl.sharedReads.count(dot.getRhs()))
    return dot.emitOpError("expects a right operand in shared memory");
  if (!kl.sharedReads.count(dot.getLhs()) && !isMmaFragment(dot.getLhs().getType(), kl.numThreads))
    return dot.emitOpError("expects a left operand in mma fragments, found ")
           << dot.getLhs().getType();
  if (dot.getWarpgroup())
    return dot.emitOpError("of warpgroups has not been started: run tile-overlap-products");
  if (dot.getMask())
    return lowerMaskedDot(kl, dot);
  bool isMixed = dot.getLhs().getType().getElementType() != dot.getRhs().getType().getElementType();
  if (isMixed && kl.sharedReads.count(dot.getLhs()))
    return dot.emitOpError("expects a left operand in registers beside one of another type");
  Fragment result = kl.fragments[dot.getAcc()];
  if (kl.isPacked(dot.getRhs().getType().getElementType()))
    dot16(kl, dot, result);
  else
    dotF32(kl, dot, result);
  kl.fragments[dot.getResult()] = result;
  return success();
}

void attnc::registerProducts(NVVMOpTable &table) { table.add(lowerDot); }
