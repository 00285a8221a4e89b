// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The function around a kernel, its blocks, loops and scalars.
#include "KernelEmitter.h"
#include "MathExpansion.h"
#include "attnc/Conversion/TileToVector/TileToVector.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace attnc;

FailureOr<LLVM::LLVMFuncOp> KernelEmitter::run() {
  if (failed(checkTypes()))
    return failure();
  auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(e.b.getContext()),
                                          {e.ptr, e.i32, e.i32, e.i32, e.ptr});
  auto function = LLVM::LLVMFuncOp::create(e.b, e.loc, kernel.getSymName(), type);
  // Without these LLVM may prefer narrower vectors than the ones it is given.
  std::string bits = std::to_string(e.target.vectorBits());
  auto pair = [&](llvm::StringRef key) -> Attribute { return e.b.getStrArrayAttr({key, bits}); };
  function.setPassthroughAttr(
      e.b.getArrayAttr({pair("prefer-vector-width"), pair("min-legal-vector-width")}));
  function.setArgAttr(0, "llvm.noalias", e.b.getUnitAttr());
  function.setArgAttr(4, "llvm.noalias", e.b.getUnitAttr());
  function.setArgAttr(4, "llvm.align", e.b.getI64IntegerAttr(64));

  OpBuilder::InsertionGuard guard(e.b);
  Block *entry = function.addEntryBlock(e.b);
  e.b.setInsertionPointToStart(entry);
  for (unsigned i = 1; i <= 3; ++i)
    programIds.push_back(entry->getArgument(i));
  scratch = entry->getArgument(4);
  bindArguments(entry->getArgument(0));
  findStoredRows();
  if (failed(emitBlock(kernel.getBody().front()))) {
    function.erase();
    return failure();
  }
  LLVM::ReturnOp::create(e.b, e.loc, ValueRange());
  function->setAttr(kScratchBytesAttr, e.b.getI64IntegerAttr(highWater));
  return function;
}

/// Reads the argument slots: see KernelABI.h.
void KernelEmitter::bindArguments(Value slots) {
  int64_t slot = 0;
  auto next = [&](Type type) {
    return e.load(type, e.offset(slots, 8 * slot++), 8, /*invariant=*/true);
  };
  for (BlockArgument arg : kernel.getBody().getArguments()) {
    auto view = dyn_cast<tile::ViewType>(arg.getType());
    if (!view) {
      scalars.map(arg, next(arg.getType()));
      continue;
    }
    ViewValue value;
    value.base = next(e.ptr);
    for (int64_t dim = 0; dim < view.getRank(); ++dim)
      value.strides.push_back(next(e.i64));
    if (view.getUnitStride())
      value.strides.back() = e.constI64(1);
    views[arg] = value;
  }
}

LogicalResult KernelEmitter::emitBlock(Block &block) {
  for (Operation &op : block.without_terminator())
    if (failed(emitOp(op)))
      return failure();
  return flushGroup();
}

static bool isRowOp(Operation *op) { return isa<tile::MapOp, tile::ReduceOp, tile::CastOp>(op); }

static int64_t tileRows(Operation *op) {
  return cast<tile::TileType>(op->getResult(0).getType()).getRows();
}

LogicalResult KernelEmitter::emitOp(Operation &op) {
  e.loc = op.getLoc();
  if (op.getParentOp() == kernel)
    emitRowBound();
  if (isRowOp(&op)) {
    if (auto cast = dyn_cast<tile::CastOp>(op); cast && isAlias(cast))
      return success();
    if (deferredTo(&op)) {
      ++numDeferred;
      return success();
    }
    if (auto map = dyn_cast<tile::MapOp>(op)) {
      auto plain = [](Type type) {
        Type element = llvm::cast<tile::TileType>(type).getElementType();
        return element.isF32() || element.isInteger(32);
      };
      if (!plain(map.getResult().getType()) || !llvm::all_of(map.getInputs().getTypes(), plain))
        return map.emitOpError("expects tiles of f32 or i32 on the host: cast before and after");
    }
    if (!group.empty() && tileRows(group.front()) != tileRows(&op) && failed(flushGroup()))
      return failure();
    group.push_back(&op);
    return success();
  }
  if (isa<tile::FillOp>(op))
    return success();
  if (auto load = dyn_cast<tile::LoadOp>(op)) {
    // Tensors that are read are not written, so a load may overtake pending row ops.
    if (!isOnlyPacked(load))
      emitLoad(load);
    return success();
  }
  if (!isa<tile::DotOp, tile::StoreOp, tile::AnyOp, scf::ForOp, scf::IfOp>(op))
    return emitScalar(op);
  if (failed(flushGroup()))
    return failure();
  e.loc = op.getLoc();
  return llvm::TypeSwitch<Operation *, LogicalResult>(&op)
      .Case<tile::DotOp>([&](tile::DotOp dot) { return emitDot(dot); })
      .Case<tile::StoreOp>([&](tile::StoreOp store) { return emitStore(store); })
      .Case<tile::AnyOp>([&](tile::AnyOp any) {
        emitAny(any);
        return success();
      })
      .Case<scf::ForOp>([&](scf::ForOp loop) { return emitFor(loop); })
      .Case<scf::IfOp>([&](scf::IfOp branch) { return emitIf(branch); });
}

