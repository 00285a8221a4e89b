// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attn.invert: a program has a matrix, as one tile.
#include "Lowerings.h"
#include "Nest.h"
#include "TileBuilder.h"
#include "attnc/Analysis/Compilable.h"

using namespace mlir;
using namespace attnc;

namespace {

/// As many warps as the kernels of the products around it have, so that they can be one kernel.
constexpr int64_t kWarps = 4;

/// The rows and columns of the matrix are those of a tile.
Nest matrices(attn::InvertOp invert) {
  attn::AttnTensorType type = invert.getResult().getType();
  auto variant = invert->getParentOfType<attn::VariantOp>();
  int64_t size = fixedExtent(variant, invert.getRow()).value_or(0);
  TiledAxes tiled;
  for (unsigned axis = 0; axis < type.getRank(); ++axis) {
    if (type.getAxisName(axis) == invert.getRow())
      tiled.rows = axis;
    if (type.getAxisName(axis) == invert.getColumn())
      tiled.cols = axis;
  }
  tiled.rowTile = tiled.colTile = size;
  return Nest(type, tiled);
}

class InvertLowering : public NestLowering {
public:
  explicit InvertLowering(attn::InvertOp invert)
      : NestLowering(invert, matrices(invert)), invert(invert) {}

  int64_t warps() override { return kWarps; }

private:
  LogicalResult emitAt(Evaluator &evaluator, Scope &, const NestPoint &point) override {
    KernelContext &context = evaluator.context;
    Location loc = invert.getLoc();
    attn::AttnTensorType type = invert.getResult().getType();
    std::optional<int64_t> size =
        fixedExtent(invert->getParentOfType<attn::VariantOp>(), invert.getRow());
    if (!size || *size < tile::InvertOp::kBlock || *size > tile::InvertOp::kMostRows ||
        !llvm::isPowerOf2_64(*size))
      return emitError(loc,
                       "expects a matrix that is known to have 16, 32 or 64 rows: `attn.solve` "
                       "takes any number of them");
    Value first = context.i32(loc, 0);
    TileBuilder tiles(context, loc, first);
    tile::TileType matrixType = tiles.type({*size, *size}, context.builder.getF32Type());
    Value matrix = tiles.map(matrixType, {}, [&](ValueRange at) -> Value {
      SmallVector<Value> indices = context.leading.lookup(invert.getMatrix());
      for (unsigned axis = 0; axis < type.getRank(); ++axis)
        indices.push_back(type.getAxisName(axis) == invert.getRow()      ? at[0]
                          : type.getAxisName(axis) == invert.getColumn() ? at[1]
                                                                         : point.indices[axis]);
      return tile::ElementOp::create(context.builder, loc, context.builder.getF32Type(),
                                     context.views.lookup(invert.getMatrix()), indices);
    });
    Value inverse = tile::InvertOp::create(context.builder, loc, matrixType, matrix,
                                           invert.getRounded(), IntegerAttr());
    return nest.store(context, invert, inverse, context.views.lookup(invert.getResult()),
                      context.leading.lookup(invert.getResult()), point);
  }

  attn::InvertOp invert;
};

} // namespace

std::unique_ptr<StageLowering> attnc::lowerInvert(Operation *op, const KernelPlan &) {
  return std::make_unique<InvertLowering>(cast<attn::InvertOp>(op));
}
