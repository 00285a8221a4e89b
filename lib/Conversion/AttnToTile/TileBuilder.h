// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Short ways to write tile ops at the rows of a program.
#ifndef ATTNC_LIB_CONVERSION_ATTNTOTILE_TILEBUILDER_H
#define ATTNC_LIB_CONVERSION_ATTNTOTILE_TILEBUILDER_H

#include "KernelContext.h"

namespace attnc {

class TileBuilder {
public:
  using Element = llvm::function_ref<mlir::Value(mlir::ValueRange)>;
  using FallibleElement = llvm::function_ref<mlir::FailureOr<mlir::Value>(mlir::ValueRange)>;

  /// Maps see rows from `row0` (i32) on.
  TileBuilder(KernelContext &context, mlir::Location loc, mlir::Value row0)
      : context(context), builder(context.builder), loc(loc), row0(row0) {}

  tile::TileType type(llvm::ArrayRef<int64_t> shape, mlir::Type element) const {
    return tile::TileType::get(builder.getContext(), shape, element, tile::LinearLayoutAttr());
  }
  mlir::Value fill(tile::TileType type, double value) {
    return tile::FillOp::create(builder, loc, type, f32(value));
  }
  mlir::Value reduce(tile::ReduceKind kind, tile::TileType rows, mlir::Value matrix) {
    return tile::ReduceOp::create(builder, loc, rows, kind, matrix);
  }
  mlir::Value f32(double value) { return context.f32(loc, value); }

  /// A map whose region is built by `element` from the operands' elements and the coordinates;
  /// columns start at `col0` (null: 0).
  mlir::Value map(tile::TileType type, mlir::ValueRange inputs, Element element,
                  mlir::Value col0 = {});
  /// The same, where `element` may fail.
  mlir::FailureOr<mlir::Value> tryMap(tile::TileType type, mlir::ValueRange inputs,
                                      FallibleElement element, mlir::Value col0 = {});

  // Scalars in a map's region.
  mlir::Value add(mlir::Value x, mlir::Value y);
  mlir::Value sub(mlir::Value x, mlir::Value y);
  mlir::Value mul(mlir::Value x, mlir::Value y);
  mlir::Value div(mlir::Value x, mlir::Value y);
  mlir::Value neg(mlir::Value x);
  mlir::Value abs(mlir::Value x);
  mlir::Value fma(mlir::Value x, mlir::Value y, mlir::Value z);
  mlir::Value exp2(mlir::Value x);
  mlir::Value log2(mlir::Value x);
  /// The larger one; the other one if one is NaN.
  mlir::Value max(mlir::Value x, mlir::Value y);
  mlir::Value compare(mlir::arith::CmpFPredicate predicate, mlir::Value x, mlir::Value y);
  mlir::Value both(mlir::Value x, mlir::Value y);
  mlir::Value either(mlir::Value x, mlir::Value y);
  mlir::Value select(mlir::Value condition, mlir::Value yes, mlir::Value no);

  KernelContext &context;
  mlir::OpBuilder &builder;
  mlir::Location loc;

private:
  mlir::Value row0;
};

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_ATTNTOTILE_TILEBUILDER_H