LogicalResult KernelEmitter::emitScalar(Operation &op) {
  if (auto id = dyn_cast<tile::ProgramIdOp>(op)) {
    scalars.map(id.getResult(), programIds[id.getDim()]);
    return success();
  }
  SmallVector<Value> operands;
  for (Value operand : op.getOperands())
    operands.push_back(scalars.lookupOrDefault(operand));
  if (auto element = dyn_cast<tile::ElementOp>(op)) {
    auto view = views.find(element.getView());
    if (view == views.end())
      return op.emitOpError("expects a view that is an argument of the kernel");
    Value value = emitElement(e, element, view->second, ArrayRef(operands).drop_front(),
                              /*mayBeContiguous=*/false);
    scalars.map(element.getResult(), value);
    return success();
  }
  if (!isa_and_nonnull<arith::ArithDialect, math::MathDialect>(op.getDialect()) ||
      op.getNumResults() != 1)
    return op.emitOpError("has no lowering on the host");
  Value expanded = operands.empty() ? Value() : expandOp(e, &op, operands);
  scalars.map(op.getResult(0), expanded ? expanded : e.b.clone(op, scalars)->getResult(0));
  return success();
}

//===----------------------------------------------------------------------===//
// Control flow
//===----------------------------------------------------------------------===//

/// Elements of a buffer, padding included.
static int64_t sizeOf(const Buffer &buffer, int64_t lanes) {
  return buffer.pitch == 1 ? llvm::alignTo(buffer.rows, lanes) : buffer.rows * buffer.pitch;
}

void KernelEmitter::copyBuffer(const Buffer &from, const Buffer &to) {
  int64_t size = byteSize(to.storage), align = vectorAlign(to.storage);
  e.forRange(0, sizeOf(to, e.lanes), e.lanes, [&](Value i) {
    Value bytes = e.mulc(i, size);
    Value value = e.load(e.vec(to.storage), e.offset(e.offset(scratch, from.offset), bytes), align);
    e.store(value, e.offset(e.offset(scratch, to.offset), bytes), align);
  });
}

void KernelEmitter::fillBuffer(Value scalar, const Buffer &buffer) {
  Value value = e.asVector(scalar);
  e.forRange(0, sizeOf(buffer, e.lanes), e.lanes, [&](Value i) {
    Value at = e.offset(e.offset(scratch, buffer.offset), e.mulc(i, byteSize(buffer.storage)));
    e.store(value, at, vectorAlign(buffer.storage));
  });
}

void KernelEmitter::moveTiles(ValueRange from, ArrayRef<Buffer> to) {
  // A source that lies in the target of another move is first put aside.
  SmallVector<Buffer> sources(from.size());
  for (auto [i, value] : llvm::enumerate(from)) {
    if (fillOf(value))
      continue;
    sources[i] = bufferOf(value);
    bool overwritten = false;
    for (auto [j, target] : llvm::enumerate(to))
      overwritten |= j != i && target.offset == sources[i].offset;
    if (!overwritten)
      continue;
    Buffer aside = newBuffer(cast<tile::TileType>(value.getType()));
    copyBuffer(sources[i], aside);
    sources[i] = aside;
  }
  for (auto [i, value] : llvm::enumerate(from)) {
    if (fillOf(value))
      fillBuffer(readVector(value, Value(), Value()), to[i]);
    else if (sources[i].offset != to[i].offset)
      copyBuffer(sources[i], to[i]);
  }
}

