// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A happens-before race detector for the shared memory of one thread block. The clocks belong to
// the cluster of the block, so that accesses to the memory of another block are judged as well.
//
// Every agent has a clock, and every warp a vector of the clocks it has heard of. A barrier joins
// the vectors of all who meet there; an access to a byte is ordered after an earlier one exactly
// when the earlier agent's clock at that time is in the accessing warp's vector. If it is not, some
// schedule runs the two accesses the other way round, whatever happened in this run: that is why
// one deterministic execution finds races that hardware shows once a week.
//
// Asynchronous work is done by agents of its own: each warp has one for cp.async, one for bulk
// copies of bulk groups and one for wgmma, which complete in order; what completes on an mbarrier
// does so in any order, and each mbarrier has agents for it. Their clock ticks with each operation
// and enters a warp's vector only through the matching wait. So "read before cp.async.wait_group",
// "waits for the barrier of another tile" and "overwrites a tile that another warp still reads"
// need no special rule.
//
// Stores race by value: two that put the same bytes at the same place leave the same memory in
// either order, and are no race. Such a word, and one in which several agents wrote different
// bytes, is *contested*: it remembers each of its writers that later ones are not ordered after. A
// read must be ordered after one writer of each of its bytes, since all wrote the same there; a
// write must be ordered after all of them or agree with them.
//
// Limits: any other word remembers only its last writer. A read must be ordered before every later
// write of its bytes, whatever the values. Order between the lanes of one warp is the business of
// AccessHistory.h.
#pragma once

#include "Access.h"

#include <unordered_map>
#include <vector>

namespace attnc::emu {

/// A warp, counted through the cluster (Warp::member), has four agents. Behind the warps' come
/// those of mbarriers, four each as well (Clocks::mbarrierAgent), of which Copy and Bulk are used.
enum class AgentKind : unsigned { Warp, Copy, Bulk, Wgmma };
constexpr unsigned warpAgent(unsigned member) { return 4 * member; }
constexpr unsigned copyAgent(unsigned member) { return 4 * member + 1; }
constexpr unsigned bulkAgent(unsigned member) { return 4 * member + 2; }
constexpr unsigned wgmmaAgent(unsigned member) { return 4 * member + 3; }
constexpr AgentKind kindOf(unsigned agent) { return static_cast<AgentKind>(agent & 3); }
constexpr unsigned memberOf(unsigned agent) { return agent >> 2; }

/// By agent, in three parts: what has happened, and how much of that the asynchronous proxy (bulk
/// copies, wgmma) may rely on in shared and in global memory, which fence.proxy.async brings up to
/// date. For bulk copies the last part says which of their writes to global memory have completed,
/// later than their reads. All travel along the same edges. Empty stands for all zeros.
using VectorClock = std::vector<uint32_t>;

/// State spaces that a fence.proxy.async speaks of, as bits.
enum ProxySpaces : unsigned { proxyShared = 1, proxyGlobal = 2 };

/// The clocks of the warps of a cluster and of their asynchronous work.
class Clocks {
public:
  /// For the next cluster of so many warps and mbarriers: everything so far happened before. Clocks
  /// go on, so that old shadow entries stay ordered before everything new without being cleared;
  /// true when they had to start over, and shadow entries mean nothing any more.
  bool start(unsigned members, unsigned mbarriers);

  unsigned agents() const { return static_cast<unsigned>(clock.size()); }
  uint32_t now(unsigned agent) const { return clock[agent]; }
  uint32_t tick(unsigned agent) { return ++clock[agent]; }
  void tickWarp(unsigned member) {
    vectors[member][warpAgent(member)] = ++clock[warpAgent(member)];
  }
  const VectorClock &known(unsigned member) const { return vectors[member]; }
  /// Who does the copies that complete on an mbarrier: Copy for st.async and red.async, Bulk for
  /// bulk copies. There are `mbarriers` to share, which only makes the checks of the sharing ones
  /// weaker.
  unsigned mbarrierAgent(AgentKind kind, unsigned mbarrier) const {
    return 4 * (members() + mbarrier % numMbarriers) + static_cast<unsigned>(kind);
  }
  bool isMbarrierAgent(unsigned agent) const { return memberOf(agent) >= members(); }
  unsigned members() const { return static_cast<unsigned>(vectors.size()); }

