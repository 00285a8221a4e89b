// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The tables of forms: which modifiers and types go together in an arithmetic instruction and in an
// atomic. The handlers are more general than PTX; without the tables a flag that a form does not
// have would be accepted and ignored. The tests expand the same tables and execute every form.
#pragma once

#include "attnc/Emulator/Ptx.h"

#include <string>
#include <vector>

namespace attnc::emu {

/// Whether the opcode is in the table.
bool hasForms(const std::string &opcode);
/// Whether the table has the instruction's modifiers, in any order of those that are no types.
bool isForm(const Instr &i);
/// Whether atom or red exists with an operation, flags and a type: "atom.add.noftz.v2.f16".
bool isAtomicForm(const std::string &form);

} // namespace attnc::emu
