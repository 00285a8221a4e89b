// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The function that a kernel becomes, its arguments, and what lowerings share: scalars, and the
// values that stand for tiles. KernelLowering.h says how tiles are represented.
#include "KernelLowering.h"
#include "dialects/Tile/KernelFacts.h"
#include "dialects/Tile/TileLayouts.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace attnc;
using tile::Coord;
using tile::LinearLayout;
using tile::TileType;

KernelLowering::KernelLowering(tile::KernelOp kernel, OpBuilder &builder, const NVVMOpTable &table)
    : kernel(kernel), builder(builder), numThreads(32 * kernel.getNumWarps()), table(table) {}

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
Value KernelLowering::once(ArithmeticTable::key_type what, function_ref<Value()> emit) {
  if (!emittedArithmetic)
    return emit();
  auto known = emittedArithmetic->find(what);
  return known != emittedArithmetic->end() ? known->second : (*emittedArithmetic)[what] = emit();
}
Value KernelLowering::add(Location loc, Value a, Value b) {
  return once({'+', a, b}, [&] { return arith::AddIOp::create(builder, loc, a, b); });
}
Value KernelLowering::mul(Location loc, Value a, Value b) {
  return once({'*', a, b}, [&] { return arith::MulIOp::create(builder, loc, a, b); });
}
Value KernelLowering::widen(Location loc, Value value) {
  return once({'w', value, Value()},
              [&] { return arith::ExtSIOp::create(builder, loc, builder.getI64Type(), value); });
}
Value KernelLowering::offsetPointer(Location loc, Value pointer, Value bytes) {
  return once({'p', pointer, bytes}, [&] {
    return LLVM::GEPOp::create(builder, loc, pointer.getType(), builder.getI8Type(), pointer,
                               bytes);
  });
}
Value KernelLowering::coordinate(Location loc, Value base, int64_t offset) {
  if (offset == 0)
    return base;
  return once({'c', base, i32(loc, offset)}, [&] {
    return arith::AddIOp::create(builder, loc, base, i32(loc, offset),
                                 arith::IntegerOverflowFlags::nsw);
  });
}
Value KernelLowering::movedAlong(Location loc, Value pointer, Value view, int64_t dim,
                                 Value index) {
  Value stride = mul(loc, views[view].strides[dim], i64(loc, elementBytes(view)));
  // What a register adds to the coordinate of its lane comes last, as an offset of the instruction.
  auto sum = index.getDefiningOp<arith::AddIOp>();
  llvm::APInt constant;
  if (sum && sum.getOverflowFlags() == arith::IntegerOverflowFlags::nsw &&
      matchPattern(sum.getRhs(), m_ConstantInt(&constant))) {
    pointer = offsetPointer(loc, pointer, mul(loc, widen(loc, sum.getLhs()), stride));
    return offsetPointer(loc, pointer, mul(loc, stride, i64(loc, constant.getSExtValue())));
  }
  return offsetPointer(loc, pointer, mul(loc, widen(loc, index), stride));
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
  return atHead(type.getLayout(), unsigned(row), [&]() {
    LinearLayout layout(type.getLayout());
    Value lane = combineBits(builder, loc, laneId, layout.laneBases(), row);
    Value warp = combineBits(builder, loc, warpId, layout.warpBases(), row);
    return add(loc, lane, warp);
  });
}

Value KernelLowering::atHead(Attribute subject, unsigned key, llvm::function_ref<Value()> emit) {
  if (Value known = headValues.lookup({subject, key}))
    return known;
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointAfterValue(warpId);
  Value value = emit();
  headValues[{subject, key}] = value;
  return value;
}

void KernelLowering::barrier(Location loc) {
  if (!roleBarrier) {
    NVVM::BarrierOp::create(builder, loc);
    return;
  }
  NVVM::BarrierOp::create(builder, loc, TypeRange(), i32(loc, *roleBarrier), i32(loc, numThreads),
                          NVVM::BarrierReductionAttr(), Value());
}

Value KernelLowering::barrierOr(Location loc, Value flag) {
  if (roleBarrier) {
    // The op takes no number for a barrier that reduces.
    auto name = builder.getStringAttr("llvm.nvvm.barrier.cta.red.or.aligned.count");
    return LLVM::CallIntrinsicOp::create(
               builder, loc, builder.getI1Type(), name,
               ValueRange{i32(loc, *roleBarrier), i32(loc, numThreads), flag})
        .getResult(0);
  }
  auto reduction =
      NVVM::BarrierReductionAttr::get(builder.getContext(), NVVM::BarrierReduction::OR);
  Value here = arith::ExtUIOp::create(builder, loc, builder.getI32Type(), flag);
  Value anywhere = NVVM::BarrierOp::create(builder, loc, TypeRange{builder.getI32Type()}, Value(),
                                           Value(), reduction, here)
                       .getResult(0);
  return arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::ne, anywhere, i32(loc, 0));
}

