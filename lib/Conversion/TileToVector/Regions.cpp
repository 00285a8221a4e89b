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

/// What the lanes of `index`, a value in the region, are, if it is the column (or the row of a
/// vector), perhaps shifted by uniform values or clamped against them: consecutive but where a
/// clamp bites.
static Lanes lanesOf(Emitter &e, Value index, tile::MapOp map,
                     const llvm::DenseMap<Value, Value> &values) {
  tile::TileType type = map.getResult().getType();
  bool matrix = type.getRank() == 2;
  if (index == (matrix ? map.getCol() : map.getRow())) // the padding behind a tile is clamped
    return (matrix ? type.getCols() : type.getRows()) % e.lanes ? Lanes::Clamped
                                                                : Lanes::Consecutive;
  Operation *op = index.getDefiningOp();
  if (!op || !isa<arith::AddIOp, arith::SubIOp, arith::MinSIOp, arith::MaxSIOp>(op))
    return Lanes::Any;
  auto isUniform = [&](Value v) {
    auto it = values.find(v);
    return it == values.end() || !isa<VectorType>(it->second.getType());
  };
  Value lhs = op->getOperand(0), rhs = op->getOperand(1);
  Lanes lanes = isUniform(rhs)                              ? lanesOf(e, lhs, map, values)
                : !isa<arith::SubIOp>(op) && isUniform(lhs) ? lanesOf(e, rhs, map, values)
                                                            : Lanes::Any;
  bool clamps = isa<arith::MinSIOp, arith::MaxSIOp>(op);
  return lanes == Lanes::Consecutive && clamps ? Lanes::Clamped : lanes;
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
                         Lanes lanes) {
  Type element = op.getView().getType().getElementType();
  int64_t size = byteSize(element);
  Value base = view.base, varying, varyingIndex, varyingStride;
  for (auto [index, stride] : llvm::zip(indices, view.strides)) {
    if (!isa<VectorType>(index.getType())) {
      base = e.offset(base, e.mulc(e.mul(e.toI64(index), stride), size));
      continue;
    }
    Value term = e.mul(e.toI64(index), e.splat(e.mulc(stride, size)));
    if (varying)
      lanes = Lanes::Any;
    varying = varying ? e.add(varying, term) : term;
    varyingIndex = index;
    varyingStride = stride;
  }
  if (!varying)
    return loadElements(e, base, element, /*vector=*/false, !view.isWritten);
  if (lanes == Lanes::Any)
    return gatherElements(e, base, varying, element);

  Value first = e.lane(varyingIndex, 0), contiguous;
  if (lanes ==
      Lanes::Clamped) { // they never decrease and never skip, so comparing the ends decides
    Value last = e.lane(varyingIndex, e.lanes - 1);
    contiguous = arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::eq, e.sub(last, first),
                                       e.constI32(e.lanes - 1));
  }
  if (!matchPattern(varyingStride, m_One())) {
    Value unit =
        arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::eq, varyingStride, e.constI64(1));
    contiguous =
        contiguous ? arith::AndIOp::create(e.b, e.loc, contiguous, unit).getResult() : unit;
  }
  auto together = [&] {
    Value start = e.offset(base, e.mulc(e.toI64(first), size));
    return loadElements(e, start, element, /*vector=*/true, !view.isWritten);
  };
  if (!contiguous)
    return together();
  Type result = element.isInteger(1) || element.isInteger(32) ? e.vec(element) : e.vf32;
  auto choice =
      scf::IfOp::create(e.b, e.loc, TypeRange{result}, contiguous, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(e.b);
  e.b.setInsertionPointToStart(choice.thenBlock());
  scf::YieldOp::create(e.b, e.loc, together());
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
      // At most one index varies where lanes are neighbours.
      Lanes lanes = Lanes::Consecutive;
      for (Value index : element.getIndices())
        if (isa<VectorType>(lookup(index).getType()))
          lanes = std::min(lanes, lanesOf(e, index, map, values));
      values[element.getResult()] =
          emitElement(e, element, view->second, ArrayRef(operands).drop_front(), lanes);
      continue;
    }
    Value value = emitElementwise(e, &op, operands);
    if (!value)
      return op.emitOpError("has no vector form on the host"), Value();
    values[op.getResult(0)] = value;
  }
  return lookup(wanted);
}
