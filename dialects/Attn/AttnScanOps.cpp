// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Verifiers of scans and triangular systems. Each check names the constraint that it enforces.
#include "VerifyRegions.h"
#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace attnc::attn;

static bool hasAxis(AttnTensorType type, StringRef space) {
  return llvm::is_contained(type.getAxes(), StringAttr::get(type.getContext(), space));
}

LogicalResult ScanOp::verify() {
  // attn.scan C1
  if (getTensors().empty())
    return emitOpError("expects at least one tensor");
  auto first = cast<AttnTensorType>(getTensors().front().getType());
  for (Value tensor : getTensors()) {
    auto type = cast<AttnTensorType>(tensor.getType());
    if (!hasAxis(type, getSpace()))
      return emitOpError() << "expects rows over an axis of the tensors, found \"" << getSpace()
                           << "\" and " << type;
    if (type.getAxes() != first.getAxes())
      return emitOpError() << "expects tensors over the same axes, found " << first << " and "
                           << type;
    if (elementScalar(type).isInteger(1))
      return emitOpError() << "expects tensors of numbers, found " << type;
  }
  // attn.scan C2
  if (getIdentities().size() != getTensors().size() || getNumResults() != getTensors().size())
    return emitOpError() << "expects an identity and a result for each of " << getTensors().size()
                         << " tensors, found " << getIdentities().size() << " and "
                         << getNumResults();
  for (auto [tensor, identity, result] :
       llvm::zip_equal(getTensors(), getIdentities(), getResults())) {
    Type element = elementScalar(cast<AttnTensorType>(tensor.getType()));
    auto expected = AttnTensorType::get(getContext(), first.getAxes(), element);
    if (identity.getType() != element)
      return emitOpError() << "expects an identity of type " << element << ", found "
                           << identity.getType();
    if (result.getType() != expected)
      return emitOpError() << "expects a result of type " << expected << ", found "
                           << result.getType();
  }
  return success();
}

LogicalResult ScanOp::verifyRegions() {
  // attn.scan C3
  SmallVector<Type> values(getIdentities().getTypes()), arguments(values);
  arguments.append(values);
  if (failed(verifyScalarRegion(*this, "combine", getBody(), arguments, values)))
    return failure();
  // attn.scan C4
  for (Operation &inner : getBody().front().without_terminator()) {
    StringRef dialect = inner.getName().getDialectNamespace();
    bool decides = llvm::is_contained(
        {"arith.cmpf", "arith.fptosi", "math.floor", "math.ceil", "math.roundeven"},
        inner.getName().getStringRef());
    if ((dialect == "arith" || dialect == "math") && !decides)
      continue;
    InFlightDiagnostic diagnostic =
        emitOpError() << "expects scalar arithmetic that decides nothing by reals in the combine "
                         "region, found `"
                      << inner.getName() << "`";
    diagnostic.attachNote(inner.getLoc()) << "found here";
    return diagnostic;
  }
  return success();
}

LogicalResult SolveOp::verify() {
  AttnTensorType matrix = getMatrix().getType(), rhs = getRhs().getType();
  // attn.solve C1
  if (getRow() == getColumn() || !hasAxis(matrix, getRow()) || !hasAxis(matrix, getColumn()))
    return emitOpError() << "expects two axes of the matrix as its rows and columns, found \""
                         << getRow() << "\", \"" << getColumn() << "\" and " << matrix;
  if (!hasAxis(rhs, getRow()) || hasAxis(rhs, getColumn()))
    return emitOpError() << "expects a right side over \"" << getRow() << "\" and not over \""
                         << getColumn() << "\", found " << rhs;
  // attn.solve C2
  for (Attribute axis : matrix.getAxes())
    if (axis != getColumnAttr() && !llvm::is_contained(rhs.getAxes(), axis))
      return emitOpError() << "expects the axes of the matrix beside its columns in the right "
                              "side, found "
                           << matrix << " and " << rhs;
  // attn.solve C3
  for (AttnTensorType type : {matrix, rhs})
    if (isa<IntegerType>(type.getElementType()))
      return emitOpError() << "expects tensors of reals, found " << type;
  auto expected = AttnTensorType::get(getContext(), rhs.getAxes(), Float32Type::get(getContext()));
  if (getResult().getType() != expected)
    return emitOpError() << "expects a result of type " << expected << ", found "
                         << getResult().getType();
  return success();
}

LogicalResult InvertOp::verify() {
  AttnTensorType matrix = getMatrix().getType();
  // attn.invert C1
  if (getRow() == getColumn() || !hasAxis(matrix, getRow()) || !hasAxis(matrix, getColumn()))
    return emitOpError() << "expects two axes of the matrix as its rows and columns, found \""
                         << getRow() << "\", \"" << getColumn() << "\" and " << matrix;
  // attn.invert C2
  if (isa<IntegerType>(matrix.getElementType()))
    return emitOpError() << "expects a matrix of reals, found " << matrix;
  auto expected =
      AttnTensorType::get(getContext(), matrix.getAxes(), Float32Type::get(getContext()));
  if (getResult().getType() != expected)
    return emitOpError() << "expects a result of type " << expected << ", found "
                         << getResult().getType();
  return success();
}
