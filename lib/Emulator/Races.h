// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A happens-before race detector for the shared memory of one thread block.
//
// Every agent has a clock, and every warp a vector of the clocks it has heard of. A barrier joins
// the vectors of all who meet there; an access to a byte is ordered after an earlier one exactly
// when the earlier agent's clock at that time is in the accessing warp's vector. If it is not, some
// schedule runs the two accesses the other way round, whatever happened in this run: that is why
// one deterministic execution finds races that hardware shows once a week.
//
// Asynchronous copies are agents of their own, one per warp (agent 32 + warp). Their clock ticks
// with each copy and enters the issuer's vector only through the matching wait. So "read before
// cp.async.wait_group" and "overwrite a tile that another warp still reads" need no special rule.
//
// Limits: order between lanes of one warp is not tracked (a missing __syncwarp goes unnoticed), and
// a word remembers only its last writer.
#pragma once

#include "Access.h"

#include <array>

namespace attnc::emu {

constexpr unsigned numAgents = 96; ///< 32 warps, 32 cp.async agents, 32 bulk-copy agents
constexpr unsigned copyAgent(unsigned warp) { return 32 + warp; }
constexpr unsigned bulkAgent(unsigned warp) { return 64 + warp; }

/// The first half is what has happened; the second half is how much of that is visible to the
/// asynchronous proxy (TMA stores, wgmma), which fence.proxy.async brings up to date. Both travel
/// along the same edges.
using VectorClock = std::array<uint32_t, 2 * numAgents>;

class RaceDetector {
public:
  /// Forgets everything before; for the next thread block. Clocks go on, so that old shadow entries
  /// stay ordered before everything new without being cleared.
  void reset(uint32_t sharedBytes, unsigned warps);

  /// Checks and records a resolved shared access of a warp. False after a report.
  bool access(Warp &w, const Rec *r, const Access &a);
  /// The same for the write of an asynchronous agent. Returns the agent's clock for `completed`.
  bool asyncWrite(Warp &w, const Rec *r, const Access &a, unsigned agent);
  /// The same for its read.
  bool asyncRead(Warp &w, const Rec *r, const Access &a, unsigned agent);
  uint32_t agentClock(unsigned agent) const { return clock[agent]; }
  /// The warp has waited for the agent's work up to `time`.
  void completed(unsigned warp, unsigned agent, uint32_t time);

  /// Release: what the warp knows flows into `object`. Acquire: the other way.
  void release(unsigned warp, VectorClock &object);
  void acquire(unsigned warp, const VectorClock &object);
  /// `release` in two steps, for operations that a warp performs lane by lane.
  void joinInto(unsigned warp, VectorClock &object);
  void tick(unsigned warp) { vectors[warp][warp] = ++clock[warp]; }
  /// fence.proxy.async: asynchronous readers may rely on everything ordered before this point.
  void proxyFence(unsigned warp);
  uint32_t now(unsigned warp) const { return clock[warp]; }
  const VectorClock &known(unsigned warp) const { return vectors[warp]; }

  /// If the bytes wait for an asynchronous copy, reports that and returns true.
  bool pendingCopy(Warp &w, const Rec *r, int lane, const Access &a);

private:
  /// Who wrote a word last: `keys` holds clock << 7 | agent, all that a read must compare; the rest
  /// is needed for reports and partial words only.
  struct WriteInfo {
    uint32_t rec = noRecord;
    uint16_t lane = 0;
    uint8_t mask = 0; ///< bytes of the word
  };
  static unsigned agentOf(uint32_t key) { return key & 127; }
  static uint32_t clockOf(uint32_t key) { return key >> 7; }
  template <unsigned Words> bool load(Warp &w, const Rec *r, const Access &a);
  bool checkRead(Warp &w, const Rec *r, int lane, const Access &a, uint32_t word, uint8_t mask);
  bool checkWrite(Warp &w, const Rec *r, int lane, const Access &a, uint32_t first, uint32_t count,
                  uint8_t mask, unsigned agent);
  bool report(Warp &w, const Rec *r, int lane, const Access &a, const char *what,
              unsigned otherAgent, uint32_t otherRec, int otherLane, bool selfAsync);
  bool ordered(const VectorClock &v, unsigned agent, uint32_t time) const {
    return time <= v[agent];
  }

  unsigned warps = 0;
  uint32_t words = 0;
  std::array<uint32_t, numAgents> clock{};
  std::array<uint32_t, numAgents> lastRead{}; ///< clock of each agent at its last read
  std::array<VectorClock, 32> vectors{};
  std::vector<uint32_t> keys;                           ///< by word
  std::vector<WriteInfo> infos;                         ///< by word
  std::vector<unsigned> readingAgents;                  ///< agents that have a `readers` table
  std::vector<uint32_t> readRec;                        ///< by word, the last reader's record
  std::array<std::vector<uint32_t>, numAgents> readers; ///< by word: clock << 4 | byte mask
};

} // namespace attnc::emu
