// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Chooses the handler table for this CPU. The tables are the same sources compiled for different
// instruction sets (CMakeLists.txt); results are bitwise equal, only speed differs.
#include "Alu.h"

#include <cstdlib>
#include <cstring>

namespace attnc::emu {

namespace isa_base {
extern const HandlerTable table;
}
#ifdef ATTNC_EMU_X86
namespace isa_v3 {
extern const HandlerTable table;
}
namespace isa_v4 {
extern const HandlerTable table;
}
#endif

static const HandlerTable &choose() {
  const char *wish = std::getenv("ATTNC_EMU_ISA");
  [[maybe_unused]] auto wanted = [&](const char *name) {
    return !wish || !*wish || !strcmp(wish, name);
  };
#ifdef ATTNC_EMU_X86
  if (wanted("v4") && __builtin_cpu_supports("x86-64-v4"))
    return isa_v4::table;
  if (wanted("v3") && __builtin_cpu_supports("x86-64-v3"))
    return isa_v3::table;
#endif
  return isa_base::table;
}

const HandlerTable &handlers() {
  static const HandlerTable &table = choose();
  return table;
}

} // namespace attnc::emu