Value KernelLowering::warpgroupId(Location loc) {
  return atHead(builder.getStringAttr("warpgroup"), 0, [&]() -> Value {
    Value uniform = NVVM::ShflOp::create(builder, loc, warpId.getType(), i32(loc, -1), warpId,
                                         i32(loc, 0), i32(loc, 31), NVVM::ShflKind::idx,
                                         /*return_value_and_is_valid=*/UnitAttr());
    return arith::ShRUIOp::create(builder, loc, uniform, i32(loc, 2));
  });
}

int64_t KernelLowering::elementBytes(Value view) {
  Type element = cast<tile::ViewType>(view.getType()).getElementType();
  return std::max<int64_t>(1, element.getIntOrFloatBitWidth() / 8);
}

Value KernelLowering::addressOf(Location loc, Value view, ValueRange indices, int64_t rowDim) {
  const ViewArgs &args = views[view];
  int64_t bytes = elementBytes(view);
  Value offset;
  int64_t dim = 0;
  for (Value index : indices) {
    if (dim == rowDim)
      ++dim;
    Value term = mul(loc, widen(loc, scalars.lookup(index)), args.strides[dim++]);
    offset = offset ? add(loc, offset, term) : term;
  }
  if (!offset)
    return args.base;
  return offsetPointer(loc, args.base, mul(loc, offset, i64(loc, bytes)));
}

//===----------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------===//

SmallVector<int64_t> KernelLowering::liveRegisters(TileType type) {
  return LinearLayout(type.getLayout()).liveRegisters(type.getRows(), type.getCols());
}

bool KernelLowering::isPacked(TileType type) {
  LinearLayout layout(type.getLayout());
  return isPacked(type.getElementType()) && type.getRank() == 2 &&
         !layout.registerBases().empty() && layout.registerBases()[0] == Coord{0, 1};
}

SmallVector<Type> KernelLowering::flatten(Type type) {
  if (isa<tile::TokenType, tile::SlotType>(type))
    return {builder.getI32Type()};
  if (auto product = dyn_cast<tile::ProductType>(type))
    type = product.getTile();
  auto tileType = dyn_cast<TileType>(type);
  if (!tileType)
    return {type};
  size_t count = liveRegisters(tileType).size();
  Type element = tileType.getElementType();
  if (isPacked(tileType))
    return SmallVector<Type>(count / 2, VectorType::get({2}, element));
  return SmallVector<Type>(count, element);
}

void KernelLowering::distribute(ValueRange originals, ValueRange flat) {
  for (Value original : originals) {
    size_t count = flatten(original.getType()).size();
    if (isa<TileType, tile::TokenType, tile::SlotType>(original.getType()))
      fragments[original] = Fragment(flat.take_front(count));
    else
      scalars.map(original, flat.front());
    flat = flat.drop_front(count);
  }
}

SmallVector<Value> KernelLowering::valuesOf(Value value) {
  auto it = fragments.find(value);
  return it != fragments.end() ? it->second : Fragment{scalars.lookup(value)};
}

//===----------------------------------------------------------------------===//
// Function
//===----------------------------------------------------------------------===//

/// CUtensorMap.
static constexpr int64_t kTensorMapBytes = 128;

void KernelLowering::bindArguments(Block &entry) {
  unsigned next = 0;
  for (BlockArgument arg : kernel.getBody().getArguments()) {
    if (isa<tile::ViewType>(arg.getType())) {
      if (!kernel.getArgAttr(arg.getArgNumber(), "tile.may_alias"))
        function.setArgAttr(next, LLVM::LLVMDialect::getNoAliasAttrName(), builder.getUnitAttr());
      ViewArgs args{entry.getArgument(next++), {}, tile::isWritten(kernel, arg)};
      for (std::optional<int64_t> known : tile::knownStrides(kernel, arg)) {
        Value given = entry.getArgument(next++);
        args.strides.push_back(known ? i64(arg.getLoc(), *known) : given);
      }
      views[arg] = args;
    } else if (auto map = dyn_cast<tile::TensorMapType>(arg.getType())) {
      // By value and in place: the copy engine reads it from where the launch has put it.
      auto bytes = LLVM::LLVMArrayType::get(builder.getI8Type(), kTensorMapBytes);
      function.setArgAttr(next, LLVM::LLVMDialect::getByValAttrName(), TypeAttr::get(bytes));
      function.setArgAttr(next, NVVM::NVVMDialect::getGridConstantAttrName(),
                          builder.getUnitAttr());
      function.setArgAttr(next, LLVM::LLVMDialect::getAlignAttrName(),
                          builder.getI64IntegerAttr(64));
      tensorMaps[arg] = {entry.getArgument(next), entry.getArgument(next + 1)};
      next += 2 + map.getRank();
    } else {
      scalars.map(arg, entry.getArgument(next++));
    }
  }
  gridStarts = {entry.getArgument(next), entry.getArgument(next + 1)};
}

