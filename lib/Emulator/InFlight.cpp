// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A forward "may" problem over the registers that wgmma instructions name. wgmma.wait_group N
// leaves the latest N groups running, so the state counts commits: a register whose wgmma is in the
// c-th latest group (0: not committed yet) has landed after a wait for c - 1 groups or fewer. Where
// paths meet, the smaller count is the longer flight.
#include "InFlight.h"

#include <algorithm>

namespace attnc::emu {

/// More commits than any wait leaves pending need not be told apart.
static constexpr uint8_t mostGroups = InFlight::landed - 1;

InFlight::InFlight(const FlowGraph &flow, size_t numRegisters)
    : flow(flow), local(numRegisters, -1) {
  for (const FlowInstr &i : flow.instrs)
    for (int32_t r : i.inFlight)
      if (local[r] < 0) {
        local[r] = static_cast<int32_t>(named.size());
        named.push_back(r);
      }
  in.assign(flow.blocks.size(), State(named.size(), landed));
  if (named.empty())
    return;
  std::vector<bool> waiting(flow.blocks.size(), true);
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t b = 0; b < flow.blocks.size(); ++b) {
      if (!waiting[b])
        continue;
      waiting[b] = false;
      State now = in[b];
      for (uint32_t i = flow.blocks[b].begin; i < flow.blocks[b].end; ++i)
        step(i, now);
      for (uint32_t s : flow.blocks[b].successors)
        for (size_t k = 0; k < now.size(); ++k)
          if (now[k] < in[s][k]) {
            in[s][k] = now[k];
            waiting[s] = changed = true;
          }
    }
  }
}

void InFlight::step(uint32_t index, State &state) const {
  const FlowInstr &instr = flow.instrs[index];
  // Under a guard the commit or the wait may not happen; then the flight is the longer one.
  if (instr.role == FlowInstr::WgmmaCommit && !instr.partial)
    for (uint8_t &groups : state)
      groups = groups < mostGroups ? groups + 1 : groups;
  if (instr.role == FlowInstr::WgmmaWait && !instr.partial)
    for (uint8_t &groups : state)
      if (groups > instr.pendingGroups)
        groups = landed;
  for (int32_t r : instr.inFlight)
    state[local[r]] = 0;
}

} // namespace attnc::emu
