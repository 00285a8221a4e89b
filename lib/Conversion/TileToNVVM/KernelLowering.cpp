// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Structure of a kernel in NVVM: the function and its arguments, element-wise maps, row reductions.
// KernelLowering.h says how tiles are represented.
#include "KernelLowering.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace attnc;
using tile::Coord;
using tile::LinearLayout;
using tile::TileType;

KernelLowering::KernelLowering(tile::KernelOp kernel, OpBuilder &builder)
    : kernel(kernel), builder(builder), numThreads(32 * kernel.getNumWarps()) {}

//===----------------------------------------------------------------------===//
// Scalars
//===----------------------------------------------------------------------===//

Value KernelLowering::integer(Location loc, int64_t value, unsigned width) {
  Value &cached = constants[{value, width}];
  if (!cached) {
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToStart(&function.getBody().front());
    cached = arith::ConstantOp::create(
        builder, loc, builder.getIntegerAttr(builder.getIntegerType(width), value));
  }
  return cached;
}
Value KernelLowering::i32(Location loc, int64_t value) { return integer(loc, value, 32); }
Value KernelLowering::i64(Location loc, int64_t value) { return integer(loc, value, 64); }
Value KernelLowering::add(Location loc, Value a, Value b) {
  return arith::AddIOp::create(builder, loc, a, b);
}
Value KernelLowering::mul(Location loc, Value a, Value b) {
  return arith::MulIOp::create(builder, loc, a, b);
}
Value KernelLowering::widen(Location loc, Value value) {
  return arith::ExtSIOp::create(builder, loc, builder.getI64Type(), value);
}
Value KernelLowering::offsetPointer(Location loc, Value pointer, Value bytes) {
  return LLVM::GEPOp::create(builder, loc, pointer.getType(), builder.getI8Type(), pointer, bytes);
}

/// sum over the bits of `id` of bit * basis, with runs of bits whose bases double taken together:
/// for bases (1, 2, 4) at bits 2..4 this is (id >> 2) & 7.
static Value combineBits(OpBuilder &b, Location loc, Value id, ArrayRef<Coord> bases, bool row) {
  auto part = [&](size_t i) { return row ? bases[i].row : bases[i].col; };
  auto constant = [&](int64_t v) -> Value {
    return arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(v));
  };
  Value sum;
  for (size_t i = 0; i < bases.size();) {
    if (part(i) == 0) {
      ++i;
      continue;
    }
    size_t end = i + 1;
    while (end < bases.size() && part(end) == 2 * part(end - 1))
      ++end;
    Value bits = i == 0 ? id : Value(arith::ShRUIOp::create(b, loc, id, constant(i)));
    if (end < bases.size())
      bits = arith::AndIOp::create(b, loc, bits, constant((1 << (end - i)) - 1));
    Value term =
        part(i) == 1 ? bits : Value(arith::MulIOp::create(b, loc, bits, constant(part(i))));
    sum = sum ? Value(arith::AddIOp::create(b, loc, sum, term)) : term;
    i = end;
  }
  return sum ? sum : constant(0);
}

Value KernelLowering::laneCoordinate(Location loc, TileType type, bool row) {
  Value &cached = laneCoordinates[{type.getLayout(), unsigned(row)}];
  if (cached)
    return cached;
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointAfterValue(warpId);
  LinearLayout layout(type.getLayout());
  Value lane = combineBits(builder, loc, laneId, layout.laneBases(), row);
  Value warp = combineBits(builder, loc, warpId, layout.warpBases(), row);
  return cached = add(loc, lane, warp);
}

SmallVector<int64_t> KernelLowering::liveRegisters(TileType type) {
  return LinearLayout(type.getLayout()).liveRegisters(type.getRows(), type.getCols());
}

SmallVector<Type> KernelLowering::flatten(Type type) {
  if (isa<tile::TokenType, tile::SlotType>(type))
    return {builder.getI32Type()};
  auto tileType = dyn_cast<TileType>(type);
  if (!tileType)
    return {type};
  size_t count = liveRegisters(tileType).size();
  Type element = tileType.getElementType();
  if (isPacked(element) && tileType.getRank() == 2)
    return SmallVector<Type>(count / 2, VectorType::get({2}, element));
  return SmallVector<Type>(count, element);
}

//===----------------------------------------------------------------------===//
// Function
//===----------------------------------------------------------------------===//

