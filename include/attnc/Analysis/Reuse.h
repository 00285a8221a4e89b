// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Outputs in the memory of an input (`reuses` of attn.return): what makes it right that a caller
// passes one tensor for both.
//
// An element of the output may be written once nothing reads the input any more that needs the old
// one. Launches of a program run one after the other, but within a launch nothing is in order
// between programs, and kernels of several stages and loops of chunks come back to an input that
// they have read. Two forms are right whatever is made of stages:
//
//  - the last value of a state that begins as the input, or as a copy of it, if nothing else reads
//    the input: each program of the recurrence reads its own elements into its states before the
//    first step, and writes the same elements behind the last one. A kernel that has the copy too
//    is cut along axes at whose indices the state is read, so that its programs copy their own;
//  - a copy, `attn.last`, of a tensor that is no input: a kernel of its own, launched behind all
//    others.
//
// `attn-copy-reused` makes the second form of everything else.
#ifndef ATTNC_ANALYSIS_REUSE_H
#define ATTNC_ANALYSIS_REUSE_H

#include "dialects/Attn/Attn.h"

namespace attnc {

/// Unit attribute of an attn.compute that is a kernel of its own behind all others.
inline constexpr llvm::StringLiteral lastAttr = "attn.last";

/// Whether output `number` of `end` reuses an input and has none of the forms above.
bool needsCopy(attn::ReturnOp end, unsigned number);

} // namespace attnc

#endif // ATTNC_ANALYSIS_REUSE_H
