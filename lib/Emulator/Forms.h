// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The table of scalar forms: which modifiers and types go together in an arithmetic instruction.
// The handlers are more general than PTX; without the table a flag that a form does not have would
// be accepted and ignored. The tests expand the same table and execute every form.
#pragma once

#include "attnc/Emulator/Ptx.h"

#include <string>
#include <vector>

namespace attnc::emu {

/// Whether the opcode is in the table.
bool hasForms(const std::string &opcode);
/// Whether the table has the instruction's modifiers, in any order of those that are no types.
bool isForm(const Instr &i);

} // namespace attnc::emu
