// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The definition of a variant, op by op, for programs that have no MLIR.
#ifndef ATTNC_LIB_CAPI_DEFINITION_H
#define ATTNC_LIB_CAPI_DEFINITION_H

#include "dialects/Attn/Attn.h"
#include <string>

namespace attnc::capi {

/// The body of a variant as JSON; attnc_spec_definition_json says how it looks.
std::string definitionJSON(attn::VariantOp variant);

} // namespace attnc::capi

#endif // ATTNC_LIB_CAPI_DEFINITION_H
