// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attnc explain: the kernels that a spec becomes.
#ifndef ATTNC_LIB_DRIVER_EXPLAINPROGRAM_H
#define ATTNC_LIB_DRIVER_EXPLAINPROGRAM_H

#include "Execute.h"
#include "llvm/Support/JSON.h"

namespace attnc::driver {

/// What is said of a program: for each kernel, in the order of their launches, what it reads and
/// writes, its grid and its threads; for each workspace tensor its shape and bytes, for the sizes
/// and parameters of `bound`. Tensors have the names of the spec. The error says what about the
/// sizes is impossible.
llvm::Expected<llvm::json::Object> describeProgram(const Program &program, const BoundSpec &bound);

/// The same as lines of text, to standard output; with threads if it is one for a GPU.
llvm::Error explainProgram(const Program &program, const BoundSpec &bound, bool isGPU);

} // namespace attnc::driver

#endif // ATTNC_LIB_DRIVER_EXPLAINPROGRAM_H
