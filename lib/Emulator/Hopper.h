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

#include <deque>
#include <unordered_map>

namespace attnc::emu {

struct Mbarrier {
  uint32_t phase = 0;   ///< completed phases
  int32_t expected = 0; ///< arrivals per phase
  int32_t pending = 0;
  int64_t tx = 0;      ///< bytes still to come; negative when they came before expect_tx
  VectorClock clock{}; ///< join of all arrivals
  uint32_t initWarp = 0, initTime = 0; ///< who initialized it, for those who use it too early
  const Rec *initRec = nullptr;
};

/// A piece of a bulk copy: contiguous in both memories.
struct BulkPiece {
  uint32_t shared;
  uint64_t global; ///< 0: fill with `fill`
  uint32_t bytes;
};

struct BulkOp {
  const Rec *rec = nullptr;
  uint32_t warp = 0;
  enum Kind : uint8_t { Load, Store, ReduceAdd, CopiesArrive } kind = Load;
  Type type = Type::None; ///< of a reduction
  uint16_t fill = 0;      ///< 16-bit pattern for out-of-bounds elements
  bool delivered = false;
  uint32_t mbarrier = 0; ///< of a load
  uint32_t bytes = 0;    ///< what complete_tx counts; for CopiesArrive the number of arrivals
  uint32_t time = 0;
  std::vector<BulkPiece> pieces;
};

/// Accumulators of a wgmma that wait for wgmma.wait_group. The next wgmma on the same accumulators
/// takes the values over, and this one has nothing left to deliver.
struct WgmmaOp {
  const uint32_t *places = nullptr;
  uint32_t count = 0;
  std::vector<uint32_t> values; ///< `count` columns of 32
  uint32_t time = 0;
  bool delivered = false;
  bool singles = false; ///< values may hold any NaN
};

struct HopperWarp {
  std::vector<std::shared_ptr<BulkOp>> openStores;
  std::deque<std::vector<std::shared_ptr<BulkOp>>> storeGroups;
  std::vector<WgmmaOp> openWgmma;
  std::deque<std::vector<WgmmaOp>> wgmmaGroups;
  std::vector<std::vector<uint32_t>> spare; ///< storage of delivered accumulators
  bool fenced = false;                      ///< has executed a wgmma.fence
  uint32_t registers = 0;                   ///< by setmaxnreg; 0 until then
  bool clusterArrived = false;
};

struct HopperState {
  std::unordered_map<uint32_t, Mbarrier> mbarriers; ///< by shared address
  std::deque<std::shared_ptr<BulkOp>> queue;        ///< loads not yet delivered
  std::array<HopperWarp, 32> warps;
  uint32_t clusterArrivals = 0;
  VectorClock clusterClock{};
};

void deliverBulk(Cta &cta, BulkOp &op);
/// Delivers one queued load (all of them unless the policy is random). False when there is none.
bool deliverPending(Cta &cta);
/// Checks that must hold when a thread block ends. False after a report.
bool checkCtaEnd(Cta &cta);
void clusterWarpExited(Cta &cta);

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
const Rec *clusterArrive(Warp &, const Rec *);
const Rec *clusterWait(Warp &, const Rec *);

// Rec::aux bits of mbarrierArrive.
constexpr uint32_t mbarCount = 1, mbarExpectTx = 2, mbarDrop = 4, mbarNoComplete = 8,
                   mbarState = 16;
// Rec::aux bits of mbarrierWait.
constexpr uint32_t mbarParity = 1, mbarTry = 2;

} // namespace attnc::emu
