// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Control flow, reconvergence and register places of one function.
//
// Input: for each instruction the registers it reads and writes, where it may go next. Output:
// basic blocks, the immediate post-dominator of each (where diverged lanes meet again), and a
// column for every register. Liveness may be computed per lane, as in a scalar program, because
// every write in the machine is masked: code that runs for other lanes cannot destroy this lane's
// value. A register that a wgmma may still write keeps its column until the wait that covers it,
// read or not (InFlight.h): the write arrives for the whole warp, whatever the lanes run meanwhile.
#pragma once

#include "attnc/Emulator/Ptx.h"

#include <cstdint>
#include <vector>

namespace attnc::emu {

struct FlowInstr {
  std::vector<int32_t> uses, defs;
  int64_t target = -1; ///< branch target, statement index
  bool fallsThrough = true;
  bool partial = false; ///< guarded: a definition does not end the old value's life
  enum Role : uint8_t { Ordinary, Copy, WgmmaFence, WgmmaCommit, WgmmaWait } role = Ordinary;
  uint64_t pendingGroups = 0;    ///< of a WgmmaWait: how many groups it leaves running
  std::vector<int32_t> inFlight; ///< registers that a wgmma uses until it is waited for
  uint32_t accumulators = 0;     ///< how many of them are; the rest are its A fragment
  uint32_t shape = 0;            ///< of the wgmma; any number that tells shapes apart
};

struct FlowBlock {
  uint32_t begin = 0, end = 0; ///< statements
  std::vector<uint32_t> successors;
  uint32_t postDominator = ~0u; ///< block, ~0u for "the end of the function"
  bool isJoin = false;          ///< post-dominator of some branch
};

struct FlowGraph {
  std::vector<FlowInstr> instrs;
  std::vector<FlowBlock> blocks;
  std::vector<uint32_t> blockOf; ///< by statement
  void buildBlocks();
  void findPostDominators();
};

/// Columns of registers, counted in units of their own class (32-bit, 64-bit, predicates).
struct SlotAssignment {
  std::vector<uint32_t> slot;
  uint32_t count32 = 0, count64 = 0, count128 = 0, countPred = 0;
  uint32_t maxLive32 = 0;
  std::vector<int32_t> uninitialized; ///< registers that are read before any write on every path
};

class InFlight;
SlotAssignment assignSlots(const FlowGraph &flow, const InFlight &inFlight,
                           const std::vector<Register> &registers);

} // namespace attnc::emu
