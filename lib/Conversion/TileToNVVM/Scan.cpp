// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Prefixes along an axis: a thread holds all elements that are combined, and takes them in order.
#include "Elements.h"

using namespace mlir;
using namespace attnc;
using tile::Coord;
using tile::LinearLayout;
using tile::ReduceKind;
using tile::TileType;

/// What changes nothing when it is combined with an element.
static Value neutral(KernelLowering &kl, Location loc, ReduceKind kind, Type element) {
  if (element.isInteger(32))
    return kl.i32(loc, kind == ReduceKind::Max       ? INT32_MIN
                       : kind == ReduceKind::Min     ? INT32_MAX
                       : kind == ReduceKind::Product ? 1
                                                     : 0);
  float value = kind == ReduceKind::Max       ? -INFINITY
                : kind == ReduceKind::Min     ? INFINITY
                : kind == ReduceKind::Product ? 1.0f
                                              : 0.0f;
  return arith::ConstantOp::create(kl.builder, loc, kl.builder.getF32FloatAttr(value));
}

static LogicalResult lowerScan(KernelLowering &kl, tile::ScanOp scan) {
  Location loc = scan.getLoc();
  TileType type = scan.getInput().getType();
  LinearLayout layout(type.getLayout());
  bool alongRows = scan.getAxis() == tile::Axis::Rows;
  // Indices of fragments: for each row (or column), and part of it, by its column (or row). What
  // lanes and warps add is the same for all of a part.
  std::map<std::pair<int32_t, int32_t>, std::map<int32_t, size_t>> chains;
  for (auto [index, reg] : llvm::enumerate(KernelLowering::liveRegisters(type))) {
    Coord at = layout.apply(reg, 0, 0);
    int32_t along = alongRows ? at.row : at.col, kept = alongRows ? at.col : at.row;
    chains[{kept, along / int32_t(scan.getPart())}][along] = index;
  }
  Fragment input = kl.fragments[scan.getInput()], result(input.size());
  for (const auto &[kept, chain] : chains) {
    Value before;
    auto step = [&](size_t index) {
      Value next = before ? combineElements(kl.builder, loc, scan.getKind(), before, input[index])
                          : input[index];
      if (scan.getExclusive())
        result[index] = before ? before : neutral(kl, loc, scan.getKind(), type.getElementType());
      else
        result[index] = next;
      before = next;
    };
    if (scan.getReverse())
      for (auto it = chain.rbegin(); it != chain.rend(); ++it)
        step(it->second);
    else
      for (const auto &[position, index] : chain)
        step(index);
  }
  kl.fragments[scan.getResult()] = result;
  return success();
}

void attnc::registerScan(NVVMOpTable &table) { table.add(lowerScan); }
