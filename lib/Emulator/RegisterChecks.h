// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Checks on registers: reads of what was never written, touching the registers of a wgmma that is
// still running, and wgmma on registers accessed since the last wgmma.fence.
//
// Almost every access is proved right by a dataflow analysis when the kernel is decoded, and costs
// nothing. What cannot be proved ("written under @p, read under @p") is checked per lane when it is
// executed, by extra records around the instruction. So the checks cost little and neither a value
// written on both sides of a branch nor a read that is predicated off is reported.
#pragma once

#include "InFlight.h"
#include "Machine.h"

namespace attnc::emu {

/// What may have happened to a register since the last wgmma.fence. From `accumulatorBit` on there
/// is a bit for each shape of the wgmma that had it as an accumulator.
constexpr uint32_t modifiedBit = 1, readBit = 2, fragmentBit = 4, accumulatorBit = 8;

/// What the analysis could not prove, by statement. Registers are indices of Function::registers.
struct RegisterChecks {
  struct AtInstr {
    std::vector<int32_t> requireWritten, markWritten;
    std::vector<int32_t> requireLanded; ///< may be in use by a wgmma
    std::vector<int32_t> enterFlight;   ///< wgmma: registers that requireLanded asks about
    /// Bits and the registers they are about: what must not have happened, and what happens now.
    std::vector<std::pair<uint32_t, std::vector<int32_t>>> requireFenced, markAccessed;
  };
  std::vector<AtInstr> at;
  std::vector<int32_t> tracked; ///< by register: index of its run-time state, or -1
  uint32_t numTracked = 0;
};

RegisterChecks findRegisterChecks(const FlowGraph &flow, const InFlight &inFlight,
                                  const std::vector<int32_t> &uninitialized, size_t numRegisters);

/// The state of the tracked registers of a warp.
struct RegisterState {
  std::vector<uint32_t> written;   ///< lanes
  std::vector<const Rec *> flight; ///< the wgmma that uses the register last
  std::vector<uint16_t> flights;   ///< how many do
  std::vector<uint32_t> accessed;  ///< since the last wgmma.fence: bits, see above
  void reset(uint32_t count) {
    written.assign(count, 0);
    flight.assign(count, nullptr);
    flights.assign(count, 0);
    accessed.assign(count, 0);
  }
};

// The extra records. aux: number of registers; ext: pairs of tracked index and register.
const Rec *requireWritten(Warp &,
                          const Rec *); ///< aux2 1: only where predicate o[0] (^ o[1]) holds
const Rec *markWritten(Warp &, const Rec *);
const Rec *copyWritten(Warp &, const Rec *); ///< aux2: number of sources after the destinations
const Rec *requireLanded(Warp &, const Rec *);
const Rec *enterFlight(Warp &, const Rec *);
const Rec *requireFenced(Warp &, const Rec *); ///< aux2: bits that must be clear
const Rec *markAccessed(Warp &, const Rec *);  ///< aux2: bits to set

} // namespace attnc::emu
