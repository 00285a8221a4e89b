// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// How the elements of a tensor over named axes are computed: two axes are the rows and columns of
// tiles, the others are taken index by index. In a kernel of its own, each tile of each of these is
// a program; within a kernel they are loops.
#ifndef ATTNC_LIB_CONVERSION_ATTNTOTILE_NEST_H
#define ATTNC_LIB_CONVERSION_ATTNTOTILE_NEST_H

#include "BlockLoads.h"
#include "Evaluator.h"
#include "Lowerings.h"

namespace attnc {

/// Which axes of a tensor are tiled.
struct TiledAxes {
  /// Positions. No rows: these are taken one by one, or the tensor is over batch and heads only.
  std::optional<unsigned> rows, cols;
  int64_t rowTile = 1, colTile = 1;
};

/// The last two axes that are not `b`, `h` or `g`, which are many small problems rather than a long
/// one. Tiles are as large as a thread block of `target` likes them, or as the axis is. Those of
/// `singly` are not tiled.
TiledAxes tiledAxesOf(attn::VariantOp variant, attn::AttnTensorType type, const Target &target,
                      llvm::ArrayRef<llvm::StringRef> singly = {});
/// Elements of a tile along `axis`: `most`, or fewer if the axis is known to be shorter.
int64_t tileFor(attn::VariantOp variant, attn::AttnTensorType type, unsigned axis, int64_t most,
                const Target &target);
/// Warps of a block that computes such tiles.
int64_t warpsFor(const TiledAxes &tiled);

/// Where one program, or one turn of the loops, is.
struct NestPoint {
  /// For each axis its index (i32) or, for the tiled ones, the first index of the tile.
  llvm::SmallVector<mlir::Value> indices;
};

class Nest {
public:
  Nest(attn::AttnTensorType type, TiledAxes tiled) : type(type), tiled(tiled) {}

  /// The axes whose sizes launches tell.
  llvm::SmallVector<IndependentAxis> independentAxes(attn::VariantOp variant) const;
  /// How many programs there are (i32), by the sizes of spaces or their parts.
  mlir::FailureOr<mlir::Value> programs(KernelContext &context, mlir::Operation *op) const;
  /// The point of program `id` (i32).
  mlir::FailureOr<NestPoint> pointOf(KernelContext &context, mlir::Operation *op,
                                     mlir::Value id) const;
  /// Runs `body` at all points, or those of the parts that the context has, in loops.
  using Body = llvm::function_ref<mlir::LogicalResult(Scope &, const NestPoint &)>;
  mlir::LogicalResult forEachPoint(Evaluator &evaluator, Scope &scope, mlir::Operation *op,
                                   Body body) const;
  /// Binds `arguments`, one for each axis, at `point` and gives the frame of the tile there.
  Frame bind(Evaluator &evaluator, Scope &scope, mlir::ValueRange arguments,
             const NestPoint &point) const;
  /// Stores `tile`, of the frame that `bind` gave, at `point` in a view over `leading` and then the
  /// axes.
  mlir::LogicalResult store(KernelContext &context, mlir::Operation *op, mlir::Value tile,
                            mlir::Value view, mlir::ValueRange leading,
                            const NestPoint &point) const;

private:
  mlir::FailureOr<mlir::Value> sizeOf(KernelContext &context, mlir::Operation *op,
                                      unsigned axis) const;
  mlir::FailureOr<mlir::Value> countOf(KernelContext &context, mlir::Operation *op,
                                       unsigned axis) const;
  int64_t tileOf(unsigned axis) const;
  /// The indices along `axis` that are to be computed, from one on up to another one; and whether
  /// that is one tile at most.
  struct Span {
    mlir::Value from, to;
    bool isTile;
  };
  mlir::FailureOr<Span> spanOf(KernelContext &context, mlir::Operation *op, unsigned axis) const;
  mlir::LogicalResult loopOver(Evaluator &evaluator, Scope &scope, mlir::Operation *op,
                               NestPoint &point, Body body) const;

  attn::AttnTensorType type;
  TiledAxes tiled;
};

/// A stage whose results are computed point by point of a nest.
class NestLowering : public StageLowering {
public:
  NestLowering(mlir::Operation *op, Nest nest) : stage(op), nest(std::move(nest)) {}

  mlir::FailureOr<Grid> grid(KernelContext &context) override;
  llvm::SmallVector<IndependentAxis> independentAxes() override;
  bool isOperand(mlir::Value tensor) override { return movesBlocksOf(stage, tensor); }
  mlir::LogicalResult emit(KernelContext &context) override;
  bool canShareKernel() override { return true; }
  mlir::LogicalResult emitParts(KernelContext &context) override;

protected:
  /// Emits what belongs to `point`, with `evaluator` in `scope`: the kernel's, or the body of loops
  /// over points.
  virtual mlir::LogicalResult emitAt(Evaluator &evaluator, Scope &scope,
                                     const NestPoint &point) = 0;

  mlir::Operation *stage;
  Nest nest;
};

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_ATTNTOTILE_NEST_H
