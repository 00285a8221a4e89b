// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Ops that a thread does element by element: fills, conversions, maps.
#include "Elements.h"

using namespace mlir;
using namespace attnc;
using tile::Coord;
using tile::LinearLayout;
using tile::TileType;

static LogicalResult lowerFill(KernelLowering &kl, tile::FillOp fill) {
  SmallVector<Type> types = kl.flatten(fill.getResult().getType());
  kl.fragments[fill.getResult()] = Fragment(types.size(), kl.scalars.lookup(fill.getValue()));
  return success();
}

/// Neighbouring columns that are neighbouring registers become one packed register by one
/// instruction.
static LogicalResult lowerCast(KernelLowering &kl, tile::CastOp cast) {
  Location loc = cast.getLoc();
  TileType from = cast.getInput().getType(), to = cast.getResult().getType();
  Fragment source = kl.fragments[cast.getInput()]; // a copy: new entries may move the old ones
  if (from.getElementType() == to.getElementType()) {
    kl.fragments[cast.getResult()] = source;
    return success();
  }
  Fragment result;
  if (to.getElementType().isF32()) {
    for (Value x : unpack(kl, loc, from, source))
      result.push_back(extended(kl.builder, loc, from.getElementType(), x));
  } else if (KernelLowering::isPacked(to)) {
    for (size_t i = 0; i < source.size(); i += 2)
      result.push_back(
          narrowedPair(kl.builder, loc, to.getElementType(), source[i], source[i + 1]));
  } else {
    for (Value x : source)
      result.push_back(narrowed(kl.builder, loc, to.getElementType(), x));
  }
  kl.fragments[cast.getResult()] = result;
  return success();
}

static LogicalResult lowerMap(KernelLowering &kl, tile::MapOp map) {
  Location loc = map.getLoc();
  TileType type = map.getResult().getType();
  LinearLayout layout(type.getLayout());
  SmallVector<int64_t> live = kl.liveRegisters(type);
  bool matrix = type.getRank() == 2;
  Block &body = *map.getBlock();
  bool usesRow = !map.getRow().use_empty(), usesCol = matrix && !map.getCol().use_empty();
  Value rowBase, colBase;
  if (usesRow)
    rowBase =
        kl.add(loc, kl.scalars.lookup(map.getRow0()), kl.laneCoordinate(loc, type, /*row=*/true));
  if (usesCol)
    colBase =
        kl.add(loc, kl.scalars.lookup(map.getCol0()), kl.laneCoordinate(loc, type, /*row=*/false));
  SmallVector<int64_t> rowOf = layout.rowSliceRegisters(), colOf = layout.columnSliceRegisters();
  /// Which of the elements of `input` stands next to the one that register `reg` holds.
  auto operandIndex = [&](TileType input, int64_t index, int64_t reg) {
    if (input.getShape() == type.getShape())
      return index;
    return input.getRank() == 1 ? rowOf[reg] : colOf[reg];
  };

  Fragment result;
  IRMapping &mapping = kl.scalars; // the region's values are overwritten for each element
  for (auto [index, reg] : llvm::enumerate(live)) {
    for (auto [input, arg] : llvm::zip(map.getInputs(), body.getArguments())) {
      int64_t at = operandIndex(cast<TileType>(input.getType()), index, reg);
      mapping.map(arg, kl.fragments[input][at]);
    }
    Coord at = layout.apply(reg, 0, 0);
    if (usesRow)
      mapping.map(map.getRow(), at.row ? kl.add(loc, rowBase, kl.i32(loc, at.row)) : rowBase);
    if (usesCol)
      mapping.map(map.getCol(), at.col ? kl.add(loc, colBase, kl.i32(loc, at.col)) : colBase);
    for (Operation &op : body.without_terminator()) {
      if (auto element = dyn_cast<tile::ElementOp>(op)) {
        FailureOr<Value> value = loadElement(kl, element, mapping);
        if (failed(value))
          return failure();
        mapping.map(element.getResult(), *value);
        continue;
      }
      if (!isScalarOp(&op))
        return op.emitOpError("is not supported in a map by the PTX back end");
      kl.builder.clone(op, mapping);
    }
    result.push_back(mapping.lookup(cast<tile::YieldOp>(body.getTerminator()).getValue()));
  }
  kl.fragments[map.getResult()] = result;
  return success();
}

void attnc::registerElementwise(NVVMOpTable &table) {
  table.add(lowerFill);
  table.add(lowerCast);
  table.add(lowerMap);
}
