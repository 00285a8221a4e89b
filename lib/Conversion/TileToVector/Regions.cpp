// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Vectorises the region of a map: a value is a scalar as long as it is the same in all lanes, and a
// vector from the first op that sees a coordinate or an element that differs between lanes.
//
//   arith.addi %row, %shift  : i32        ->  stays scalar
//   arith.cmpi sle, %col, %pos : i32      ->  arith.cmpi sle, %cols, splat(%pos) : vector<16xi32>
//   tile.element %ids[%b, %col]           ->  a contiguous load if the lanes' indices are, else a
//   gather
#include "Regions.h"
#include "MathExpansion.h"

using namespace mlir;
using namespace attnc;

/// Whether `index`, a value in the region, is the column, perhaps shifted by uniform values or
/// clamped against them: then its lanes are consecutive but where the clamp bites.
static bool isClampedColumn(Value index, tile::MapOp map,
                            const llvm::DenseMap<Value, Value> &values) {
  BlockArgument along = map.getResult().getType().getRank() == 2 ? map.getCol() : map.getRow();
  if (index == along)
    return true;
  Operation *op = index.getDefiningOp();
  if (!op || !isa<arith::AddIOp, arith::SubIOp, arith::MinSIOp, arith::MaxSIOp>(op))
    return false;
  auto isUniform = [&](Value v) {
    auto it = values.find(v);
    return it == values.end() || !isa<VectorType>(it->second.getType());
  };
  Value lhs = op->getOperand(0), rhs = op->getOperand(1);
  if (isUniform(rhs))
    return isClampedColumn(lhs, map, values);
  return !isa<arith::SubIOp>(op) && isUniform(lhs) && isClampedColumn(rhs, map, values);
}

/// Loads a scalar or `lanes` elements and converts to what a region computes with.
static Value loadElements(Emitter &e, Value pointer, Type element, bool vector, bool invariant) {
  if (element.isInteger(1)) {
    Value bytes = e.load(vector ? Type(e.vec(e.i8)) : e.i8, pointer, 1, invariant);
    return arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::ne, bytes,
                                 e.zero(bytes.getType()));
  }
  Value value =
      e.load(vector ? Type(e.vec(element)) : element, pointer, byteSize(element), invariant);
  return isa<FloatType>(element) ? e.toF32(value) : value;
}

static Value gatherElements(Emitter &e, Value base, Value offsets, Type element) {
  Type pointers = VectorType::get({e.lanes}, e.ptr);
  Type memory = element.isInteger(1)                       ? e.i8
                : element.isF32() || element.isInteger(32) ? element
                                                           : e.i16;
  Value addresses =
      LLVM::GEPOp::create(e.b, e.loc, pointers, e.i8, base, ArrayRef<LLVM::GEPArg>{offsets});
  Value all = e.prefixMask(e.lanes);
  Value loaded = LLVM::masked_gather::create(e.b, e.loc, e.vec(memory), addresses, all,
                                             ValueRange{e.zero(e.vec(memory))},
                                             e.b.getI32IntegerAttr(byteSize(element)));
  if (element.isInteger(1))
    return arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::ne, loaded,
                                 e.zero(loaded.getType()));
  loaded = e.bitcast(loaded, e.vec(element));
  return isa<FloatType>(element) ? e.toF32(loaded) : loaded;
}

