// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Device functions. Calls are expanded into the kernel before it is decoded, each with registers,
// .param and .local variables of its own. So a call needs no stack, lanes that diverge in a callee
// meet again like those of a branch, and every check sees through it. Recursion is expanded to a
// limited depth; a thread that goes deeper is reported when it does.
#pragma once

#include "attnc/Emulator/Ptx.h"

namespace attnc::emu {

/// How deep calls are expanded, and how many instructions that may make.
constexpr unsigned maxCallDepth = 32;
constexpr size_t maxExpandedInstructions = 1 << 14;

bool hasCalls(const Function &f);

/// The kernel with its calls expanded. Calls that remain are beyond the limits, or of functions
/// that the module does not define. Throws PtxError for a call that does not fit its function.
Function expandCalls(const Module &m, const Function &kernel);

/// The function that a direct call names; null when the module has only a declaration of it.
const Function *calleeOf(const Module &m, const Instr &call);

} // namespace attnc::emu
