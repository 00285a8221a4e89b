// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A checked run in other memory: shapes, strides, dtypes and parameters have been checked, and only
// what depends on addresses is looked at again. No MLIR here.
#ifndef ATTNC_RUNTIME_PLACES_H
#define ATTNC_RUNTIME_PLACES_H

#include "attnc/Runtime/Arguments.h"

namespace attnc {

/// Where one tensor of a run lies.
struct TensorPlace {
  int64_t begin = 0, end = 0; ///< the bytes of its elements, from its address on; equal: none
  uint64_t alignment = 1;     ///< what its address is a multiple of
  bool isOutput = false;
  std::vector<size_t> slots; ///< of the run's arguments that hold the address
};

/// The places of the program's tensors, in its order, for a run that packArguments has made of
/// `inputs`.
std::vector<TensorPlace> placesOf(const Program &program, const LaunchInputs &inputs,
                                  const PackedArguments &packed);

/// Whether the tensors may be at `addresses` beyond doubt: aligned, and outputs apart from all
/// others. Where this says no, packArguments knows whether they may, and what is wrong.
bool plainlyFit(const std::vector<TensorPlace> &places, const std::vector<uint64_t> &addresses);

} // namespace attnc

#endif // ATTNC_RUNTIME_PLACES_H
