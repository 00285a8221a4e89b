// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Reductions: registers in the thread, then lanes by shuffles.
#include "KernelLowering.h"

using namespace mlir;
using namespace attnc;
using tile::Coord;
using tile::LinearLayout;
using tile::TileType;

/// Registers of a row are combined in the thread, then lanes that share the row by butterfly
/// shuffles.
static LogicalResult lowerReduce(KernelLowering &kl, tile::ReduceOp reduce) {
  Location loc = reduce.getLoc();
  TileType type = reduce.getInput().getType();
  LinearLayout layout(type.getLayout());
  if (llvm::any_of(layout.warpBases(),
                   [](Coord basis) { return basis.col != 0 || basis.isZero(); }))
    return reduce.emitOpError("expects rows that one warp holds, found ") << type;
  const Fragment &input = kl.fragments[reduce.getInput()];
  auto combine = [&](Value a, Value b) -> Value {
    if (reduce.getKind() == tile::ReduceKind::Max)
      return arith::MaxNumFOp::create(kl.builder, loc, a, b);
    return arith::AddFOp::create(kl.builder, loc, a, b);
  };
  Fragment rows(layout.rowSlice().registerCount());
  SmallVector<int64_t> rowOf = layout.rowSliceRegisters();
  for (auto [value, reg] : llvm::zip(input, kl.liveRegisters(type))) {
    Value &row = rows[rowOf[reg]];
    row = row ? combine(row, value) : value;
  }
  Value everyone = kl.i32(loc, -1), clamp = kl.i32(loc, 31);
  for (int64_t mask : layout.columnLaneMasks())
    for (Value &row : rows) {
      Value other =
          NVVM::ShflOp::create(kl.builder, loc, row.getType(), everyone, row, kl.i32(loc, mask),
                               clamp, NVVM::ShflKind::bfly, UnitAttr());
      row = combine(row, other);
    }
  kl.fragments[reduce.getResult()] = rows;
  return success();
}

void attnc::registerReductions(NVVMOpTable &table) { table.add(lowerReduce); }
