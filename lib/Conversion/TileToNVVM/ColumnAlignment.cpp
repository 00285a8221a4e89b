// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// ColumnAlignment.h explains.
#include "ColumnAlignment.h"
#include "dialects/Tile/KernelFacts.h"
#include <numeric>

using namespace mlir;
using namespace attnc;

/// No access of PTX is wider.
constexpr int64_t kMostBytes = 16;

int64_t attnc::columnAlignment(KernelLowering &kl, Value view, tile::TileType type, Value col0,
                               int64_t offset) {
  int64_t bytes = kl.elementBytes(view);
  auto argument = dyn_cast<BlockArgument>(view);
  if (!argument || !cast<tile::ViewType>(view.getType()).getUnitStride())
    return bytes;
  auto rows =
      kl.kernel.getArgAttrOfType<IntegerAttr>(argument.getArgNumber(), "tile.row_alignment");
  if (!rows)
    return bytes;
  tile::LinearLayout layout(type.getLayout());
  int64_t columns = std::gcd(tile::divisorOf(col0), offset);
  for (const auto &bases : {layout.laneBases(), layout.warpBases()})
    for (tile::Coord basis : bases)
      columns = std::gcd(columns, int64_t(basis.col));
  int64_t divisor = std::gcd(std::gcd(kMostBytes, rows.getInt()), columns * bytes);
  return std::max(bytes, divisor & -divisor);
}