LogicalResult KernelLowering::createFunction() {
  Location loc = kernel.getLoc();
  MLIRContext *context = builder.getContext();
  auto global = LLVM::LLVMPointerType::get(context, 1);
  SmallVector<Type> types;
  for (Type type : kernel.getArgumentTypes()) {
    if (auto view = dyn_cast<tile::ViewType>(type)) {
      types.push_back(global);
      types.append(view.getRank(), builder.getI64Type());
    } else {
      types.push_back(type);
    }
  }
  types.append(2, builder.getI32Type()); // the first points of grid dimensions 1 and 2
  auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(context), types);
  function = LLVM::LLVMFuncOp::create(builder, loc, kernel.getSymName(), type);
  function->setAttr(NVVM::NVVMDialect::getKernelFuncAttrName(), builder.getUnitAttr());
  function->setAttr(NVVM::NVVMDialect::getReqntidAttrName(),
                    builder.getDenseI32ArrayAttr({static_cast<int32_t>(numThreads), 1, 1}));
  // Without this ptxas spills a few registers to fit one more block on a multiprocessor.
  function->setAttr(NVVM::NVVMDialect::getMinctasmAttrName(), builder.getI32IntegerAttr(1));
  // Subnormal results flush to zero: ex2.approx without .ftz costs two more multiplications, and a
  // probability below 2^-126 does not show in a sum of at most 2^31 terms that contains a 1.
  function->setAttr("denormal_fp_math_f32", builder.getStringAttr("preserve-sign"));
  Block *entry = function.addEntryBlock(builder);
  builder.setInsertionPointToStart(entry);

  unsigned next = 0;
  for (BlockArgument arg : kernel.getBody().getArguments()) {
    if (auto view = dyn_cast<tile::ViewType>(arg.getType())) {
      function.setArgAttr(next, LLVM::LLVMDialect::getNoAliasAttrName(), builder.getUnitAttr());
      ViewArgs args{entry->getArgument(next++), {}};
      for (int64_t i = 0; i < view.getRank(); ++i)
        args.strides.push_back(entry->getArgument(next++));
      views[arg] = args;
    } else {
      scalars.map(arg, entry->getArgument(next++));
    }
  }
  gridStarts = {entry->getArgument(next), entry->getArgument(next + 1)};

  std::string name = (kernel.getSymName() + "_shared").str();
  auto shared = LLVM::LLVMPointerType::get(context, 3);
  {
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPoint(function);
    LLVM::GlobalOp::create(builder, loc, LLVM::LLVMArrayType::get(builder.getI8Type(), 0),
                           /*isConstant=*/false, LLVM::Linkage::External, name, Attribute(),
                           /*alignment=*/1024, /*addrSpace=*/3);
  }
  sharedBase = LLVM::AddressOfOp::create(builder, loc, shared, name);
  auto range = LLVM::ConstantRangeAttr::get(context, 32, 0, numThreads);
  threadId = NVVM::ThreadIdXOp::create(builder, loc, builder.getI32Type(), range);
  laneId = arith::AndIOp::create(builder, loc, threadId, i32(loc, 31));
  warpId = arith::ShRUIOp::create(builder, loc, threadId, i32(loc, 5));
  return success();
}

LogicalResult KernelLowering::run() {
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPoint(kernel);
  if (failed(createFunction()))
    return failure();
  return lowerBlock(kernel.getBody().front());
}

LogicalResult KernelLowering::lowerBlock(Block &block) {
  for (Operation &op : block)
    if (failed(lowerOp(&op)))
      return failure();
  return success();
}

bool attnc::isScalarOp(Operation *op) {
  return op->getNumRegions() == 0 && isa<arith::ArithDialect, math::MathDialect>(op->getDialect());
}

