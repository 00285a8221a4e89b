// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// State and handlers of the asynchronous machinery of sm_90: mbarriers, bulk copies (TMA), wgmma,
// the cluster barrier. Kept apart from Machine.h because sm_80 kernels never touch it.
//
// Bulk copies are queued at issue and delivered by the same adversary as cp.async: at once, or as
// late as possible, which here means when no warp of the block can go on without them.
#pragma once

#include "Races.h"
#include "attnc/Emulator/TensorMap.h"

#include <array>
#include <deque>
#include <unordered_map>

namespace attnc::emu {

struct Mbarrier {
  uint32_t phase = 0;   ///< completed phases
  int32_t expected = 0; ///< arrivals per phase
  int32_t pending = 0;
  int64_t tx = 0;      ///< bytes still to come; negative when they came before expect_tx
  VectorClock clock{}; ///< join of all arrivals
  uint32_t initMember = 0, initTime = 0; ///< who initialized it, for those who use it too early
  int32_t number = -1;                   ///< among those on which copies complete, for their agents
  bool initFenced = false;  ///< fence.mbarrier_init after the initialization, by the same warp
  uint32_t published = ~0u; ///< phase of the cluster barrier that carries that fence
  const Rec *initRec = nullptr;
};

/// A piece of a bulk copy: contiguous in both memories.
struct BulkPiece {
  uint32_t shared;
  uint64_t global; ///< 0: fill with `fill`. For Peer: the source's offset in the issuing block
  uint32_t bytes;
};

struct BulkOp {
  const Rec *rec = nullptr;
  /// Load: global to shared. Store, Reduce: shared to global. Peer: shared to the shared memory of
  /// a block of the cluster. Register: st.async and red.async.
  enum Kind : uint8_t { Load, Store, Reduce, CopiesArrive, Peer, Register } kind = Load;
  Type type = Type::None; ///< of a reduction
  int reduction = -1;     ///< AtomicOp, or -1 for a copy
  Cta *target = nullptr;  ///< whose shared memory is written, and whose mbarrier told
  Warp *issuer = nullptr;
  uint16_t fill = 0; ///< 16-bit pattern for out-of-bounds elements
  bool delivered = false;
  bool flushes = false, rounds = false; ///< a load makes zeros of subnormals, tf32 of singles
  uint32_t mbarrier = 0;                ///< of a load
  uint32_t bytes = 0; ///< what complete_tx counts; for CopiesArrive the number of arrivals
  unsigned agent = 0; ///< who does it
  uint32_t time = 0;  ///< of the agent
  std::vector<BulkPiece> pieces;
  std::vector<char> data; ///< of st.async and red.async
};

/// Accumulators of a wgmma that wait for wgmma.wait_group. The next wgmma on the same accumulators
/// takes the values over, and this one has nothing left to deliver.
struct WgmmaOp {
  const uint32_t *places = nullptr;
  const uint32_t *sorted = nullptr; ///< the same places in rising order
  uint32_t count = 0;
  std::vector<uint32_t> values;  ///< `count` columns of 32
  std::vector<uint32_t> tracked; ///< registers that RegisterChecks asks about
  uint32_t time = 0;
  bool delivered = false;
  bool singles = false; ///< values may hold any NaN
};

struct HopperWarp {
  std::vector<std::shared_ptr<BulkOp>> openStores;
  std::deque<std::vector<std::shared_ptr<BulkOp>>> storeGroups;
  std::deque<uint32_t> writingGroups; ///< waited for by .read alone: time of their last store
  std::vector<WgmmaOp> openWgmma;
  std::deque<std::vector<WgmmaOp>> wgmmaGroups;
  std::vector<uint32_t> commitTimes; ///< clock of the wgmma agent at every commit, to tell groups
  std::vector<std::vector<uint32_t>> spare; ///< storage of delivered accumulators
  bool fenced = false;                      ///< has executed a wgmma.fence
  uint32_t registers = 0;                   ///< per thread; 0 until the first setmaxnreg
  bool wantsRegisters = false;              ///< in a setmaxnreg.inc that waits for the pool
  uint32_t clusterArrived = 0;              ///< lanes that have arrived in the present phase
  uint32_t clusterOwed = 0;                 ///< lanes that have arrived and not yet waited
  uint32_t phasesWaited = 0;                ///< of the cluster barrier
  bool initFenced = false;                  ///< fence.mbarrier_init since the last arrival
};

/// An instruction that all four warps of a warpgroup must execute alike.
struct WarpgroupStep {
  const Rec *rec;
  uint64_t a, b; ///< descriptors, or the operand
  uint32_t warp; ///< who came first
  uint32_t passed;
};
struct Warpgroup {
  std::deque<WarpgroupStep> steps; ///< that not all warps have passed
  uint32_t firstStep = 0;
  uint32_t position[4] = {};
};

/// So many mbarriers of a block have agents of their own; more share them.
constexpr unsigned mbarriersPerBlock = 16;

struct HopperState {
  std::array<Warpgroup, 8> warpgroups;
  uint32_t freeRegisters = 0; ///< per lane of a warp, given back by setmaxnreg.dec
  std::unordered_map<uint32_t, Mbarrier> mbarriers; ///< by shared address
  uint32_t numCopyTargets = 0;                      ///< mbarriers on which copies complete
  std::deque<std::shared_ptr<BulkOp>> queue;        ///< loads not yet delivered
  std::array<HopperWarp, 32> warps;
};

/// False after a report: no mbarrier at that offset of the block's shared memory, or this warp does
/// not know that it has been initialized.
bool requireMbarrier(Warp &w, const Rec *r, int lane, const Cta &owner, uint32_t offset);
/// The agent for copies that complete on that mbarrier.
unsigned mbarrierAgent(Cta &owner, uint32_t offset, AgentKind kind);
void deliverBulk(Cta &cta, BulkOp &op);
/// Adds a bulk copy to the memory counters; `targets`: how many blocks receive it.
void countBulk(Launch &L, const Rec *r, const BulkOp &op, unsigned targets);
/// Delivers one queued load (all of them unless the policy is random). False when there is none.
bool deliverPending(Cta &cta);
/// Compares the warp's next step with that of its warpgroup. False after a report.
bool warpgroupStep(Warp &w, const Rec *r, uint64_t a, uint64_t b);
bool checkWarpgroups(Cta &cta);
/// Checks that must hold when a thread block ends. False after a report.
bool checkCtaEnd(Cta &cta);
/// Completes the cluster barrier when every live warp has arrived.
void completeClusterBarrier(Cluster &cluster);

const Rec *mbarrierInit(Warp &, const Rec *);
const Rec *mbarrierInval(Warp &, const Rec *);
const Rec *mbarrierArrive(Warp &, const Rec *);
const Rec *mbarrierTx(Warp &, const Rec *);
const Rec *mbarrierWait(Warp &, const Rec *);
const Rec *mbarrierPendingCount(Warp &, const Rec *);
const Rec *cpAsyncMbarrierArrive(Warp &, const Rec *);
const Rec *bulkCopy(Warp &, const Rec *);
const Rec *tensorCopy(Warp &, const Rec *);
const Rec *bulkCommit(Warp &, const Rec *);
const Rec *bulkWait(Warp &, const Rec *);
const Rec *proxyFence(Warp &, const Rec *);
const Rec *wgmmaFence(Warp &, const Rec *);
const Rec *wgmmaCommit(Warp &, const Rec *);
const Rec *wgmmaWait(Warp &, const Rec *);
const Rec *wgmmaMma(Warp &, const Rec *);
const Rec *setMaxRegisters(Warp &, const Rec *);
const Rec *mbarrierInitFence(Warp &, const Rec *);
const Rec *clusterArrive(Warp &, const Rec *);
const Rec *clusterWait(Warp &, const Rec *);

// Rec::aux bits of mbarrierArrive.
constexpr uint32_t mbarCount = 1, mbarExpectTx = 2, mbarDrop = 4, mbarNoComplete = 8,
                   mbarState = 16, mbarRelaxed = 32;
// Rec::aux bits 0-1 of bulkCopy and tensorCopy.
constexpr uint32_t bulkLoad = 0, bulkStore = 1, bulkPeer = 2;
// Rec::aux bits of mbarrierWait; mbarRelaxed as well.
constexpr uint32_t mbarParity = 1, mbarTry = 2;

} // namespace attnc::emu
