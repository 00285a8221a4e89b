// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Checks of what a caller passes, one text for each fault: the command line, C, C++ and Python, and
// every device, report the same mistake in the same words because they all ask here.
#ifndef ATTNC_SUPPORT_CHECKS_H
#define ATTNC_SUPPORT_CHECKS_H

#include "attnc/Support/Failure.h"
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace attnc {

/// The shortest decimal text that reads back as `value`: "2.5", "2147483648", "nan".
std::string numberText(double value);

/// Checks that a parameter's type can hold `value`: an int is a whole number of 32 bits, an f32 any
/// number of its range, NaN or an infinity. The failure names the parameter.
Failure checkParamValue(const std::string &name, bool isInteger, double value);

/// "; did you mean `window`?" if one of `known` is but a typing error away from `name`, else "".
std::string didYouMean(std::string_view name, const std::vector<std::string> &known);

/// The memory of one tensor of a launch; `shape` and `strides` (in elements) have `rank` numbers
/// each and belong to the caller.
struct StridedMemory {
  std::string_view name;
  uintptr_t address; ///< of element 0, in any address space, as long as all are in the same one
  int64_t unit;      ///< bytes of an element
  const int64_t *shape, *strides;
  size_t rank;
  bool isOutput;
};

/// Checks that no two elements of an output share memory: threads write them independently. The
/// failure names the tensor.
Failure checkSelfOverlap(const StridedMemory &output);

/// Checks that no output shares a byte with an input or with another output, by the elements that
/// they have and not by the range they lie in: a slice of a buffer may be written while another one
/// is read. Inputs may share memory. Strides that would take too long to decide count as sharing.
/// The failure names both tensors.
Failure checkOverlaps(const std::vector<StridedMemory> &tensors);

} // namespace attnc

#endif // ATTNC_SUPPORT_CHECKS_H
