// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// libFuzzer target for the PTX reader and decoder: any bytes must give a module or a PtxError.
// Build with -DATTNC_EMU_FUZZ=ON and run, for example:
//   build-emu/test/AttncEmulatorFuzz -max_len=4000 -max_total_time=600 corpus test/Emulator/ptx
#include "attnc/Emulator/Emulator.h"

#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static attnc::emu::Machine machine(attnc::emu::profileFor("sm_90a"));
  try {
    machine.load(std::string_view(reinterpret_cast<const char *>(data), size));
  } catch (const attnc::emu::PtxError &e) {
    if (e.pos.line == 0)
      __builtin_trap();
  }
  return 0;
}
