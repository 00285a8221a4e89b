// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Programs within JSON that somebody else has parsed.
#ifndef ATTNC_RUNTIME_PROGRAMREADER_H
#define ATTNC_RUNTIME_PROGRAMREADER_H

#include "attnc/Runtime/Program.h"
#include "attnc/Support/Json.h"

namespace attnc {

/// Values of a program nest no deeper.
inline constexpr int maxProgramDepth = 16;

/// What parseProgram reads, as parsed text. It is not trusted.
Outcome<Program> programOf(const json::Value &value);

} // namespace attnc

#endif // ATTNC_RUNTIME_PROGRAMREADER_H