LogicalResult KernelEmitter::emitFor(scf::ForOp loop) {
  SmallVector<Value> scalarInits, tileInits;
  SmallVector<Buffer> carried;
  for (Value init : loop.getInitArgs()) {
    if (!isa<tile::TileType>(init.getType())) {
      scalarInits.push_back(scalars.lookupOrDefault(init));
      continue;
    }
    // Take over the initial value's buffer if nobody else needs it.
    Value v = resolve(init);
    bool takeOver = buffers.count(v) && diesAt(v, loop) && !llvm::is_contained(tileInits, v);
    forEachUser(v, [&](Operation *user) { takeOver &= !loop->isProperAncestor(user); });
    carried.push_back(takeOver ? buffers[v] : newBuffer(cast<tile::TileType>(init.getType())));
    tileInits.push_back(v);
  }
  moveTiles(tileInits, carried);

  bool ok = true;
  int64_t mark = used;
  auto body = [&](OpBuilder &, Location, Value iv, ValueRange args) {
    scalars.map(loop.getInductionVar(), iv);
    unsigned nextTile = 0, nextScalar = 0;
    for (BlockArgument arg : loop.getRegionIterArgs()) {
      if (isa<tile::TileType>(arg.getType()))
        buffers[arg] = carried[nextTile++];
      else
        scalars.map(arg, args[nextScalar++]);
    }
    OpBuilder::InsertionGuard guard(e.b);
    FailureOr<Value> visible = iterationIsVisible(loop);
    ok = succeeded(visible);
    if (ok && *visible) {
      // Carried tiles are updated in place, so skipping the body keeps them; there are no other
      // values.
      auto branch = scf::IfOp::create(e.b, loop.getLoc(), *visible, /*withElseRegion=*/false);
      scf::YieldOp::create(e.b, loop.getLoc());
      e.b.setInsertionPointToStart(branch.thenBlock());
    }
    ok = ok && succeeded(emitBlock(*loop.getBody()));
    SmallVector<Value> scalarYields, tileYields;
    for (Value v : loop.getBody()->getTerminator()->getOperands()) {
      if (isa<tile::TileType>(v.getType()))
        tileYields.push_back(v);
      else
        scalarYields.push_back(scalars.lookupOrDefault(v));
    }
    if (ok)
      moveTiles(tileYields, carried);
    if (!ok || !*visible)
      scf::YieldOp::create(e.b, loop.getLoc(), scalarYields);
  };
  auto lowered =
      scf::ForOp::create(e.b, loop.getLoc(), scalars.lookupOrDefault(loop.getLowerBound()),
                         scalars.lookupOrDefault(loop.getUpperBound()),
                         scalars.lookupOrDefault(loop.getStep()), scalarInits, body);
  used = mark;
  unsigned nextTile = 0, nextScalar = 0;
  for (Value result : loop.getResults()) {
    if (isa<tile::TileType>(result.getType()))
      buffers[result] = carried[nextTile++];
    else
      scalars.map(result, lowered.getResult(nextScalar++));
  }
  return success(ok);
}

LogicalResult KernelEmitter::emitIf(scf::IfOp branch) {
  SmallVector<Buffer> targets;
  SmallVector<Value> taken;
  SmallVector<Type> scalarTypes;
  for (OpResult result : branch.getResults()) {
    auto type = dyn_cast<tile::TileType>(result.getType());
    if (!type) {
      scalarTypes.push_back(result.getType());
      continue;
    }
    // Where one side yields what was there before, and nobody else needs it, the result takes over
    // its buffer.
    Value kept = resolve(branch.elseYield().getOperand(result.getResultNumber()));
    bool takeOver = buffers.count(kept) && diesAt(kept, branch) && !llvm::is_contained(taken, kept);
    forEachUser(kept, [&](Operation *user) {
      takeOver &= !branch.getThenRegion().isAncestor(user->getParentRegion());
    });
    taken.push_back(takeOver ? kept : Value());
    targets.push_back(takeOver ? bufferOf(kept) : newBuffer(type));
    buffers[result] = targets.back();
  }
  auto lowered = scf::IfOp::create(e.b, branch.getLoc(), scalarTypes,
                                   scalars.lookupOrDefault(branch.getCondition()),
                                   branch.elseBlock() != nullptr);
  for (auto [from, to] : {std::pair(branch.thenBlock(), lowered.thenBlock()),
                          std::pair(branch.elseBlock(), lowered.elseBlock())}) {
    if (!from)
      continue;
    OpBuilder::InsertionGuard guard(e.b);
    if (!to->empty())
      to->getTerminator()->erase();
    e.b.setInsertionPointToEnd(to);
    int64_t mark = used;
    if (failed(emitBlock(*from)))
      return failure();
    SmallVector<Value> scalarYields, tileYields;
    for (Value v : from->getTerminator()->getOperands()) {
      if (isa<tile::TileType>(v.getType()))
        tileYields.push_back(v);
      else
        scalarYields.push_back(scalars.lookupOrDefault(v));
    }
    moveTiles(tileYields, targets);
    scf::YieldOp::create(e.b, branch.getLoc(), scalarYields);
    used = mark;
  }
  unsigned nextScalar = 0;
  for (Value result : branch.getResults())
    if (!isa<tile::TileType>(result.getType()))
      scalars.map(result, lowered.getResult(nextScalar++));
  return success();
}
