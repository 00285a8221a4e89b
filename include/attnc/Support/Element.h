// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Elements of tensors one by one, and the names of their types. No MLIR here.
#ifndef ATTNC_SUPPORT_ELEMENT_H
#define ATTNC_SUPPORT_ELEMENT_H

#include "attnc/Runtime/Tensor.h"
#include <optional>
#include <string_view>

namespace attnc {

/// The name of a dtype in messages, options and files: "f32", "f16", "bf16", "i32" or "bool".
const char *dtypeName(DType dtype);
/// The dtype of that name, or nothing.
std::optional<DType> parseDType(std::string_view name);

/// The element that is `offset` elements behind `tensor.data`, which every dtype has a double for;
/// bool is 0 or 1. Bounds are not checked.
double loadElement(const TensorView &tensor, int64_t offset);
/// Stores `value` there, rounded to the dtype: floating point to nearest by way of f32, i32, whose
/// range it must be in, towards 0; any number but 0 is true.
void storeElement(const TensorView &tensor, int64_t offset, double value);

} // namespace attnc

#endif // ATTNC_SUPPORT_ELEMENT_H
