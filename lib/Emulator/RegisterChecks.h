// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Checks on registers: reads of what was never written, touching the registers of a wgmma that is
// still running, and wgmma on registers modified since the last wgmma.fence.
//
// Almost every access is proved right by a dataflow analysis when the kernel is decoded, and costs
// nothing. What cannot be proved ("written under @p, read under @p") is checked per lane when it is
// executed, by extra records around the instruction. So the checks cost little and neither a value
// written on both sides of a branch nor a read that is predicated off is reported.
#pragma once

#include "Flow.h"
#include "Machine.h"

namespace attnc::emu {

/// What the analysis could not prove, by statement. Registers are indices of Function::registers.
struct RegisterChecks {
  struct AtInstr {
    std::vector<int32_t> requireWritten, markWritten;
    std::vector<int32_t> requireLanded; ///< may be in use by a wgmma
    std::vector<int32_t> enterFlight;   ///< wgmma: registers that requireLanded asks about
    std::vector<int32_t> requireFenced, markModified;
  };
  std::vector<AtInstr> at;
  std::vector<int32_t> tracked; ///< by register: index of its run-time state, or -1
  uint32_t numTracked = 0;
};

RegisterChecks findRegisterChecks(const FlowGraph &flow, const std::vector<int32_t> &uninitialized,
                                  size_t numRegisters);

/// The state of the tracked registers of a warp.
struct RegisterState {
  std::vector<uint32_t> written;   ///< lanes
  std::vector<const Rec *> flight; ///< the wgmma that uses the register last
  std::vector<uint16_t> flights;   ///< how many do
  std::vector<uint8_t> modified;   ///< since the last wgmma.fence
  void reset(uint32_t count) {
    written.assign(count, 0);
    flight.assign(count, nullptr);
    flights.assign(count, 0);
    modified.assign(count, 0);
  }
};

// The extra records. aux: number of registers; ext: pairs of tracked index and register.
const Rec *requireWritten(Warp &,
                          const Rec *); ///< aux2 1: only where predicate o[0] (^ o[1]) holds
const Rec *markWritten(Warp &, const Rec *);
const Rec *copyWritten(Warp &, const Rec *); ///< aux2: number of sources after the destinations
const Rec *requireLanded(Warp &, const Rec *);
const Rec *enterFlight(Warp &, const Rec *);
const Rec *requireFenced(Warp &, const Rec *);
const Rec *markModified(Warp &, const Rec *);

} // namespace attnc::emu
