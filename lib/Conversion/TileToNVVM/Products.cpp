// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Matrix products by mma.sync.
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
#include "KernelLowering.h"

using namespace mlir;
using namespace attnc;
using tile::LinearLayout;
using tile::TileType;

/// True if the fragment order is that of LinearLayout::mmaFragment, which the instructions need.
static bool isMmaFragment(TileType type, int64_t numThreads) {
  if (!type.getLayout())
    return false;
  LinearLayout wanted = LinearLayout::mmaFragment(type.getRows(), type.getCols(), numThreads / 32);
  return wanted.toAttr(type.getContext()) == type.getLayout();
}

Value KernelLowering::laneMatrixOffset(Location loc, tile::SharedLayoutAttr layout, bool rowsFirst,
                                       int64_t turned) {
  Value &cached = laneMatrixOffsets[{layout, unsigned(2 * turned + rowsFirst)}];
  if (cached)
    return cached;
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointAfterValue(warpId);
  // Lane l gives the address of row l % 8 of matrix l / 8.
  Value inMatrix = arith::AndIOp::create(builder, loc, laneId, i32(loc, 7));
  Value low = arith::ShRUIOp::create(builder, loc, laneId, i32(loc, 3));
  low = arith::AndIOp::create(builder, loc, low, i32(loc, 1));
  Value high = arith::ShRUIOp::create(builder, loc, laneId, i32(loc, 4));
  Value rowHalf = rowsFirst ? low : high, chunk = rowsFirst ? high : low;
  Value row = add(loc, inMatrix, mul(loc, rowHalf, i32(loc, 8)));
  if (layout.getMask()) {
    // Blocks start at multiples of 16 rows, and the turn repeats every 8: it depends on the lane
    // alone.
    Value turn = arith::ShRUIOp::create(builder, loc, inMatrix, i32(loc, layout.getShift()));
    turn = arith::AndIOp::create(builder, loc, turn, i32(loc, layout.getMask()));
    chunk = arith::XOrIOp::create(builder, loc, chunk, turn);
    chunk = arith::XOrIOp::create(builder, loc, chunk, i32(loc, turned));
  }
  return cached =
             add(loc, mul(loc, row, i32(loc, layout.getPitch())), mul(loc, chunk, i32(loc, 16)));
}

MatrixSource KernelLowering::matrixSource(Location loc, Value slotBase, tile::BufferType buffer,
                                          bool rowsFirst, bool transpose) {
  MatrixSource source{buffer.getLayout(), transpose, {}};
  Value base = offsetPointer(loc, sharedBase, slotBase);
  int64_t chunks = buffer.getShape()[2] / 8;
  for (int64_t turned = 0; turned <= source.layout.getMask() && turned < chunks; turned += 2)
    source.pointers.push_back(
        offsetPointer(loc, base, laneMatrixOffset(loc, source.layout, rowsFirst, turned)));
  return source;
}

SmallVector<Value> KernelLowering::loadMatrices(Location loc, const MatrixSource &source,
                                                int64_t row0, int64_t col0) {
  int64_t chunk = col0 / 8, turned = chunk & source.layout.getMask();
  int64_t constant = row0 * source.layout.getPitch() + 16 * (chunk - turned);
  Value pointer = source.pointers[turned / 2];
  if (constant != 0)
    pointer = offsetPointer(loc, pointer, i32(loc, constant));
  SmallVector<Type> four(4, builder.getI32Type());
  auto type = LLVM::LLVMStructType::getLiteral(builder.getContext(), four);
  Value loaded = NVVM::LdMatrixOp::create(
      builder, loc, type, pointer, 4,
      source.transpose ? NVVM::MMALayout::col : NVVM::MMALayout::row,
      NVVM::LdStMatrixShapeAttr::get(builder.getContext(), 8, 8), NVVM::LdStMatrixEltType::B16);
  SmallVector<Value> registers;
  for (int64_t i = 0; i < 4; ++i)
    registers.push_back(LLVM::ExtractValueOp::create(builder, loc, loaded, i));
  return registers;
}