LogicalResult KernelLowering::lowerOp(Operation *op) {
  Location loc = op->getLoc();
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case<tile::ReturnOp>([&](auto) {
        LLVM::ReturnOp::create(builder, loc, ValueRange());
        return success();
      })
      .Case<tile::ProgramIdOp>([&](tile::ProgramIdOp id) {
        Type type = builder.getI32Type();
        Value value = id.getDim() == 0   ? Value(NVVM::BlockIdXOp::create(builder, loc, type))
                      : id.getDim() == 1 ? Value(NVVM::BlockIdYOp::create(builder, loc, type))
                                         : Value(NVVM::BlockIdZOp::create(builder, loc, type));
        if (id.getDim() > 0) // the grid may be a slice of the kernel's
          value = add(loc, value, gridStarts[id.getDim() - 1]);
        scalars.map(id.getResult(), value);
        return success();
      })
      .Case<tile::AllocOp>([&](tile::AllocOp alloc) -> LogicalResult {
        if (!alloc.getOffset())
          return alloc.emitOpError("has no offset in shared memory");
        buffers[alloc.getBuffer()] = i32(loc, *alloc.getOffset());
        return success();
      })
      .Case<tile::AsyncCopyOp>([&](auto copy) { return lowerAsyncCopy(copy); })
      .Case<tile::CommitOp>([&](auto) {
        NVVM::CpAsyncCommitGroupOp::create(builder, loc);
        return success();
      })
      .Case<tile::WaitOp>([&](auto wait) {
        lowerWait(wait);
        return success();
      })
      .Case<tile::BarrierOp>([&](auto) {
        NVVM::BarrierOp::create(builder, loc);
        return success();
      })
      .Case<tile::ReadOp>([&](auto read) { return lowerRead(read); })
      .Case<tile::FillOp>([&](auto fill) {
        lowerFill(fill);
        return success();
      })
      .Case<tile::DotOp>([&](auto dot) { return lowerDot(dot); })
      .Case<tile::MapOp>([&](auto map) { return lowerMap(map); })
      .Case<tile::ReduceOp>([&](auto reduce) { return lowerReduce(reduce); })
      .Case<tile::CastOp>([&](auto cast) { return lowerCast(cast); })
      .Case<tile::StoreOp>([&](auto store) { return lowerStore(store); })
      .Case<tile::ElementOp>([&](tile::ElementOp element) -> LogicalResult {
        FailureOr<Value> value = lowerElement(element, scalars);
        if (failed(value))
          return failure();
        scalars.map(element.getResult(), *value);
        return success();
      })
      .Case<tile::AnyOp>([&](auto any) {
        lowerAny(any);
        return success();
      })
      .Case<scf::ForOp>([&](auto loop) { return lowerFor(loop); })
      .Case<scf::IfOp>([&](auto branch) { return lowerIf(branch); })
      .Default([&](Operation *other) -> LogicalResult {
        if (!isScalarOp(other))
          return other->emitOpError("is not supported by the PTX back end");
        builder.clone(*other, scalars);
        return success();
      });
}

//===----------------------------------------------------------------------===//
// Fragments
//===----------------------------------------------------------------------===//

void KernelLowering::lowerFill(tile::FillOp fill) {
  SmallVector<Type> types = flatten(fill.getResult().getType());
  fragments[fill.getResult()] = Fragment(types.size(), scalars.lookup(fill.getValue()));
}

/// f32 to 16 bits: neighbouring columns are neighbouring registers, and become one packed register.
LogicalResult KernelLowering::lowerCast(tile::CastOp cast) {
  Location loc = cast.getLoc();
  TileType from = cast.getInput().getType(), to = cast.getResult().getType();
  Fragment source = fragments[cast.getInput()]; // a copy: new entries may move the old ones
  if (from.getElementType() == to.getElementType()) {
    fragments[cast.getResult()] = source;
    return success();
  }
  LinearLayout layout(from.getLayout());
  if (from.getLayout() != to.getLayout() || !from.getElementType().isF32() ||
      !isPacked(to.getElementType()) || layout.registerBases().empty() ||
      layout.registerBases()[0] != Coord{0, 1})
    return cast.emitOpError("has no lowering from ") << from << " to " << to;
  Fragment result;
  auto wide = VectorType::get({2}, builder.getF32Type());
  auto narrow = VectorType::get({2}, to.getElementType());
  for (size_t i = 0; i < source.size(); i += 2) {
    Value pair = LLVM::UndefOp::create(builder, loc, wide);
    pair = LLVM::InsertElementOp::create(builder, loc, pair, source[i], i32(loc, 0));
    pair = LLVM::InsertElementOp::create(builder, loc, pair, source[i + 1], i32(loc, 1));
    result.push_back(LLVM::FPTruncOp::create(builder, loc, narrow, pair));
  }
  fragments[cast.getResult()] = result;
  return success();
}

