// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Which registers an asynchronous instruction may still use at each place of a function.
//
// wgmma is the only instruction that reads or writes registers after it was issued: its
// accumulators arrive, and its A fragment may be read, as late as the wgmma.wait_group that covers
// its group. (cp.async, bulk copies, st.async and red.async take their register operands when they
// are issued and write memory; a blocked mbarrier.try_wait or barrier reduction writes its result
// when the instruction itself completes.) Two things depend on that span: a register must keep its
// place for so long even if nothing reads it again (Flow.cpp), and touching it in between is an
// error (RegisterChecks.cpp).
#pragma once

#include "Flow.h"

namespace attnc::emu {

class InFlight {
public:
  InFlight(const FlowGraph &flow, size_t numRegisters);

  /// Registers that some wgmma names, in the order of first mention.
  const std::vector<int32_t> &registers() const { return named; }
  /// The index of a register in `registers()`, or -1.
  int32_t indexOf(int32_t reg) const { return local[reg]; }

  /// For each of `registers()`: the fewest groups committed since the wgmma that may still use it,
  /// its own included, on any path to here; `landed` when none may.
  using State = std::vector<uint8_t>;
  static constexpr uint8_t landed = 0xff;
  /// The state before the first instruction of a block.
  const State &atBlock(size_t block) const { return in[block]; }
  /// From the state before an instruction to the one after it.
  void step(uint32_t instr, State &state) const;

private:
  const FlowGraph &flow;
  std::vector<int32_t> local, named;
  std::vector<State> in;
};

} // namespace attnc::emu