//===----------------------------------------------------------------------===//
// Reads
//===----------------------------------------------------------------------===//

LogicalResult KernelLowering::lowerRead(tile::ReadOp read) {
  TileType type = read.getResult().getType();
  bool rightOnly = llvm::all_of(read.getResult().getUses(), [](OpOperand &use) {
    return isa<tile::DotOp>(use.getOwner()) && use.getOperandNumber() == 1;
  });
  bool dotOnly = llvm::all_of(read.getResult().getUses(),
                              [](OpOperand &use) { return isa<tile::DotOp>(use.getOwner()); });
  // Left operands are worth keeping in registers while they are few.
  bool keepInShared =
      rightOnly || (dotOnly && (!isPacked(type.getElementType()) || type.getCols() > 128));
  if (keepInShared) {
    sharedReads[read.getResult()] = read;
    return success();
  }
  if (!isPacked(type.getElementType()) || !isMmaFragment(type, numThreads))
    return read.emitOpError("has no lowering to ") << type;
  fragments[read.getResult()] = readFragment16(read);
  return success();
}

SmallVector<Value> KernelLowering::readFragment16(tile::ReadOp read) {
  Location loc = read.getLoc();
  TileType type = read.getResult().getType();
  tile::BufferType buffer = read.getSlot().getType().getBuffer();
  Type pair = VectorType::get({2}, type.getElementType());
  int64_t warpRows = type.getRows() / (numThreads / 32);
  Value warpBase = mul(loc, warpId, i32(loc, warpRows * buffer.getLayout().getPitch()));
  Value base = add(loc, fragments[read.getSlot()].front(), warpBase);
  MatrixSource source = matrixSource(loc, base, buffer, /*rowsFirst=*/true, /*transpose=*/false);
  Fragment result(type.getRows() * type.getCols() / numThreads / 2);
  FragmentIndex index(type);
  for (int64_t m = 0; m < rowTiles(type, numThreads); ++m)
    for (int64_t k = 0; k < type.getCols() / 16; ++k) {
      SmallVector<Value> regs = loadMatrices(loc, source, 16 * m, 16 * k);
      // Registers of an A operand: (row half, depth half) = (0,0), (1,0), (0,1), (1,1).
      for (int64_t r = 0; r < 4; ++r)
        result[index(m, 2 * k + r / 2, r % 2, 0) / 2] =
            LLVM::BitcastOp::create(builder, loc, pair, regs[r]);
    }
  return result;
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

LogicalResult KernelLowering::lowerDot(tile::DotOp dot) {
  TileType acc = dot.getAcc().getType();
  if (!isMmaFragment(acc, numThreads) || acc.getLayout() != dot.getResult().getType().getLayout())
    return dot.emitOpError("expects accumulators in mma fragments, found ") << acc;
  if (!sharedReads.count(dot.getRhs()))
    return dot.emitOpError("expects a right operand in shared memory");
  if (!sharedReads.count(dot.getLhs()) && !isMmaFragment(dot.getLhs().getType(), numThreads))
    return dot.emitOpError("expects a left operand in mma fragments, found ")
           << dot.getLhs().getType();
  if (dot.getMask())
    return lowerMaskedDot(dot);
  Fragment result = fragments[dot.getAcc()];
  if (isPacked(dot.getLhs().getType().getElementType()))
    dot16(dot, result);
  else
    dotF32(dot, result);
  fragments[dot.getResult()] = result;
  return success();
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

void KernelLowering::dot16(tile::DotOp dot, Fragment &acc) {
  Location loc = dot.getLoc();
  TileType lhs = dot.getLhs().getType(), accType = dot.getAcc().getType();
  tile::ReadOp right = sharedReads[dot.getRhs()];
  tile::BufferType buffer = right.getSlot().getType().getBuffer();
  Value slot = fragments[right.getSlot()].front();
  Fragment left = sharedReads.count(dot.getLhs()) ? readFragment16(sharedReads[dot.getLhs()])
                                                  : fragments[dot.getLhs()];
  FragmentIndex leftIndex(lhs), accIndex(accType);
  Type element = lhs.getElementType();
  auto asOperand = [&](Value v) { return asMmaOperand(builder, loc, v, element); };
  int64_t depthTiles = lhs.getCols() / 16, colTiles = accType.getCols() / 8;
  int64_t numRowTiles = rowTiles(accType, numThreads);
  // B of m16n8k16: register r holds depth half r. Transposed operands lie as [column][depth].
  bool transposed = dot.getTransposeRhs();
  MatrixSource source =
      matrixSource(loc, slot, buffer, /*rowsFirst=*/!transposed, /*transpose=*/!transposed);

  for (int64_t k = 0; k < depthTiles; ++k) {
    SmallVector<SmallVector<Value>> a(numRowTiles);
    for (int64_t m = 0; m < numRowTiles; ++m)
      for (int64_t r = 0; r < 4; ++r)
        a[m].push_back(asOperand(left[leftIndex(m, 2 * k + r / 2, r % 2, 0) / 2]));
    for (int64_t n = 0; n < colTiles; n += 2) {
      SmallVector<Value> b = transposed ? loadMatrices(loc, source, 8 * n, 16 * k)
                                        : loadMatrices(loc, source, 16 * k, 8 * n);
      for (int64_t half = 0; half < 2 && n + half < colTiles; ++half)
        for (int64_t m = 0; m < numRowTiles; ++m) {
          SmallVector<Value> c;
          for (int64_t i = 0; i < 4; ++i)
            c.push_back(acc[accIndex(m, n + half, i / 2, i % 2)]);
          multiply(builder, loc, element, a[m],
                   {asOperand(b[2 * half]), asOperand(b[2 * half + 1])}, c);
          for (int64_t i = 0; i < 4; ++i)
            acc[accIndex(m, n + half, i / 2, i % 2)] = c[i];
        }
    }
  }
}

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

void KernelLowering::dotF32(tile::DotOp dot, Fragment &acc) {
  Location loc = dot.getLoc();
  TileType lhs = dot.getLhs().getType(), accType = dot.getAcc().getType();
  bool exact = dot.getPrecision() == tile::Precision::F32;
  tile::ReadOp right = sharedReads[dot.getRhs()];
  tile::BufferType buffer = right.getSlot().getType().getBuffer();
  Value slot = fragments[right.getSlot()].front();
  int64_t pitch = buffer.getLayout().getPitch();
  FragmentIndex accIndex(accType), leftIndex(lhs);
  Type f32 = builder.getF32Type();
  Type pair = VectorType::get({2}, f32);
  Value g = arith::ShRUIOp::create(builder, loc, laneId, i32(loc, 2));
  Value t = arith::AndIOp::create(builder, loc, laneId, i32(loc, 3));
  auto sharedAt = [&](Value laneOffset, int64_t constant) {
    Value pointer = offsetPointer(loc, sharedBase, laneOffset);
    return constant ? offsetPointer(loc, pointer, i32(loc, constant)) : pointer;
  };
  auto loadPair = [&](Value laneOffset, int64_t constant) -> std::pair<Value, Value> {
    Value v = LLVM::LoadOp::create(builder, loc, pair, sharedAt(laneOffset, constant), 8);
    return {LLVM::ExtractElementOp::create(builder, loc, v, i32(loc, 0)),
            LLVM::ExtractElementOp::create(builder, loc, v, i32(loc, 1))};
  };
  auto loadOne = [&](Value laneOffset, int64_t constant) -> Value {
    return LLVM::LoadOp::create(builder, loc, f32, sharedAt(laneOffset, constant), 4);
  };

  // Left operand of (row tile m, depth tile k): rows g, g + 8; columns 8k + 2t, 8k + 2t + 1.
  Value leftOffset;
  int64_t leftPitch = 0;
  if (sharedReads.count(dot.getLhs())) {
    tile::ReadOp left = sharedReads[dot.getLhs()];
    leftPitch = left.getSlot().getType().getBuffer().getLayout().getPitch();
    int64_t warpRows = lhs.getRows() / (numThreads / 32);
    leftOffset = add(loc, fragments[left.getSlot()].front(),
                     mul(loc, warpId, i32(loc, warpRows * leftPitch)));
    leftOffset =
        add(loc, leftOffset, add(loc, mul(loc, g, i32(loc, leftPitch)), mul(loc, t, i32(loc, 8))));
  }
  auto leftOperand = [&](int64_t m, int64_t k) {
    SmallVector<Value> values(4); // (row half, depth half) = (0,0), (1,0), (0,1), (1,1)
    for (int64_t h = 0; h < 2; ++h) {
      if (leftOffset) {
        auto [even, odd] = loadPair(leftOffset, (16 * m + 8 * h) * leftPitch + 32 * k);
        values[h] = even;
        values[2 + h] = odd;
      } else {
        values[h] = fragments[dot.getLhs()][leftIndex(m, k, h, 0)];
        values[2 + h] = fragments[dot.getLhs()][leftIndex(m, k, h, 1)];
      }
    }
    return values;
  };
  // Right operand of (depth tile k, column tile n): column 8n + g; depth 8k + 2t, 8k + 2t + 1.
  Value rightOffset =
      dot.getTransposeRhs()
          ? add(loc, slot, add(loc, mul(loc, g, i32(loc, pitch)), mul(loc, t, i32(loc, 8))))
          : add(loc, slot, add(loc, mul(loc, t, i32(loc, 2 * pitch)), mul(loc, g, i32(loc, 4))));
  auto rightOperand = [&](int64_t k, int64_t n) -> std::pair<Value, Value> {
    if (dot.getTransposeRhs())
      return loadPair(rightOffset, 8 * n * pitch + 32 * k);
    return {loadOne(rightOffset, 8 * k * pitch + 32 * n),
            loadOne(rightOffset, (8 * k + 1) * pitch + 32 * n)};
  };
  // The terms of one product are added up before they meet the accumulator: in a chain of their
  // own, so that the error does not grow with the number of products. A start at 0 is no operation.
  Fragment start = acc;
  Value zero = arith::ConstantOp::create(builder, loc, builder.getF32FloatAttr(0.0f));
  auto fill = dot.getAcc().getDefiningOp<tile::FillOp>();
  bool fromZero = fill && matchPattern(fill.getValue(), m_AnyZeroFloat());
  if (!fromZero)
    acc.assign(acc.size(), zero);
  int64_t numRowTiles = rowTiles(accType, numThreads);
  for (int64_t k = 0; k < lhs.getCols() / 8; ++k) {
    SmallVector<SmallVector<Value>> aHigh(numRowTiles), aLow(numRowTiles);
    for (int64_t m = 0; m < numRowTiles; ++m)
      for (Value x : leftOperand(m, k)) {
        SplitTF32 s = splitTF32(builder, loc, x, exact);
        aHigh[m].push_back(s.high);
        aLow[m].push_back(s.low);
      }
    for (int64_t n = 0; n < accType.getCols() / 8; ++n) {
      auto [even, odd] = rightOperand(k, n);
      SplitTF32 b0 = splitTF32(builder, loc, even, exact), b1 = splitTF32(builder, loc, odd, exact);
      for (int64_t m = 0; m < numRowTiles; ++m) {
        SmallVector<Value> c;
        for (int64_t i = 0; i < 4; ++i)
          c.push_back(acc[accIndex(m, n, i / 2, i % 2)]);
        if (exact) { // small terms first
          multiply(builder, loc, f32, aLow[m], {b0.high, b1.high}, c);
          multiply(builder, loc, f32, aHigh[m], {b0.low, b1.low}, c);
        }
        multiply(builder, loc, f32, aHigh[m], {b0.high, b1.high}, c);
        for (int64_t i = 0; i < 4; ++i)
          acc[accIndex(m, n, i / 2, i % 2)] = c[i];
      }
    }
  }
  if (!fromZero)
    for (auto [sum, before] : llvm::zip(acc, start))
      sum = arith::AddFOp::create(builder, loc, before, sum);
}
