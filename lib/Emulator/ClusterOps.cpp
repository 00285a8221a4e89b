// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Thread-block clusters: the cluster barrier, distributed shared memory, st.async and red.async
// (PTX ISA 9.7.13.4, 9.7.9.22-24, 9.7.9.13, 9.7.13.9); see Cluster.h for the checks.
//
// A relaxed arrival at the cluster barrier orders no memory accesses, but it still says that the
// block has started, and together with fence.mbarrier_init that its mbarriers are initialised.
// Kernels begin with that pair, so both facts travel apart from the vector clocks. They end with an
// arrival that releases: a relaxed one would not wait for what the block does to the memory of
// others.
#include "AccessHistory.h"
#include "Cluster.h"
#include "Hopper.h"

#include <cinttypes>
#include <cstring>

namespace attnc::emu {

Cluster::~Cluster() = default;

namespace {

bool checkExists(Warp &w, const Rec *r, int lane, Cta &owner) {
  Cluster &cluster = *w.cta->cluster;
  if (owner.ended) {
    fault(w, r, lane, "exited-block",
          "accesses the shared memory of block rank %u of the cluster, which has ended",
          owner.rank);
    return false;
  }
  if (!w.cta->launch->options.checks)
    return true;
  bool started = w.cta->hopper->warps[w.id].phasesWaited > 0;
  for (uint32_t i = 0; i < owner.numWarps && !started; ++i)
    started = cluster.clocks.knowsStarted(w.member, owner.warps[i]->member);
  if (!started) {
    fault(w, r, lane, "missing-cluster-barrier",
          "accesses the shared memory of block rank %u of the cluster, which may not have started\n"
          "  no barrier.cluster lies between the start of that block and this access",
          owner.rank);
    return false;
  }
  return true;
}

} // namespace

void noteUse(Warp &w, const Rec *r, Cta &owner, unsigned agent) {
  Cluster &cluster = *w.cta->cluster;
  if (&owner != w.cta && w.cta->launch->options.checks)
    cluster.remoteUses[owner.rank][agent] = {cluster.clocks.now(agent), r, &w};
}

Cta *ownerOf(Warp &w, const Rec *r, int lane, uint64_t address, uint32_t &offset) {
  uint64_t tag = address >> clusterRankShift;
  offset = static_cast<uint32_t>(address & ((1u << clusterRankShift) - 1));
  Cluster &cluster = *w.cta->cluster;
  if (tag == 0 || tag == w.cta->rank + 1)
    return w.cta;
  if (tag > cluster.blocks.size()) {
    fault(w, r, lane, "out-of-bounds",
          "0x%" PRIx64 " is no shared address of the cluster, which has %zu blocks", address,
          cluster.blocks.size());
    return nullptr;
  }
  Cta &owner = *cluster.blocks[tag - 1];
  return checkExists(w, r, lane, owner) ? &owner : nullptr;
}

bool resolveCluster(Warp &w, const Rec *r, Access &a) {
  for (uint32_t left = a.lanes; left;) {
    uint64_t tag = a.address[__builtin_ctz(left)] >> clusterRankShift;
    Access part = a;
    part.space = Space::Shared;
    part.lanes = 0;
    for (uint32_t m = left; m; m &= m - 1) {
      int l = __builtin_ctz(m);
      if (a.address[l] >> clusterRankShift != tag)
        continue;
      uint32_t offset;
      Cta *owner = ownerOf(w, r, l, a.address[l], offset);
      if (!owner)
        return false;
      noteUse(w, r, *owner, warpAgent(w.member));
      part.owner = owner == w.cta ? nullptr : owner;
      part.lanes |= 1u << l;
      part.address[l] = offset;
    }
    if (!resolve(w, r, part))
      return false;
    for (uint32_t m = part.lanes; m; m &= m - 1)
      a.host[__builtin_ctz(m)] = part.host[__builtin_ctz(m)];
    left &= ~part.lanes;
  }
  return true;
}

bool checkRemoteUses(Cta &cta) {
  Cluster &cluster = *cta.cluster;
  for (auto &[agent, use] : cluster.remoteUses[cta.rank]) {
    bool known = false;
    for (uint32_t i = 0; i < cta.numWarps && !known; ++i)
      known = cluster.clocks.known(cta.warps[i]->member)[agent] >= use.time;
    if (known)
      continue;
    fault(*use.user, use.rec, -1, "missing-cluster-barrier",
          "accesses the shared memory of block rank %u of the cluster, which may end before this\n"
          "  no barrier.cluster or mbarrier orders the access before the end of that block",
          cta.rank);
    return false;
  }
  return true;
}

void completeClusterBarrier(Cluster &cluster) {
  bool arrived = false;
  for (auto &cta : cluster.blocks)
    for (uint32_t i = 0; i < cta->numWarps; ++i) {
      const Warp &w = *cta->warps[i];
      if (w.stop == Stop::Done)
        continue;
      uint32_t lanes = cta->hopper->warps[i].clusterArrived;
      if (w.live & ~lanes)
        return;
      arrived |= lanes != 0;
    }
  if (!arrived)
    return;
  ++cluster.phase;
  cluster.meeting = std::move(cluster.gathering);
  cluster.gathering.clear();
  for (auto &cta : cluster.blocks) {
    for (HopperWarp &w : cta->hopper->warps)
      w.clusterArrived = 0;
    cta->progressed = true;
  }
}

/// fence.mbarrier_init: this warp's initialisations so far travel with its next cluster arrival.
const Rec *mbarrierInitFence(Warp &w, const Rec *r) {
  for (auto &[address, b] : w.cta->hopper->mbarriers)
    b.initFenced |= b.initMember == w.member;
  w.cta->hopper->warps[w.id].initFenced = true;
  return r + 1;
}

/// aux: 1 .aligned, 2 .relaxed.
const Rec *clusterArrive(Warp &w, const Rec *r) {
  HopperState &h = *w.cta->hopper;
  HopperWarp &me = h.warps[w.id];
  Cluster &cluster = *w.cta->cluster;
  if ((r->aux & 1) && w.exec != w.live)
    return fault(w, r, __builtin_ctz(w.exec), "divergent-barrier",
                 "barrier.cluster.arrive.aligned is executed by lanes 0x%08x only", w.exec);
  if (me.clusterOwed & w.exec)
    return fault(w, r, __builtin_ctz(me.clusterOwed & w.exec), "barrier-overflow",
                 "barrier.cluster.arrive twice without a wait");
  if (me.initFenced)
    for (auto &[address, b] : h.mbarriers)
      if (b.initFenced && b.initMember == w.member && b.published == ~0u)
        b.published = cluster.phase;
  me.initFenced = false;
  me.clusterArrived |= w.exec;
  me.clusterOwed |= w.exec;
  if (!(r->aux & 2))
    cluster.clocks.release(w.member, cluster.gathering);
  completeClusterBarrier(cluster);
  return r + 1;
}

const Rec *clusterWait(Warp &w, const Rec *r) {
  HopperWarp &me = w.cta->hopper->warps[w.id];
  Cluster &cluster = *w.cta->cluster;
  if ((r->aux & 1) && w.exec != w.live)
    return fault(w, r, __builtin_ctz(w.exec), "divergent-barrier",
                 "barrier.cluster.wait.aligned is executed by lanes 0x%08x only", w.exec);
  if (w.exec & ~me.clusterOwed)
    return fault(w, r, __builtin_ctz(w.exec & ~me.clusterOwed), "barrier-mismatch",
                 "barrier.cluster.wait without an arrive before it");
  completeClusterBarrier(cluster); // lanes may have exited since the last arrival
  if (!(me.clusterArrived & w.exec)) {
    me.clusterOwed &= ~w.exec;
    me.phasesWaited = cluster.phase;
    cluster.clocks.acquire(w.member, cluster.meeting);
    w.cta->progressed = true;
    w.wait = Wait::None;
    return r + 1;
  }
  w.polled = true;
  w.wait = Wait::Cluster;
  w.waitRec = r;
  w.splits[w.current].pc = r->index;
  std::swap(w.splits[w.current], w.splits.front()); // lanes still to arrive may be another split
  w.stop = Stop::Yield;
  return nullptr;
}

/// mapa. o: d, a, rank; aux: 64-bit; aux2: .shared::cluster, otherwise generic addresses.
const Rec *mapAddress(Warp &w, const Rec *r) {
  const DeviceMemory &mem = *w.cta->launch->memory;
  constexpr uint64_t offsetMask = (1u << clusterRankShift) - 1;
  for (uint32_t m = w.exec; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    uint64_t a = r->aux ? place<uint64_t>(w, r->o[1])[l] : place<uint32_t>(w, r->o[1])[l];
    uint32_t rank = place<uint32_t>(w, r->o[2])[l];
    if (rank >= w.cta->cluster->blocks.size())
      return fault(w, r, l, "invalid-operand", "mapa to rank %u; the cluster has %zu blocks", rank,
                   w.cta->cluster->blocks.size());
    uint64_t window = r->aux2 ? 0 : mem.sharedWindow();
    if (a < window || a - window >= DeviceMemory::sharedWindowBytes)
      return fault(w, r, l, "invalid-operand", "mapa of 0x%" PRIx64 ", which is no shared address",
                   a);
    uint64_t mapped =
        window + (uint64_t(rank + 1) << clusterRankShift | ((a - window) & offsetMask));
    if (r->aux)
      place<uint64_t>(w, r->o[0])[l] = mapped;
    else
      place<uint32_t>(w, r->o[0])[l] = static_cast<uint32_t>(mapped);
  }
  return r + 1;
}

/// getctarank. o: d, a; aux, aux2 as above.
const Rec *rankOfAddress(Warp &w, const Rec *r) {
  const DeviceMemory &mem = *w.cta->launch->memory;
  for (uint32_t m = w.exec; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    uint64_t a = r->aux ? place<uint64_t>(w, r->o[1])[l] : place<uint32_t>(w, r->o[1])[l];
    a -= r->aux2 ? 0 : mem.sharedWindow();
    uint64_t tag = a >> clusterRankShift;
    if (tag > w.cta->cluster->blocks.size())
      return fault(w, r, l, "invalid-operand",
                   "getctarank of 0x%" PRIx64 ", which is no shared address of the cluster", a);
    place<uint32_t>(w, r->o[0])[l] = tag ? static_cast<uint32_t>(tag - 1) : w.cta->rank;
  }
  return r + 1;
}

bool genericToShared(Warp &w, const Rec *r, int lane, uint64_t &address) {
  uint64_t begin = w.cta->launch->memory->sharedWindow(), offset = address - begin;
  if (address < begin || offset >= DeviceMemory::sharedWindowBytes) {
    fault(w, r, lane, "invalid-operand", "0x%" PRIx64 " is no generic address of shared memory",
          address);
    return false;
  }
  address = offset;
  return true;
}

bool chooseEarly(Launch &L);

/// st.async and red.async. ext: address, mbarrier, values. aux: bytes of an element in bits 0-7,
/// elements in 8-15, bit 16 and 17: address and mbarrier are 64-bit, bit 18: they are generic, bit
/// 19: of .shared::cta; aux2: 0 for a store, otherwise
/// AtomicOp + 1 in bits 0-7 and the type in 8-15; imm: the two offsets.
const Rec *storeAsync(Warp &w, const Rec *r) {
  Launch &L = *w.cta->launch;
  unsigned size = r->aux & 0xff, count = r->aux >> 8 & 0xff;
  uint32_t bytes = size * count;
  auto address = [&](uint32_t operand, bool wide, int lane) -> uint64_t {
    return wide ? place<uint64_t>(w, operand)[lane] : place<uint32_t>(w, operand)[lane];
  };
  for (uint32_t m = w.exec; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    uint32_t to, bar;
    uint64_t places[2] = {address(r->ext[0], r->aux >> 16 & 1, l) + static_cast<uint32_t>(r->imm),
                          address(r->ext[1], r->aux >> 17 & 1, l) + (r->imm >> 32)};
    for (uint64_t &a : places)
      if ((r->aux >> 18 & 1) && !genericToShared(w, r, l, a))
        return nullptr;
    Cta *owner = ownerOf(w, r, l, places[0], to);
    if (!owner)
      return nullptr;
    Cta *barOwner = ownerOf(w, r, l, places[1], bar);
    if (!barOwner)
      return nullptr;
    if ((r->aux >> 19 & 1) && owner != w.cta)
      return fault(w, r, l, "invalid-operand",
                   "the destination is .shared::cta, but in block rank %u of the cluster",
                   owner->rank);
    if (barOwner != owner)
      return fault(w, r, l, "invalid-operand",
                   "the destination is in block rank %u of the cluster, its mbarrier in rank %u",
                   owner->rank, barOwner->rank);
    if (!requireMbarrier(w, r, l, *owner, bar))
      return nullptr;
    Access a;
    a.lanes = 1u << l;
    a.bytes = bytes;
    a.address[l] = to;
    a.mode = r->aux2 ? Mode::Atomic : Mode::Store;
    a.space = Space::Shared;
    a.owner = owner == w.cta ? nullptr : owner;
    a.asynchronous = true; // recorded below
    if (!resolve(w, r, a))
      return nullptr;
    auto op = std::make_shared<BulkOp>();
    op->rec = r;
    op->issuer = &w;
    op->target = owner;
    op->kind = BulkOp::Register;
    op->reduction = r->aux2 ? static_cast<int>(r->aux2 & 0xff) - 1 : -1;
    op->type = static_cast<Type>(r->aux2 >> 8 & 0xff);
    op->mbarrier = bar;
    op->bytes = bytes;
    op->agent = mbarrierAgent(*owner, bar, AgentKind::Copy);
    op->time = w.cta->cluster->clocks.tick(op->agent);
    noteUse(w, r, *owner, op->agent);
    op->data.resize(bytes);
    for (unsigned e = 0; e < count; ++e) {
      uint64_t v =
          size == 8 ? place<uint64_t>(w, r->ext[2 + e])[l] : place<uint32_t>(w, r->ext[2 + e])[l];
      memcpy(&op->data[e * size], &v, size);
    }
    op->pieces.push_back({to, 0, bytes});
    if (L.options.checks && op->reduction < 0) {
      if (!owner->races->asyncWrite(w, r, a, op->agent) ||
          (L.thorough && !checkCopyThoroughly(w, r, a, op->agent)))
        return nullptr;
      memset(a.host[l], 0xff, bytes);
      memset(owner->sharedInit.data() + (to >> 2), 0, bytes / 4);
    }
    if (chooseEarly(L))
      deliverBulk(*owner, *op);
    else
      owner->hopper->queue.push_back(op);
  }
  return L.failed ? nullptr : r + 1;
}

} // namespace attnc::emu
