// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What an attention computes for each row and key, as formulas: the product of query and key with
// its scale, and whether a key is in the set, are written out like what its regions say.
#ifndef ATTNC_DIALECTS_ATTN_ATTENDFORMULAS_H
#define ATTNC_DIALECTS_ATTN_ATTENDFORMULAS_H

#include "dialects/Attn/Attn.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Builders.h"
#include <functional>

namespace attnc::attn {

class AttendFormulas {
public:
  /// The indices (i32) that a formula is at: those of the query's axes before the row, the row, and
  /// the key.
  struct Point {
    llvm::SmallVector<mlir::Value> outer;
    mlir::Value row, key;
  };

  explicit AttendFormulas(AttendOp attend)
      : attend(attend), loc(attend.getLoc()), query(attend.getQuery().getType()) {}

  // Each emits at the place of `b` and fails, at the attention, where an index of a key, value or
  // set does not follow from those of the query.

  /// x, the scaled product behind the score region (f32).
  mlir::FailureOr<mlir::Value> score(mlir::OpBuilder &b, const Point &point);
  /// Whether the mask and the set let the key take part (i1); null if there is neither.
  mlir::FailureOr<mlir::Value> mask(mlir::OpBuilder &b, const Point &point);
  /// The key's value in a column (f32).
  mlir::FailureOr<mlir::Value> value(mlir::OpBuilder &b, const Point &point, mlir::Value column);
  /// The row's sink (f32); null if there is none.
  mlir::Value sink(mlir::OpBuilder &b, const Point &point);
  /// What `region` yields for `arguments`.
  static mlir::Value inlined(mlir::OpBuilder &b, mlir::Region &region, mlir::ValueRange arguments);

private:
  using Membership =
      std::function<mlir::FailureOr<mlir::Value>(mlir::OpBuilder &, mlir::Value index)>;
  mlir::FailureOr<mlir::Value> indexOn(mlir::OpBuilder &b, const Point &point,
                                       llvm::StringRef space);
  mlir::FailureOr<mlir::Value> read(mlir::OpBuilder &b, const Point &point, mlir::Value tensor,
                                    llvm::ArrayRef<mlir::Value> last);
  mlir::FailureOr<mlir::Value> product(mlir::OpBuilder &b, const Point &point);
  mlir::Value scaled(mlir::OpBuilder &b, mlir::Value product);
  mlir::FailureOr<mlir::Value> isInSet(mlir::OpBuilder &b, const Point &point);
  mlir::FailureOr<mlir::Value> isInBlock(mlir::OpBuilder &b, llvm::StringRef space,
                                         mlir::Value member, const Membership &holds);
  mlir::Value i32(mlir::OpBuilder &b, int64_t value);
  mlir::Value sizeOf(mlir::OpBuilder &b, llvm::StringRef space);

  AttendOp attend;
  mlir::Location loc;
  AttnTensorType query;
};

} // namespace attnc::attn

#endif // ATTNC_DIALECTS_ATTN_ATTENDFORMULAS_H