  /// Whether the warp knows anything that the other has done since the cluster started.
  bool knowsStarted(unsigned member, unsigned other) const {
    return vectors[member][warpAgent(other)] > begin[warpAgent(other)];
  }

  /// Release: what the warp knows flows into `object`. Acquire: the other way.
  void release(unsigned member, VectorClock &object) {
    joinInto(member, object);
    tickWarp(member);
  }
  void acquire(unsigned member, const VectorClock &object);
  /// `release` without the tick, for operations that a warp performs lane by lane.
  void joinInto(unsigned member, VectorClock &object) const;
  /// Enters one agent's time into `object`, for operations that complete on an mbarrier.
  void enter(VectorClock &object, unsigned agent, uint32_t time) const;
  /// The warp has waited for the agent's work up to `time`.
  void completed(unsigned member, unsigned agent, uint32_t time) {
    if (vectors[member][agent] < time)
      vectors[member][agent] = time;
  }
  /// The same for what a bulk copy writes to global memory.
  void completedGlobally(unsigned member, unsigned agent, uint32_t time) {
    completed(member, proxyGlobal * agents() + agent, time);
  }
  /// fence.proxy.async by these lanes: asynchronous work may rely on everything ordered before this
  /// point. A fence is one thread's: those of other lanes do not know what came since the warp last
  /// synchronized (`partial`).
  void proxyFence(unsigned member, unsigned spaces, uint32_t lanes, bool partial);
  /// Whether asynchronous work that is ordered by `v` after a generic write may rely on it.
  bool visibleToAsync(const VectorClock &v, ProxySpaces space, unsigned writer, uint32_t time,
                      int lane) const;

  unsigned agentBits = 7; ///< of a shadow key; the rest is clock
  unsigned warpsPerBlock = 32;

private:
  std::vector<uint32_t> clock, begin; ///< by agent; `begin` is when the cluster started
  std::vector<VectorClock> vectors;   ///< by member
  unsigned numMbarriers = 0;
  struct LaneFence {
    uint32_t time, lanes;
    unsigned spaces;
  };
  std::vector<std::vector<LaneFence>> laneFences; ///< by member: partial ones, in order of time
};

class RaceDetector {
public:
  /// For the next thread block. `forget`: the clocks have started over.
  void reset(const Cta &owner, Clocks &clocks, bool forget);

  /// Checks and records a resolved shared access of a warp. False after a report.
  bool access(Warp &w, const Rec *r, const Access &a);
  /// The same for the write of an asynchronous agent, at the agent's present time. Bulk copies
  /// write through the asynchronous proxy, cp.async and st.async do not.
  bool asyncWrite(Warp &w, const Rec *r, const Access &a, unsigned agent);
  /// The same for its read.
  bool asyncRead(Warp &w, const Rec *r, const Access &a, unsigned agent);

  /// If the bytes wait for an asynchronous copy, reports that and returns true.
  bool pendingCopy(Warp &w, const Rec *r, int lane, const Access &a);

