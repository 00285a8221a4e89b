// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTNC_LIB_DRIVER_EXPLAINSTAGES_H
#define ATTNC_LIB_DRIVER_EXPLAINSTAGES_H

#include "attnc/Analysis/Compilable.h"

namespace attnc::driver {

/// Prints what the analyses say about each stage of a variant that code is not generated for, and
/// why it is not.
void explainStages(attn::VariantOp variant, const Uncompilable &reason);

} // namespace attnc::driver

#endif // ATTNC_LIB_DRIVER_EXPLAINSTAGES_H
