// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTNC_LIB_DRIVER_EXPLAINSTAGES_H
#define ATTNC_LIB_DRIVER_EXPLAINSTAGES_H

#include "dialects/Attn/Attn.h"

namespace attnc::driver {

/// Prints what the analyses say about each stage of a variant.
void explainStages(attn::VariantOp variant);

} // namespace attnc::driver

#endif // ATTNC_LIB_DRIVER_EXPLAINSTAGES_H
