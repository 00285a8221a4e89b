// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The function around a kernel, its blocks and scalars.
#include "KernelEmitter.h"
#include "MathExpansion.h"
#include "MatrixUnit.h"
#include "RowBound.h"
#include "RowGroup.h"
#include "StoreBlock.h"
#include "attnc/Conversion/TileToVector/TileToVector.h"
#include "dialects/Tile/KernelFacts.h"
#include "dialects/Tile/TileLayouts.h"

using namespace mlir;
using namespace attnc;

LogicalResult KernelEmitter::checkTypes() {
  WalkResult walk = kernel.walk([&](Operation *op) -> WalkResult {
    for (Value result : op->getResults()) {
      auto type = dyn_cast<tile::TileType>(result.getType());
      if (!type)
        continue;
      if (type.getLayout())
        return op->emitOpError("expects the tiled phase on the host, found a layout in ") << type;
      Type element = type.getElementType();
      if (!element.isF32() && !element.isF16() && !element.isBF16() && !element.isInteger(32) &&
          !element.isInteger(1))
        return op->emitOpError("expects tiles of f32, f16, bf16, i32 or i1 on the host, found ")
               << type;
    }
    return WalkResult::advance();
  });
  return failure(walk.wasInterrupted());
}

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
  tiles.scratch = entry->getArgument(4);
  bindArguments(entry->getArgument(0));
  int64_t locals = 0;
  kernel.walk([&](tile::LocalOp local) { locals = std::max(locals, local.getEnd()); });
  tiles.reserve(locals);
  findStoredRows(*this);
  emitMatrixUnitStart(*this);
  if (failed(emitBlock(kernel.getBody().front()))) {
    function.erase();
    return failure();
  }
  emitMatrixUnitEnd(*this);
  LLVM::ReturnOp::create(e.b, e.loc, ValueRange());
  function->setAttr(kScratchBytesAttr, e.b.getI64IntegerAttr(tiles.highWater));
  return function;
}

/// Reads the argument slots: see Program.h.
void KernelEmitter::bindArguments(Value slots) {
  int64_t slot = 0;
  auto next = [&](Type type) {
    return e.load(type, e.offset(slots, 8 * slot++), 8, /*invariant=*/true);
  };
  for (BlockArgument arg : kernel.getBody().getArguments()) {
    if (!isa<tile::ViewType>(arg.getType())) {
      scalars.map(arg, next(arg.getType()));
      continue;
    }
    ViewValue value;
    value.base = next(e.ptr);
    for (std::optional<int64_t> known : tile::knownStrides(kernel, arg)) {
      Value given = next(e.i64);
      value.strides.push_back(known ? e.constI64(*known) : given);
    }
    value.isWritten = tile::isWritten(kernel, arg);
    views[arg] = value;
  }
}

LogicalResult KernelEmitter::emitBlock(Block &block) {
  for (Operation &op : block.without_terminator())
    if (failed(emitOp(op)))
      return failure();
  return flushGroup(*this);
}

static bool isRowOp(Operation *op) {
  if (auto reduce = dyn_cast<tile::ReduceOp>(op))
    return reduce.getAxis() == tile::Axis::Columns;
  return isa<tile::MapOp, tile::CastOp>(op);
}

static int64_t tileRows(Operation *op) {
  return cast<tile::TileType>(op->getResult(0).getType()).getRows();
}

LogicalResult KernelEmitter::emitOp(Operation &op) {
  e.loc = op.getLoc();
  if (op.getParentOp() == kernel)
    emitRowBounds(*this);
  if (isRowOp(&op)) {
    if (auto cast = dyn_cast<tile::CastOp>(op); cast && tiles.isAlias(cast))
      return success();
    if (tiles.deferredTo(&op)) {
      ++numDeferred;
      return success();
    }
    if (!group.empty() && tileRows(group.front()) != tileRows(&op) && failed(flushGroup(*this)))
      return failure();
    group.push_back(&op);
    return success();
  }
  if (auto store = dyn_cast<tile::StoreBlockOp>(op); store && joinsGroup(*this, store)) {
    group.push_back(&op);
    return flushGroup(*this);
  }
  const HostOpTable::Lowering *lowering = table.find(&op);
  if (!lowering)
    return emitScalar(op);
  // Tensors that are read are not written, so a load may overtake pending row ops; nor does a fill
  // look at them.
  if (!isa<tile::FillOp, tile::LoadOp>(op) && failed(flushGroup(*this)))
    return failure();
  e.loc = op.getLoc();
  return (*lowering)(*this, &op);
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
    Value value =
        emitElement(e, element, view->second, ArrayRef(operands).drop_front(), Lanes::Any);
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
