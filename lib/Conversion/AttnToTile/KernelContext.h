// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What all parts of convert-attn-to-tile share: the plan, the kernel's arguments by what they bind,
// and the cloning of scalar code from attn regions into a kernel.
#ifndef ATTNC_LIB_CONVERSION_ATTNTOTILE_KERNELCONTEXT_H
#define ATTNC_LIB_CONVERSION_ATTNTOTILE_KERNELCONTEXT_H

#include "attnc/Analysis/KeyRanges.h"
#include "attnc/Plan/Plan.h"
#include "dialects/Attn/Attn.h"
#include "dialects/Tile/Tile.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/StringMap.h"

namespace attnc {

/// Scalars of the kernel that a region's coordinates are mapped to.
struct Coordinates {
  mlir::Value b, h, row, key;
  /// The key may be at or beyond size(kv): reads at it must be clamped.
  bool keyMayOverrun = false;
};

class KernelContext {
public:
  KernelContext(mlir::OpBuilder &builder, attn::VariantOp variant, KernelPlan plan)
      : builder(builder), variant(variant), plan(std::move(plan)) {}

  mlir::OpBuilder &builder;
  attn::VariantOp variant;
  KernelPlan plan;
  /// Views of inputs by the value of `attn.input`, outputs by name.
  llvm::DenseMap<mlir::Value, mlir::Value> inputViews;
  llvm::StringMap<mlir::Value> outputViews;
  /// i32 by index-space name: launch-time sizes and the constants for d and e.
  llvm::StringMap<mlir::Value> sizes;
  /// Values of the variant's body that were already emitted.
  mlir::IRMapping globals;
  /// The program's batch, query head and kv head, and its first query row.
  mlir::Value b, h, g, row0;

  mlir::Value i32(mlir::Location loc, int64_t value);
  mlir::Value f32(mlir::Location loc, double value);

  /// Emits a value of the variant's body (parameters, sizes, arithmetic on them) at the current
  /// point. Fails, with a diagnostic, on ops that have no scalar form.
  mlir::FailureOr<mlir::Value> materialize(mlir::Value value);
  /// Emits everything that `region` uses from outside, so that later clones find it in `globals`.
  mlir::LogicalResult materializeCaptures(mlir::Region &region);
  /// Clones a one-block region with its arguments mapped to `arguments` (the last four, or three,
  /// are b, h, q[, kv]) and returns the yielded value.
  mlir::FailureOr<mlir::Value> cloneRegion(mlir::Region &region, mlir::ValueRange arguments,
                                           const Coordinates &at);
  /// Emits a value of a region that is the same for all rows and keys.
  mlir::FailureOr<mlir::Value> materializeUniform(mlir::Value value);

private:
  mlir::FailureOr<mlir::Value>
  emitInOrder(mlir::Value root, llvm::function_ref<mlir::Value(mlir::Value)> known,
              llvm::function_ref<mlir::LogicalResult(mlir::Operation *)> emit);
  mlir::FailureOr<mlir::Value> lowerOp(mlir::Operation *op, mlir::IRMapping &mapping,
                                       const Coordinates &at);
  mlir::FailureOr<mlir::Value> lowerRead(attn::ReadOp read, mlir::IRMapping &mapping,
                                         const Coordinates &at);
  mlir::Value emitErf(mlir::Location loc, mlir::Value x);
  mlir::IRMapping uniforms;
};

/// Bounds of one key range, as key positions that are multiples of the key tile:
/// PARTIAL tiles in [start, fullStart) and [fullEnd, end), FULL tiles in [fullStart, fullEnd).
struct TileRange {
  mlir::Value start, fullStart, fullEnd, end;
};

/// The ranges to visit, in order and disjoint.
struct TileRanges {
  llvm::SmallVector<TileRange> ranges;
  bool hasLeadingPartial = true; ///< [start, fullStart) can be non-empty
  bool hasFull = true;           ///< [fullStart, fullEnd) can be non-empty
  /// i32: from this key on no row sees any, so that neither K nor V has to be there. A cache that
  /// is not written beyond a sequence's length costs no second walk (OnlineSoftmax.h).
  mlir::Value keyLimit;
};

/// Emits the bounds for the query tile that starts at `context.row0`.
mlir::FailureOr<TileRanges> emitTileRanges(KernelContext &context, attn::AttendOp attend,
                                           const KeyRanges &ranges);

/// Emits the online softmax and the stores of its results into the current kernel.
mlir::LogicalResult emitSoftmaxStage(KernelContext &context, attn::AttendOp attend,
                                     const KeyRanges &ranges, mlir::Value out, mlir::Value lse);

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_ATTNTOTILE_KERNELCONTEXT_H
