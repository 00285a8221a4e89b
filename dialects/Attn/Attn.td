// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The umbrella of the attn dialect: the only .td that other folders include.
#ifndef ATTNC_DIALECTS_ATTN_ATTN_TD
#define ATTNC_DIALECTS_ATTN_ATTN_TD

include "dialects/Attn/AttnDialect.td"
include "dialects/Attn/AttnAttrs.td"
include "dialects/Attn/AttnTypes.td"
include "dialects/Attn/AttnOps.td"
include "dialects/Attn/AttnStageOps.td"
include "dialects/Attn/AttnScanOps.td"
include "dialects/Attn/AttnRecurrenceOps.td"

#endif // ATTNC_DIALECTS_ATTN_ATTN_TD
