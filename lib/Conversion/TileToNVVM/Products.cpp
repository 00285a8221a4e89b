// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Matrix products by mma.sync; those of warpgroups are in WarpgroupProduct.cpp.
//
// 16-bit operands: m16n8k16. Left operands are fragments in registers; right operands are read from
// shared memory by ldmatrix as they are used, two column tiles and one depth tile (16x16) at a
// time.
//
// f32 operands: m16n8k8 on tf32. A tf32 has 11 significant bits, so f32-grade results need each
// operand split into a high and a low part, x = hi + lo, and three products: lo*hi + hi*lo + hi*hi
// (the lo*lo term is below 2^-22 of the product). Operands are read from shared memory at each use:
// their fragments do not fit in registers. Depth is permuted: the instruction's depth indices (t, t
// + 4) stand for columns (2t, 2t + 1), so that a pair is one 8-byte read, and so that accumulator
// fragments, which hold columns (2t, 2t + 1), are left operands as they are.
#include "Products.h"
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

static void dot16(KernelLowering &kl, tile::DotOp dot, Fragment &acc) {
  Location loc = dot.getLoc();
  TileType lhs = dot.getLhs().getType(), accType = dot.getAcc().getType();
  tile::ReadOp right = kl.sharedReads[dot.getRhs()];
  tile::BufferType buffer = right.getSlot().getType().getBuffer();
  Value slot = kl.fragments[right.getSlot()].front();
  Fragment left = kl.sharedReads.count(dot.getLhs())
                      ? readFragment16(kl, kl.sharedReads[dot.getLhs()])
                      : kl.fragments[dot.getLhs()];
  FragmentIndex leftIndex(lhs), accIndex(accType);
  Type element = lhs.getElementType();
  auto asOperand = [&](Value v) { return asMmaOperand(kl.builder, loc, v, element); };
  int64_t depthTiles = lhs.getCols() / 16, colTiles = accType.getCols() / 8;
  int64_t numRowTiles = rowTiles(accType, kl.numThreads);
  // B of m16n8k16: register r holds depth half r. Transposed operands lie as [column][depth].
  bool transposed = dot.getTransposeRhs();
  MatrixSource source =
      matrixSource(kl, loc, slot, buffer, /*rowsFirst=*/!transposed, /*transpose=*/!transposed);

  for (int64_t k = 0; k < depthTiles; ++k) {
    SmallVector<SmallVector<Value>> a(numRowTiles);
    for (int64_t m = 0; m < numRowTiles; ++m)
      for (int64_t r = 0; r < 4; ++r)
        a[m].push_back(asOperand(left[leftIndex(m, 2 * k + r / 2, r % 2, 0) / 2]));
    for (int64_t n = 0; n < colTiles; n += 2) {
      SmallVector<Value> b = transposed ? loadMatrices(kl, loc, source, 8 * n, 16 * k)
                                        : loadMatrices(kl, loc, source, 16 * k, 8 * n);
      for (int64_t half = 0; half < 2 && n + half < colTiles; ++half)
        for (int64_t m = 0; m < numRowTiles; ++m) {
          SmallVector<Value> c;
          for (int64_t i = 0; i < 4; ++i)
            c.push_back(acc[accIndex(m, n + half, i / 2, i % 2)]);
          multiply(kl.builder, loc, element, a[m],
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
  Fragment result = kl.fragments[dot.getAcc()];
  if (kl.isPacked(dot.getLhs().getType().getElementType()))
    dot16(kl, dot, result);
  else
    dotF32(kl, dot, result);
  kl.fragments[dot.getResult()] = result;
  return success();
}

void attnc::registerProducts(NVVMOpTable &table) { table.add(lowerDot); }