void KernelLowering::lowerWait(tile::WaitOp wait) {
  NVVM::CpAsyncWaitGroupOp::create(builder, wait.getLoc(), wait.getPending());
  if (wait.getBarrier())
    NVVM::BarrierOp::create(builder, wait.getLoc());
  for (auto [token, slot] : llvm::zip(wait.getTokens(), wait.getSlots())) {
    Fragment stage = fragments[token]; // a copy: the next line may move the map's entries
    fragments[slot] = stage;
  }
}

/// Registers of a row are combined in the thread, then lanes that share the row by butterfly
/// shuffles.
LogicalResult KernelLowering::lowerReduce(tile::ReduceOp reduce) {
  Location loc = reduce.getLoc();
  TileType type = reduce.getInput().getType();
  LinearLayout layout(type.getLayout());
  if (llvm::any_of(layout.warpBases(),
                   [](Coord basis) { return basis.col != 0 || basis.isZero(); }))
    return reduce.emitOpError("expects rows that one warp holds, found ") << type;
  const Fragment &input = fragments[reduce.getInput()];
  auto combine = [&](Value a, Value b) -> Value {
    if (reduce.getKind() == tile::ReduceKind::Max)
      return arith::MaxNumFOp::create(builder, loc, a, b);
    return arith::AddFOp::create(builder, loc, a, b);
  };
  Fragment rows(layout.rowSlice().registerCount());
  SmallVector<int64_t> rowOf = layout.rowSliceRegisters();
  for (auto [value, reg] : llvm::zip(input, liveRegisters(type))) {
    Value &row = rows[rowOf[reg]];
    row = row ? combine(row, value) : value;
  }
  Value everyone = i32(loc, -1), clamp = i32(loc, 31);
  for (int64_t mask : layout.columnLaneMasks())
    for (Value &row : rows) {
      Value other = NVVM::ShflOp::create(builder, loc, row.getType(), everyone, row, i32(loc, mask),
                                         clamp, NVVM::ShflKind::bfly, UnitAttr());
      row = combine(row, other);
    }
  fragments[reduce.getResult()] = rows;
  return success();
}

LogicalResult KernelLowering::lowerMap(tile::MapOp map) {
  Location loc = map.getLoc();
  TileType type = map.getResult().getType();
  LinearLayout layout(type.getLayout());
  SmallVector<int64_t> live = liveRegisters(type);
  bool matrix = type.getRank() == 2;
  Block &body = *map.getBlock();
  bool usesRow = !map.getRow().use_empty(), usesCol = matrix && !map.getCol().use_empty();
  Value rowBase, colBase;
  if (usesRow)
    rowBase = add(loc, scalars.lookup(map.getRow0()), laneCoordinate(loc, type, /*row=*/true));
  if (usesCol)
    colBase = add(loc, scalars.lookup(map.getCol0()), laneCoordinate(loc, type, /*row=*/false));
  SmallVector<int64_t> rowOf = layout.rowSliceRegisters();

  Fragment result;
  IRMapping &mapping = scalars; // the region's values are overwritten for each element
  for (auto [index, reg] : llvm::enumerate(live)) {
    for (auto [input, arg] : llvm::zip(map.getInputs(), body.getArguments())) {
      auto inputType = cast<TileType>(input.getType());
      if (isPacked(inputType.getElementType()))
        return map.emitOpError("maps 16-bit tiles, which has no lowering yet");
      bool byRow = matrix && inputType.getRank() == 1;
      mapping.map(arg, fragments[input][byRow ? rowOf[reg] : index]);
    }
    Coord at = layout.apply(reg, 0, 0);
    if (usesRow)
      mapping.map(map.getRow(), at.row ? add(loc, rowBase, i32(loc, at.row)) : rowBase);
    if (usesCol)
      mapping.map(map.getCol(), at.col ? add(loc, colBase, i32(loc, at.col)) : colBase);
    for (Operation &op : body.without_terminator()) {
      if (auto element = dyn_cast<tile::ElementOp>(op)) {
        FailureOr<Value> value = lowerElement(element, mapping);
        if (failed(value))
          return failure();
        mapping.map(element.getResult(), *value);
        continue;
      }
      if (!isScalarOp(&op))
        return op.emitOpError("is not supported in a map by the PTX back end");
      builder.clone(op, mapping);
    }
    result.push_back(mapping.lookup(cast<tile::YieldOp>(body.getTerminator()).getValue()));
  }
  fragments[map.getResult()] = result;
  return success();
}
