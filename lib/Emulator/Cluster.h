// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A cluster: thread blocks that run together, meet at a barrier of their own and see each other's
// shared memory ("distributed shared memory"). A launch without clusters has clusters of one block,
// so that there is one way to run a grid.
//
// A block may touch the memory of another only while that block exists. Both ends are checked by
// the happens-before relation, not by what this run happened to do: the accessing warp must know
// something that the other block has done (it has started), and some warp of the other block must
// know of the access when it exits (it has not ended).
#pragma once

#include "Races.h"

#include <map>

namespace attnc::emu {

/// What a block must have heard of before it may end: an agent for a warp of another block used its
/// memory.
struct RemoteUse {
  uint32_t time = 0;
  const Rec *rec = nullptr;
  Warp *user = nullptr;
};

/// What is known to have happened, by the serial number of a cluster. Only the thorough checks need
/// to know of other clusters.
using Knowledge = std::map<uint32_t, VectorClock>;

/// Fences of a warp, for release and acquire patterns at global memory.
struct FenceState {
  Knowledge observed;  ///< by relaxed reads since the last fence
  Knowledge published; ///< known at the last fence, which relaxed writes hand on
  bool fenced = false;
};

struct Cluster {
  std::vector<std::unique_ptr<Cta>> blocks; ///< by rank
  uint32_t serial = 0;                      ///< in the launch, from one
  Knowledge foreign;                        ///< of other clusters
  std::vector<FenceState> fences;           ///< by member
  Clocks clocks;
  uint32_t phase = 0;             ///< completed phases of the cluster barrier
  VectorClock gathering, meeting; ///< joins of the arrivals in the present and the previous phase
  std::vector<std::map<unsigned, RemoteUse>> remoteUses; ///< by rank of the owner, by agent
  uint64_t spins = 0;                                    ///< rounds in which every warp only spun
  uint32_t pollRounds = 0; ///< rounds in a row in which every warp found its wait unfulfilled
  ~Cluster();
};

constexpr uint32_t clusterRankShift = 24;

/// The block that a shared::cluster address names, which must have started and not ended, and the
/// offset in its memory. Null after a report.
Cta *ownerOf(Warp &w, const Rec *r, int lane, uint64_t address, uint32_t &offset);
/// Notes for the end of that block that `agent` uses its memory at its present time.
void noteUse(Warp &w, const Rec *r, Cta &owner, unsigned agent);
/// Mbarriers are opaque: false after a report when an access by anything but their own operations
/// touches a live one.
bool checkNoMbarrier(Warp &w, const Rec *r, int lane, const Cta &owner, uint64_t begin,
                     uint32_t bytes, const char *verb);
/// Whether there may be one: false is certain. The bytes are in bounds.
inline bool nearMbarriers(const Cta &owner, uint64_t begin, uint32_t bytes) {
  bool near = false;
  if (!owner.mbarrierChunks.empty())
    for (uint64_t chunk = begin / 16; chunk <= (begin + bytes - 1) / 16; ++chunk)
      near |= owner.mbarrierChunks[chunk];
  return near;
}
/// An access to shared::cluster addresses, resolved block by block.
bool resolveCluster(Warp &w, const Rec *r, Access &a);
/// Makes a generic address one of shared memory. False after a report: it is none.
bool genericToShared(Warp &w, const Rec *r, int lane, uint64_t &address);
/// False after a report: another block may still use the memory of this one.
bool checkRemoteUses(Cta &cta);

const Rec *mapAddress(Warp &, const Rec *);
const Rec *rankOfAddress(Warp &, const Rec *);
const Rec *storeAsync(Warp &, const Rec *);

} // namespace attnc::emu
