// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Which states of a recurrence a program may have as one tile in registers, from step to step.
#ifndef ATTNC_LIB_CONVERSION_ATTNTOTILE_STATETILES_H
#define ATTNC_LIB_CONVERSION_ATTNTOTILE_STATETILES_H

#include "dialects/Attn/Attn.h"

namespace attnc {

/// Whether a program that has `columns` neighbouring indices of `sliced`, the last axis of state
/// `state` of `recur`, may keep that in registers: it is one tile, each element of a step reads it
/// at its own place, and one stage of the step computes the next one. No other stage may be in the
/// kernel, which would come between the steps.
bool canStayInRegisters(attn::RecurOp recur, unsigned state, llvm::StringRef sliced,
                        int64_t columns);

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_ATTNTOTILE_STATETILES_H