/// A kernel has at most 32,764 bytes of parameters, from PTX 8.1 on.
static LogicalResult checkParameters(tile::KernelOp kernel, ArrayRef<Type> types) {
  constexpr uint64_t most = 32764;
  uint64_t bytes = 0;
  for (Type type : types) {
    bool isMap = type == LLVM::LLVMPointerType::get(kernel.getContext());
    uint64_t size = isMap ? kTensorMapBytes : type.isInteger(32) || type.isF32() ? 4 : 8;
    bytes = llvm::alignTo(bytes, size) + size;
  }
  if (bytes <= most)
    return success();
  return emitError(kernel.getLoc())
         << "this reads and writes too many tensors for one kernel on a GPU: their addresses and "
            "strides take "
         << bytes << " bytes, and there is room for " << most
         << "; compile it for the host, or split it";
}

LogicalResult KernelLowering::createFunction() {
  Location loc = kernel.getLoc();
  MLIRContext *context = builder.getContext();
  auto global = LLVM::LLVMPointerType::get(context, 1);
  SmallVector<Type> types;
  for (Type type : kernel.getArgumentTypes()) {
    if (auto view = dyn_cast<tile::ViewType>(type)) {
      types.push_back(global);
      types.append(view.getRank(), builder.getI64Type());
    } else if (auto map = dyn_cast<tile::TensorMapType>(type)) {
      types.append({LLVM::LLVMPointerType::get(context), builder.getI32Type()});
      types.append(map.getRank(), builder.getI64Type()); // extents: what the launch makes it from
    } else {
      types.push_back(type);
    }
  }
  types.append(2, builder.getI32Type()); // the first points of grid dimensions 1 and 2
  if (failed(checkParameters(kernel, types)))
    return failure();
  auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(context), types);
  function = LLVM::LLVMFuncOp::create(builder, loc, kernel.getSymName(), type);
  function->setAttr(NVVM::NVVMDialect::getKernelFuncAttrName(), builder.getUnitAttr());
  int64_t blockThreads = 32 * kernel.getBlockWarps();
  function->setAttr(NVVM::NVVMDialect::getReqntidAttrName(),
                    builder.getDenseI32ArrayAttr({static_cast<int32_t>(blockThreads), 1, 1}));
  // Without this ptxas spills a few registers to fit one more block on a multiprocessor.
  function->setAttr(NVVM::NVVMDialect::getMinctasmAttrName(), builder.getI32IntegerAttr(1));
  // Subnormal results flush to zero: ex2.approx without .ftz costs two more multiplications, and a
  // probability below 2^-126 does not show in a sum of at most 2^31 terms that contains a 1.
  function->setAttr("denormal_fp_math_f32", builder.getStringAttr("preserve-sign"));
  Block *entry = function.addEntryBlock(builder);
  builder.setInsertionPointToStart(entry);

  bindArguments(*entry);

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
  auto range = LLVM::ConstantRangeAttr::get(context, 32, 0, blockThreads);
  nameThread(NVVM::ThreadIdXOp::create(builder, loc, builder.getI32Type(), range));
  return success();
}

void KernelLowering::nameThread(Value id) {
  Location loc = kernel.getLoc();
  threadId = id;
  laneId = arith::AndIOp::create(builder, loc, threadId, i32(loc, 31));
  warpId = arith::ShRUIOp::create(builder, loc, threadId, i32(loc, 5));
}

LogicalResult KernelLowering::run() {
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPoint(kernel);
  if (failed(createFunction()))
    return failure();
  return lowerBlock(kernel.getBody().front(), /*withTerminator=*/true);
}

LogicalResult KernelLowering::lowerRole(Block &block, int64_t firstThread, int64_t threads,
                                        int32_t barrier) {
  auto outerHead = headValues;
  std::array<Value, 3> outerIds = {threadId, laneId, warpId};
  int64_t outerThreads = numThreads;
  numThreads = threads;
  roleBarrier = barrier;
  if (firstThread != 0) {
    headValues.clear();
    Location loc = kernel.getLoc();
    nameThread(arith::SubIOp::create(builder, loc, threadId, i32(loc, firstThread)));
  }
  LogicalResult lowered = lowerBlock(block, /*withTerminator=*/true);
  headValues = std::move(outerHead);
  std::tie(threadId, laneId, warpId) = std::tie(outerIds[0], outerIds[1], outerIds[2]);
  numThreads = outerThreads;
  roleBarrier.reset();
  return lowered;
}

LogicalResult KernelLowering::lowerBlock(Block &block, bool withTerminator) {
  for (Operation &op : block)
    if (withTerminator || !op.hasTrait<OpTrait::IsTerminator>())
      if (failed(lower(&op)))
        return failure();
  return success();
}

bool attnc::isScalarOp(Operation *op) {
  return op->getNumRegions() == 0 && isa<arith::ArithDialect, math::MathDialect>(op->getDialect());
}

LogicalResult KernelLowering::lower(Operation *op) {
  if (const NVVMOpTable::Lowering *lowering = table.find(op))
    return (*lowering)(*this, op);
  if (!isScalarOp(op))
    return op->emitOpError("is not supported by the PTX back end");
  builder.clone(*op, scalars);
  return success();
}
