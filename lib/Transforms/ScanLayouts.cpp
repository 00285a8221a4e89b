// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// See ScanLayouts.h.
#include "ScanLayouts.h"
#include "dialects/Tile/TileLayouts.h"

using namespace mlir;
using namespace attnc;
using tile::LinearLayout;
using tile::LinearLayoutAttr;
using tile::TileType;

static TileType typeOf(Value value) { return cast<TileType>(value.getType()); }

static void setLayout(Value value, LinearLayoutAttr layout) {
  TileType type = typeOf(value);
  value.setType(TileType::get(type.getContext(), type.getShape(), type.getElementType(), layout));
}

static bool isAlongRows(tile::ScanOp scan) {
  return scan.getAxis() == tile::Axis::Rows &&
         llvm::isPowerOf2_64(scan.getInput().getType().getCols()) &&
         llvm::isPowerOf2_64(scan.getInput().getType().getRows());
}

LinearLayoutAttr attnc::scanRowsLayout(tile::ScanOp scan, int64_t warps) {
  TileType type = scan.getInput().getType();
  return LinearLayout::partsOfRows(type.getCols(), type.getRows(), scan.getPart(), warps)
      .transposed()
      .toAttr(scan.getContext());
}

namespace {

/// What is computed from results of scans of one layout, in a straight line.
class ScanRegion {
public:
  ScanRegion(TileType shape, LinearLayoutAttr layout, int64_t warps)
      : warps(warps), layout(layout), shape(shape) {}

  /// Gives the layout to `value`, if it has none, and to what is computed from it.
  void spread(Value value);
  /// Gives what a map of this layout reads, if nothing else does, the layout that it reads it in.
  void takeInputs(tile::MapOp map);

private:
  bool isSameShape(Value value) {
    auto type = dyn_cast<TileType>(value.getType());
    return type && type.getShape() == shape.getShape();
  }
  bool staysIn(Value value);

  int64_t warps;
  LinearLayoutAttr layout;
  TileType shape;
};

} // namespace

/// Whether all that reads `value` may have it in this layout.
bool ScanRegion::staysIn(Value value) {
  return llvm::all_of(value.getUsers(), [&](Operation *user) {
    if (auto scan = dyn_cast<tile::ScanOp>(user))
      return isAlongRows(scan) && scanRowsLayout(scan, warps) == layout;
    if (auto map = dyn_cast<tile::MapOp>(user))
      return isSameShape(map.getResult()) && staysIn(map.getResult());
    return isa<tile::StoreBlockOp>(user);
  });
}

void ScanRegion::takeInputs(tile::MapOp map) {
  for (Value input : map.getInputs()) {
    auto source = input.getDefiningOp<tile::MapOp>();
    if (!source || typeOf(input).getLayout())
      continue;
    LinearLayoutAttr wanted = tile::operandLayout(typeOf(input), map.getResult().getType());
    bool isOnlyHere = llvm::all_of(input.getUsers(), [&](Operation *user) {
      auto reader = dyn_cast<tile::MapOp>(user);
      return reader && tile::operandLayout(typeOf(input), reader.getResult().getType()) == wanted;
    });
    if (!isOnlyHere)
      continue;
    setLayout(input, wanted);
    takeInputs(source);
  }
}

void ScanRegion::spread(Value value) {
  if (typeOf(value).getLayout() || !staysIn(value))
    return;
  setLayout(value, layout);
  if (auto map = value.getDefiningOp<tile::MapOp>())
    takeInputs(map);
  for (Operation *user : value.getUsers())
    if (isa<tile::ScanOp, tile::MapOp>(user))
      spread(user->getResult(0));
}

/// What is combined along rows to one for each column, of which there is one for each thread.
static Value wholeColumns(Operation *op, int64_t warps) {
  Value input;
  if (auto fold = dyn_cast<tile::FoldOp>(op); fold && fold.getInputs().size() == 1)
    input = fold.getAxis() == tile::Axis::Rows ? fold.getInputs().front() : Value();
  if (auto reduce = dyn_cast<tile::ReduceOp>(op))
    input = reduce.getAxis() == tile::Axis::Rows ? reduce.getInput() : Value();
  auto map = input ? input.getDefiningOp<tile::MapOp>() : tile::MapOp();
  bool isOwn = map && input.hasOneUse() && llvm::isPowerOf2_64(typeOf(input).getRows()) &&
               llvm::isPowerOf2_64(typeOf(input).getCols()) &&
               typeOf(input).getCols() >= 32 * warps;
  return isOwn ? input : Value();
}

void attnc::chooseScanLayouts(tile::KernelOp kernel) {
  int64_t warps = kernel.getNumWarps();
  kernel.walk([&](Operation *op) {
    if (Value input = wholeColumns(op, warps); input && !typeOf(input).getLayout()) {
      TileType type = typeOf(input);
      LinearLayoutAttr layout =
          LinearLayout::partsOfRows(type.getCols(), type.getRows(), type.getRows(), warps)
              .transposed()
              .toAttr(kernel.getContext());
      setLayout(input, layout);
      ScanRegion(type, layout, warps).takeInputs(input.getDefiningOp<tile::MapOp>());
    }
    auto scan = dyn_cast<tile::ScanOp>(op);
    if (!scan || !isAlongRows(scan))
      return;
    ScanRegion region(scan.getInput().getType(), scanRowsLayout(scan, warps), warps);
    if (scan.getInput().getDefiningOp<tile::MapOp>())
      region.spread(scan.getInput());
    region.spread(scan.getResult());
  });
}