Value attnc::emitElement(Emitter &e, tile::ElementOp op, const ViewValue &view, ValueRange indices,
                         bool mayBeContiguous) {
  Type element = op.getView().getType().getElementType();
  int64_t size = byteSize(element);
  Value base = view.base, varying, varyingIndex, varyingStride;
  for (auto [index, stride] : llvm::zip(indices, view.strides)) {
    if (!isa<VectorType>(index.getType())) {
      base = e.offset(base, e.mulc(e.mul(e.toI64(index), stride), size));
      continue;
    }
    Value term = e.mul(e.toI64(index), e.splat(e.mulc(stride, size)));
    mayBeContiguous &= !varying;
    varying = varying ? e.add(varying, term) : term;
    varyingIndex = index;
    varyingStride = stride;
  }
  if (!varying)
    return loadElements(e, base, element, /*vector=*/false, !view.isWritten);
  if (!mayBeContiguous)
    return gatherElements(e, base, varying, element);

  // Lanes never decrease and never skip, so comparing the ends decides.
  Value first = e.lane(varyingIndex, 0), last = e.lane(varyingIndex, e.lanes - 1);
  Value consecutive = arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::eq,
                                            e.sub(last, first), e.constI32(e.lanes - 1));
  Value unit =
      arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::eq, varyingStride, e.constI64(1));
  Value contiguous = arith::AndIOp::create(e.b, e.loc, consecutive, unit);
  Type result = element.isInteger(1) || element.isInteger(32) ? e.vec(element) : e.vf32;
  auto choice =
      scf::IfOp::create(e.b, e.loc, TypeRange{result}, contiguous, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(e.b);
  e.b.setInsertionPointToStart(choice.thenBlock());
  Value start = e.offset(base, e.mulc(e.toI64(first), size));
  scf::YieldOp::create(e.b, e.loc,
                       loadElements(e, start, element, /*vector=*/true, !view.isWritten));
  e.b.setInsertionPointToStart(choice.elseBlock());
  scf::YieldOp::create(e.b, e.loc, gatherElements(e, base, varying, element));
  return choice.getResult(0);
}

Value attnc::emitElementwise(Emitter &e, Operation *op, ArrayRef<Value> operands) {
  if (matchPattern(op, m_Constant()))
    return e.b.clone(*op)->getResult(0);
  if (op->getNumResults() != 1 || !OpTrait::hasElementwiseMappableTraits(op))
    return {};
  bool vector = llvm::any_of(operands, [](Value v) { return isa<VectorType>(v.getType()); });
  SmallVector<Value> args(operands);
  Type result = op->getResult(0).getType();
  if (vector) {
    for (Value &arg : args)
      arg = e.asVector(arg);
    result = e.vec(result);
  }
  if (Value expanded = expandOp(e, op, args))
    return expanded;
  OperationState state(op->getLoc(), op->getName(), args, {result}, op->getAttrs());
  return e.b.create(state)->getResult(0);
}

llvm::DenseSet<Value> attnc::neededFor(tile::MapOp map, Value wanted) {
  llvm::DenseSet<Value> needed;
  SmallVector<Value> worklist{wanted};
  while (!worklist.empty()) {
    Value v = worklist.pop_back_val();
    if (v.getParentBlock() != map.getBlock() || !needed.insert(v).second)
      continue;
    if (Operation *op = v.getDefiningOp())
      worklist.append(op->operand_begin(), op->operand_end());
  }
  return needed;
}

Value attnc::emitRegion(Emitter &e, tile::MapOp map, ValueRange arguments, const IRMapping &outer,
                        const ViewMap &views, Value wanted) {
  if (!wanted)
    wanted = cast<tile::YieldOp>(map.getBlock()->getTerminator()).getValue();
  llvm::DenseSet<Value> needed = neededFor(map, wanted);
  llvm::DenseMap<Value, Value> values;
  for (auto [formal, actual] : llvm::zip(map.getBlock()->getArguments(), arguments))
    values[formal] = actual;
  auto lookup = [&](Value v) {
    auto it = values.find(v);
    return it != values.end() ? it->second : outer.lookupOrDefault(v);
  };
  for (Operation &op : map.getBlock()->without_terminator()) {
    if (op.getNumResults() == 1 && !needed.contains(op.getResult(0)))
      continue;
    SmallVector<Value> operands;
    for (Value operand : op.getOperands())
      operands.push_back(lookup(operand));
    if (auto element = dyn_cast<tile::ElementOp>(op)) {
      auto view = views.find(element.getView());
      if (view == views.end())
        return element.emitOpError("expects a view that is an argument of the kernel"), Value();
      // The lanes may be contiguous if the only index that varies is a clamped column.
      bool contiguous = true;
      for (Value index : element.getIndices())
        if (isa<VectorType>(lookup(index).getType()))
          contiguous &= isClampedColumn(index, map, values);
      values[element.getResult()] =
          emitElement(e, element, view->second, ArrayRef(operands).drop_front(), contiguous);
      continue;
    }
    Value value = emitElementwise(e, &op, operands);
    if (!value)
      return op.emitOpError("has no vector form on the host"), Value();
    values[op.getResult(0)] = value;
  }
  return lookup(wanted);
}
