// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The state of one kernel launch: what all its thread blocks share. Lives as long as the launch.
#pragma once

#include "Machine.h"
#include "TensorMapOps.h"
#include "attnc/Emulator/Memory.h"

#include <random>
#include <unordered_map>

namespace attnc::emu {

struct BlockCounts {
  uint64_t warps = 0, threads = 0;
};

/// An allocation that was read through the non-coherent path in this launch: its end. The bytes
/// themselves are marked in the shadow, and the marks removed when the launch ends.
struct ReadOnlyUse {
  uint64_t end = 0;
};

struct Launch {
  Launch();
  ~Launch();
  const Kernel *kernel = nullptr;
  const Profile *profile = nullptr;
  DeviceMemory *memory = nullptr;
  LaunchConfig config;
  Options options;
  std::vector<char> params;
  std::vector<BlockCounts> blockCounts;       ///< by block
  std::vector<MemoryCounters> memoryCounters; ///< by Rec::counter
  /// The allocation each memory record touched last: most records stay in one.
  std::vector<std::pair<uint64_t, uint64_t>> lastBlock;
  std::unordered_map<uint64_t, ReadOnlyUse> readOnly; ///< by start of the allocation
  uint64_t divergentBranches = 0, barrierWaits = 0;
  uint64_t sameValueStores = 0; ///< unordered after a store of the same value
  ChangedMaps changedMaps;      ///< tensor maps in global memory that this launch has changed
  uint64_t mapChanges = 0;
  std::mt19937_64 random;
  std::unique_ptr<ThoroughState> thorough; ///< null unless Options::thorough
  bool failed = false;
  std::string kind, report;
  uint32_t line = 0;
};

// Handlers that are compiled once (no lane arithmetic worth vectorising).
const Rec *blockHead(Warp &, const Rec *);
const Rec *branch(Warp &, const Rec *);
const Rec *branchIf(Warp &, const Rec *);
const Rec *exitLanes(Warp &, const Rec *);
const Rec *guarded(Warp &, const Rec *);
const Rec *nothing(Warp &, const Rec *);
const Rec *trap(Warp &, const Rec *);
const Rec *callTooDeep(Warp &, const Rec *);
const Rec *assertionFailed(Warp &, const Rec *);
const Rec *readClock(Warp &, const Rec *);

} // namespace attnc::emu