  /// The quick form of `access` for reads of 4 or 8 bytes by `lanes` at addresses that are aligned
  /// and in bounds. Checks initialisation too (`init` is Cta::sharedInit). False when anything at
  /// all is unusual; the caller then takes the general way, which finds out what.
  template <unsigned Words>
  bool quickRead(unsigned member, uint32_t rec, uint32_t lanes, const uint32_t *addresses,
                 const uint8_t *init);
  /// The same for `count` whole chunks.
  bool quickReadChunks(unsigned member, uint32_t rec, const uint32_t *addresses, uint32_t count,
                       const uint8_t *init);
  /// The same for the reads of an asynchronous agent, of `count` chunks.
  bool quickAsyncRead(unsigned member, unsigned agent, uint32_t rec, const uint32_t *addresses,
                      uint32_t count, const uint8_t *init);
  /// The quick form of `asyncWrite` for copies of whole chunks. False, with nothing
  /// recorded, when the general way has to decide. `lane` is to blame if it is not negative, else
  /// the lane of the address.
  bool quickAsyncWrite(unsigned member, unsigned agent, uint32_t rec, uint32_t lanes,
                       const uint32_t *addresses, int lane = -1);

private:
  /// Who wrote a word last: `keys` holds clock << agentBits | agent, all that a read must compare;
  /// the rest is needed for reports and partial words only.
  struct WriteInfo {
    uint32_t rec = noRecord;
    uint16_t lane = 0;
    uint8_t mask = 0; ///< bytes of the word
  };
  struct Writer {
    uint32_t key;
    WriteInfo info;
  };
  struct ChunkRead {
    uint32_t clock = 0, rec = noRecord;
  };
  unsigned agentOf(uint32_t key) const { return key & ((1u << agentBits) - 1); }
  uint32_t clockOf(uint32_t key) const { return key >> agentBits; }
  uint32_t makeKey(uint32_t time, unsigned agent) const { return time << agentBits | agent; }
  std::string agentName(unsigned agent) const;
  uint32_t keyOf(uint32_t word) const {
    uint32_t key = chunkKeys[word / 4];
    return key ? key : keys[word];
  }
  const WriteInfo &infoOf(uint32_t word) const {
    return chunkKeys[word / 4] ? chunkInfos[word / 4] : infos[word];
  }
  bool orderedKey(const VectorClock &v, uint32_t key) const {
    return clockOf(key) <= v[agentOf(key)];
  }
  /// In the place of a key: the word is contested. No clock gets there, so that to every quick way
  /// such a word looks like one written by somebody unknown.
  uint32_t contestedKey() const { return ~0u << agentBits; }
  /// Calls f(key, info) for the last writer of a word or for each writer of a contested one.
  template <class F> void eachWriter(uint32_t word, F f) const;
  bool mayContest(Warp &w, const Rec *r, int lane, const Access &a, uint32_t word, uint8_t mask,
                  unsigned agent);
  void recordContested(const VectorClock &v, const Rec *r, int lane, uint32_t word, uint8_t mask,
                       uint32_t key);
  void settle(uint32_t word);
  void splitChunk(uint32_t chunk);
  void recordWrite(const Rec *r, int lane, uint32_t first, uint32_t count, uint8_t mask,
                   uint32_t key);
  void recordRead(unsigned agent, const Rec *r, uint32_t first, uint32_t count, uint8_t mask);
  void addReader(unsigned agent);
  unsigned lateReaders(const VectorClock &v, unsigned self);
  bool checkRead(Warp &w, const Rec *r, int lane, const Access &a, uint32_t word, uint8_t mask);
  bool checkWrite(Warp &w, const Rec *r, int lane, const Access &a, uint32_t first, uint32_t count,
                  uint8_t mask, unsigned agent, unsigned numLate, bool &contests);
  bool checkAndRecordWrite(Warp &w, const Rec *r, int lane, const Access &a, uint8_t mask,
                           unsigned agent, unsigned numLate);
  bool report(Warp &w, const Rec *r, int lane, const Access &a, const char *what,
              unsigned otherAgent, uint32_t otherRec, int otherLane, bool selfAsync,
              const std::string &values = "");
  bool checkProxy(Warp &w, const Rec *r, int lane, const Access &a, const char *what, uint32_t key,
                  const WriteInfo &old);
  bool ordered(const VectorClock &v, unsigned agent, uint32_t time) const {
    return time <= v[agent];
  }

  const Cta *owner = nullptr;
  Clocks *clocks = nullptr;
  unsigned agentBits = 7;
  uint32_t words = 0;
  std::vector<uint32_t> lastRead;      ///< clock of each agent at its last read
  std::vector<uint32_t> lastWordRead;  ///< at its last read of less than a chunk
  std::vector<unsigned> late;          ///< what lateReaders found
  std::vector<unsigned> readingAgents; ///< agents that have tables of reads

  // By word of four bytes.
  std::vector<uint32_t> keys;
  std::vector<WriteInfo> infos;
  std::vector<uint32_t> readRec;                               ///< the last reader's record
  std::vector<std::vector<uint32_t>> readers;                  ///< by agent: clock << 4 | byte mask
  std::unordered_map<uint32_t, std::vector<Writer>> contested; ///< oldest writer first

  // By chunk of sixteen bytes, the unit of cp.async, TMA, ldmatrix and wgmma. A chunk that one
  // operation wrote whole has its key here, and `keys` and `infos` of its words are stale; zero
  // says that the words know. A read of a whole chunk is noted here only.
  std::vector<uint32_t> chunkKeys;
  std::vector<WriteInfo> chunkInfos;
  std::vector<std::vector<ChunkRead>> chunkReads; ///< by agent
};

} // namespace attnc::emu
