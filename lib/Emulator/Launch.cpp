// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Running a grid: clusters one after another (a cluster is one block unless the launch says
// otherwise), the warps of a cluster in turn.
//
// A warp runs until it blocks, ends or has used its budget of backward branches. When no warp of a
// cluster can run, that is a deadlock and is reported as such. A cluster that only spins (it waits
// for global memory that another block will write) is set aside and the next is started, up to
// the number that a real device would keep resident: that is what makes persistent kernels with
// semaphores work, and what reproduces the deadlocks of kernels that assume more.
#include "Launch.h"
#include "AccessHistory.h"
#include "AsyncOps.h"
#include "Cluster.h"
#include "Hopper.h"
#include "RegisterChecks.h"
#include "WarpOps.h"

#include <algorithm>
#include <cstring>

namespace attnc::emu {

Warp::Warp()
    : async(std::make_unique<AsyncState>()), registers(std::make_unique<RegisterState>()) {}
Warp::~Warp() = default;
Launch::Launch() = default;
Launch::~Launch() = default;
Cta::Cta() : races(std::make_unique<RaceDetector>()), hopper(std::make_unique<HopperState>()) {}
Cta::~Cta() = default;

void reportDeadlock(const Cluster &cluster);

namespace {

constexpr uint32_t systemShared =
    1024; ///< shared memory begins with 1 KiB that belongs to the system

char *aligned(std::vector<char> &store, size_t bytes) {
  if (store.size() < bytes + 64)
    store.resize(bytes + 64);
  auto p = reinterpret_cast<uintptr_t>(store.data());
  return reinterpret_cast<char *>((p + 63) & ~uintptr_t(63));
}

/// The value of a special register that is the same for the whole warp, or varies by lane.
uint64_t specialValue(const Launch &L, const Cta &cta, const Warp &w, Special s, uint32_t lane) {
  const Dim3 &b = L.config.block, &g = L.config.grid, &k = L.config.cluster;
  uint32_t thread = w.id * 32 + lane;
  switch (s) {
  case Special::TidX:
    return thread % b.x;
  case Special::TidY:
    return thread / b.x % b.y;
  case Special::TidZ:
    return thread / b.x / b.y;
  case Special::NtidX:
    return b.x;
  case Special::NtidY:
    return b.y;
  case Special::NtidZ:
    return b.z;
  case Special::CtaidX:
    return cta.ctaid[0];
  case Special::CtaidY:
    return cta.ctaid[1];
  case Special::CtaidZ:
    return cta.ctaid[2];
  case Special::NctaidX:
    return g.x;
  case Special::NctaidY:
    return g.y;
  case Special::NctaidZ:
    return g.z;
  case Special::LaneId:
    return lane;
  case Special::WarpId:
    return w.id;
  case Special::NWarpId:
    return 2048 / 32;
  case Special::SmId:
    return cta.linear % L.profile->numSms;
  case Special::NSmId:
    return L.profile->numSms;
  case Special::LanemaskEq:
    return 1u << lane;
  case Special::LanemaskLe:
    return (2ull << lane) - 1;
  case Special::LanemaskLt:
    return (1ull << lane) - 1;
  case Special::LanemaskGe:
    return ~0u << lane;
  case Special::LanemaskGt:
    return static_cast<uint32_t>(~((2ull << lane) - 1));
  case Special::DynamicSmemSize:
    return L.config.dynamicSharedBytes;
  case Special::TotalSmemSize:
  case Special::AggrSmemSize:
    return cta.sharedEnd;
  case Special::ClusterIdX:
    return cta.ctaid[0] / k.x;
  case Special::ClusterIdY:
    return cta.ctaid[1] / k.y;
  case Special::ClusterIdZ:
    return cta.ctaid[2] / k.z;
  case Special::NClusterIdX:
    return g.x / k.x;
  case Special::NClusterIdY:
    return g.y / k.y;
  case Special::NClusterIdZ:
    return g.z / k.z;
  case Special::ClusterCtaidX:
    return cta.ctaid[0] % k.x;
  case Special::ClusterCtaidY:
    return cta.ctaid[1] % k.y;
  case Special::ClusterCtaidZ:
    return cta.ctaid[2] % k.z;
  case Special::ClusterNctaidX:
    return k.x;
  case Special::ClusterNctaidY:
    return k.y;
  case Special::ClusterNctaidZ:
    return k.z;
  case Special::ClusterCtaRank:
    return cta.rank;
  case Special::ClusterNctaRank:
    return k.count();
  case Special::IsExplicitCluster:
    return k.count() > 1 ? allLanes : 0; // a predicate: a bit per lane
  default:
    return 0;
  }
}

void initWarp(Launch &L, Cta &cta, Warp &w, uint32_t id, uint32_t threads) {
  const Kernel &k = *L.kernel;
  w.cta = &cta;
  w.id = id;
  w.recs = k.recs.data();
  w.base[0] = w.file;
  w.base[1] = const_cast<char *>(k.constantBase());
  w.async->clear();
  w.registers->reset(k.numTracked);
  // A pattern that is a NaN as a float and far from anything as an address.
  uint32_t poison = 0x7fffdead;
  for (uint32_t i = 0; i + 4 <= k.fileBytes; i += 4)
    memcpy(w.file + i, &poison, 4);
  memset(w.file, 0, 12); // the sink, the carry flag and the false predicate
  for (auto [special, where] : k.specials)
    for (uint32_t lane = 0; lane < 32; ++lane) {
      uint64_t v = specialValue(L, cta, w, special, lane);
      if (special == Special::GridId)
        reinterpret_cast<uint64_t *>(w.file + where)[lane] = v;
      else
        reinterpret_cast<uint32_t *>(w.file + where)[lane] = static_cast<uint32_t>(v);
    }
  uint32_t first = id * 32, count = std::min(32u, threads - first);
  startWarp(w, count == 32 ? allLanes : (1u << count) - 1);
}

/// Before its first write shared memory holds anything. NaNs, zeros and random bytes show by
/// different outcomes a result that depends on them.
void fillArbitrary(const Options &options, Cta &cta) {
  if (options.delivery == Delivery::Random) {
    std::mt19937_64 random(options.seed * 0x9e3779b97f4a7c15u + cta.linear);
    for (uint32_t i = 0; i < cta.sharedEnd; i += 8) {
      uint64_t bits = random();
      memcpy(cta.shared + i, &bits, 8);
    }
  } else {
    memset(cta.shared, options.delivery == Delivery::Early ? 0xff : 0, cta.sharedEnd);
  }
}

/// Prepares a thread block for its first instruction; buffers are reused from the block before.
/// `linear` counts clusters.
void initCta(Launch &L, Cluster &cluster, Cta &cta, uint32_t rank, uint64_t linear) {
  const Kernel &k = *L.kernel;
  const Dim3 &g = L.config.grid, &c = L.config.cluster;
  cta.launch = &L;
  cta.cluster = &cluster;
  cta.rank = rank;
  cta.ended = false;
  uint32_t cx = g.x / c.x, cy = g.y / c.y;
  cta.ctaid[0] = static_cast<uint32_t>(linear % cx) * c.x + rank % c.x;
  cta.ctaid[1] = static_cast<uint32_t>(linear / cx % cy) * c.y + rank / c.x % c.y;
  cta.ctaid[2] = static_cast<uint32_t>(linear / cx / cy) * c.z + rank / c.x / c.y;
  cta.linear = cta.ctaid[0] + g.x * (cta.ctaid[1] + g.y * cta.ctaid[2]);
  uint32_t threads = static_cast<uint32_t>(L.config.block.count());
  cta.numWarps = cta.liveWarps = (threads + 31) / 32;
  cta.nextWarp = 0;
  cta.progressed = false;
  cta.sharedBegin = systemShared;
  cta.mbarrierChunks.clear();
  cta.sharedEnd = systemShared + k.staticSharedBytes + L.config.dynamicSharedBytes;
  cta.shared = aligned(cta.sharedStore, cta.sharedEnd + 16);
  if (L.options.arbitraryShared)
    fillArbitrary(L.options, cta);
  else
    memset(cta.shared, 0xff, cta.sharedEnd);
  cta.sharedInit.assign(cta.sharedEnd / 4 + 8, L.options.arbitraryShared ? 0x0f : 0);
  for (NamedBarrier &b : cta.barriers)
    b = NamedBarrier();
  *cta.hopper = HopperState();
  cta.history = L.thorough ? std::make_unique<AccessHistory>() : nullptr;
  size_t fileBytes = (k.fileBytes + 127) / 64 * 64, localBytes = size_t(k.localBytes) * 32;
  char *files = aligned(cta.fileStore, fileBytes * cta.numWarps);
  char *locals = aligned(cta.localStore, localBytes * cta.numWarps);
  while (cta.warps.size() < cta.numWarps)
    cta.warps.push_back(std::make_unique<Warp>());
  for (uint32_t i = 0; i < cta.numWarps; ++i) {
    cta.warps[i]->file = files + i * fileBytes;
    cta.warps[i]->local = locals + i * localBytes;
    cta.warps[i]->member = rank * cta.numWarps + i;
    initWarp(L, cta, *cta.warps[i], i, threads);
  }
}

void initCluster(Launch &L, Cluster &cluster, uint64_t linear) {
  const uint32_t size = static_cast<uint32_t>(L.config.cluster.count());
  while (cluster.blocks.size() < size)
    cluster.blocks.push_back(std::make_unique<Cta>());
  for (uint32_t rank = 0; rank < size; ++rank)
    initCta(L, cluster, *cluster.blocks[rank], rank, linear);
  uint32_t warps = cluster.blocks[0]->numWarps;
  cluster.clocks.warpsPerBlock = warps;
  bool forget = cluster.clocks.start(
      size * warps, L.kernel->copiesCompleteOnMbarriers ? size * mbarriersPerBlock : 0);
  for (auto &cta : cluster.blocks)
    if (L.options.checks)
      cta->races->reset(*cta, cluster.clocks, forget);
  cluster.phase = 0;
  cluster.gathering.clear();
  cluster.meeting.clear();
  cluster.remoteUses.assign(size, {});
  cluster.spins = 0;
  cluster.pollRounds = 0;
  cluster.serial = static_cast<uint32_t>(linear) + 1;
  cluster.foreign.clear();
  cluster.fences.assign(L.thorough ? size * warps : 0, {});
}

enum class Progress { Finished, Advanced, Spinning, Stuck, Failed };

/// What a turn of a block, or of all blocks of a cluster, has shown.
struct Turn {
  bool ran = false, advanced = false, onlyPolls = true;
};

/// One turn for every warp of the block. False after a report.
bool runTurn(Launch &L, Cta &cta, Turn &turn) {
  uint32_t order[64];
  for (uint32_t i = 0; i < cta.numWarps; ++i)
    order[i] = i;
  if (L.options.shuffle)
    std::shuffle(order, order + cta.numWarps, L.random);
  for (uint32_t i = 0; i < cta.numWarps; ++i) {
    Warp &w = *cta.warps[order[i]];
    if (w.stop != Stop::Yield)
      continue;
    turn.ran = true;
    cta.progressed = false;
    runWarp(w);
    if (w.stop == Stop::Fault)
      return false;
    if (w.stop == Stop::Done) {
      --cta.liveWarps;
      barrierWarpExited(cta);
      completeClusterBarrier(*cta.cluster);
    }
    turn.advanced |= cta.progressed || w.stop != Stop::Yield;
    turn.onlyPolls &= w.polled && w.stop == Stop::Yield;
  }
  if (cta.liveWarps || cta.ended)
    return true;
  cta.ended = true;
  turn.advanced = true;
  return checkCtaEnd(cta);
}

/// One turn for every block of the cluster.
Progress runRound(Launch &L, Cluster &cluster) {
  Turn turn;
  bool live = false;
  for (auto &cta : cluster.blocks) {
    if (!runTurn(L, *cta, turn))
      return Progress::Failed;
    live |= !cta->ended;
  }
  if (!live)
    return Progress::Finished;
  if (turn.advanced) {
    cluster.pollRounds = 0;
    return Progress::Advanced;
  }
  // Nobody moves: this is as late as the queued asynchronous copies can arrive.
  for (auto &cta : cluster.blocks)
    if (deliverPending(*cta))
      return L.failed ? Progress::Failed : Progress::Advanced;
  // A diverged warp polls with one split at a time, so a few rounds must pass before waiting
  // everywhere is a deadlock.
  if (!turn.ran)
    return Progress::Stuck;
  cluster.pollRounds = turn.onlyPolls ? cluster.pollRounds + 1 : 0;
  return cluster.pollRounds > 64 ? Progress::Stuck : Progress::Spinning;
}

/// Clusters a device would keep resident at once, by shared memory and threads.
uint64_t residentLimit(const Launch &L) {
  uint64_t shared = L.kernel->staticSharedBytes + L.config.dynamicSharedBytes + 1024;
  uint64_t perSm =
      std::min<uint64_t>({L.profile->sharedPerSm / shared, 2048 / L.config.block.count(), 32});
  uint64_t blocks = std::max<uint64_t>(1, perSm) * L.profile->numSms;
  return std::max<uint64_t>(1, blocks / L.config.cluster.count());
}

/// Rounds of pure spinning before another cluster is started.
constexpr uint64_t patience = 64;
/// Rounds (of 2048 backward branches each) without any progress after which spinning is a deadlock.
constexpr uint64_t spinLimit = 20000;

void runGrid(Launch &L) {
  uint64_t total = L.config.grid.count() / L.config.cluster.count(), next = 0,
           limit = residentLimit(L);
  std::vector<std::unique_ptr<Cluster>> resident, spare;
  while ((next < total || !resident.empty()) && !L.failed) {
    if (resident.empty() ||
        (next < total && resident.size() < limit && resident.back()->spins >= patience)) {
      if (spare.empty())
        spare.push_back(std::make_unique<Cluster>());
      resident.push_back(std::move(spare.back()));
      spare.pop_back();
      initCluster(L, *resident.back(), next++);
    }
    bool anyAdvance = false;
    for (size_t i = 0; i < resident.size() && !L.failed; ++i) {
      Cluster &cluster = *resident[i];
      Progress p = runRound(L, cluster);
      if (p == Progress::Finished) {
        spare.push_back(std::move(resident[i]));
        resident.erase(resident.begin() + static_cast<long>(i--));
        for (auto &c : resident)
          c->spins = 0;
        anyAdvance = true;
      } else if (p == Progress::Stuck) {
        reportDeadlock(cluster);
      } else if (p == Progress::Advanced) {
        cluster.spins = 0;
        anyAdvance = true;
      } else {
        ++cluster.spins;
      }
    }
    bool cannotStartMore = next >= total || resident.size() >= limit;
    if (!anyAdvance && !resident.empty() && cannotStartMore && !L.failed &&
        std::all_of(resident.begin(), resident.end(), [](auto &c) { return c->spins > spinLimit; }))
      reportDeadlock(*resident.front());
  }
}

} // namespace

void removeReadOnlyMarks(Launch &L) {
  for (auto &[begin, use] : L.readOnly)
    for (uint64_t a = begin; a < use.end; a += 4)
      *L.memory->shadow(a) &= 0x0f;
}

void runLaunch(Launch &L) {
  L.blockCounts.assign(L.kernel->blocks.size(), BlockCounts());
  L.memoryCounters.assign(L.kernel->numMemoryRecs + 1, MemoryCounters());
  L.lastBlock.assign(L.kernel->numMemoryRecs + 1, {~0ull, 0});
  L.random.seed(L.options.seed);
  if (L.options.arbitraryGlobal)
    L.memory->fillUnwritten(L.options.delivery == Delivery::Random  ? DeviceMemory::Contents::Random
                            : L.options.delivery == Delivery::Early ? DeviceMemory::Contents::Ones
                                                                    : DeviceMemory::Contents::Zeros,
                            L.options.seed);
  if (L.options.checks && L.options.thorough)
    L.thorough = std::make_unique<ThoroughState>();
  runGrid(L);
  removeReadOnlyMarks(L);
}

} // namespace attnc::emu
