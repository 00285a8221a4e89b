// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Bulk copies: cp.async.bulk between global and shared memory, plain or by tensor map, with their
// completion through an mbarrier (loads) or bulk groups (stores and reductions). PTX ISA 5.5,
// 9.7.9.25-27.
//
// A tensor copy is broken into pieces that are contiguous in both memories: 16-byte chunks of the
// box rows, because that is the unit the swizzle permutes. Elements outside the tensor are filled
// with zero (or NaN) by loads and skipped by stores, and the mbarrier always counts the whole box.
#include "AccessHistory.h"
#include "AsyncOps.h"
#include "Cluster.h"
#include "Hopper.h"
#include "TensorMapOps.h"

#include <algorithm>
#include <cinttypes>
#include <cmath>
#include <cstring>

namespace attnc::emu {

void completeTx(Cta &cta, Mbarrier &b, int64_t bytes);

namespace {

uint32_t sharedAddress(Warp &w, uint64_t a) {
  const DeviceMemory &m = *w.cta->launch->memory;
  return static_cast<uint32_t>(a >= m.sharedWindow() && a < m.localWindow() ? a - m.sharedWindow()
                                                                            : a);
}

uint64_t addressOf(Warp &w, uint32_t operand, bool wide, int lane) {
  return wide ? place<uint64_t>(w, operand)[lane] : place<uint32_t>(w, operand)[lane];
}

bool sharedRange(Warp &w, const Rec *r, int lane, const Cta &cta, uint32_t at, uint32_t bytes) {
  if (at >= cta.sharedBegin && at + bytes <= cta.sharedEnd)
    return true;
  fault(w, r, lane, "out-of-bounds", "bulk copy of %u bytes at %s", bytes,
        describeShared(cta, w, at).c_str());
  return false;
}

/// Calls `f` with an access to each 16-byte chunk that the range touches; the shadow of the race
/// detector is checked and written in these units. Pieces never straddle a chunk of another
/// operation: boxes are broken at chunks, and linear copies consist of whole ones.
template <class F> bool forChunks(Cta &cta, int lane, uint32_t begin, uint32_t bytes, F f) {
  for (uint32_t at = begin & ~15u; at < begin + bytes; at += 16) {
    Access a;
    a.lanes = 1u << lane;
    a.bytes = 16;
    a.address[lane] = at;
    a.space = Space::Shared;
    a.owner = &cta;
    if (!f(a, at))
      return false;
  }
  return true;
}

bool checkSource(Warp &w, const Rec *r, int lane, uint32_t begin, uint32_t bytes, unsigned agent) {
  Cta &cta = *w.cta;
  if (!sharedRange(w, r, lane, cta, begin, bytes))
    return false;
  if (!cta.launch->options.checks)
    return true;
  return forChunks(cta, lane, begin, bytes, [&](Access &a, uint32_t at) {
    const uint8_t *init = cta.sharedInit.data() + (at >> 2);
    for (uint32_t i = 0; i < 4; ++i)
      if ((init[i] & 0xf) != 0xf) {
        if (!checkNoMbarrier(w, r, lane, cta, at + 4 * i, 4, "bulk copy"))
          return false;
        fault(w, r, lane, "uninitialized-read", "bulk copy reads %s, which nothing has written",
              describeShared(cta, w, at + 4 * i).c_str());
        return false;
      }
    return cta.races->asyncRead(w, r, a, agent);
  });
}

bool checkDestination(Warp &w, const Rec *r, int lane, Cta &cta, uint32_t begin, uint32_t bytes,
                      unsigned agent) {
  if (!sharedRange(w, r, lane, cta, begin, bytes))
    return false;
  if (!cta.launch->options.checks)
    return true;
  return forChunks(cta, lane, begin, bytes, [&](Access &a, uint32_t at) {
    if (!checkNoMbarrier(w, r, lane, cta, at, 16, "bulk copy") ||
        !cta.races->asyncWrite(w, r, a, agent))
      return false;
    memset(cta.sharedInit.data() + (at >> 2), 0, 4);
    memset(cta.shared + at, 0xff, 16);
    return true;
  });
}

/// `checkShared` for a load of whole chunks where nothing is unusual; false when it has to look.
bool quickSharedWrite(Warp &w, int lane, const BulkOp &op) {
  Cta &cta = *op.target;
  uint32_t span = cta.sharedEnd - cta.sharedBegin - 16, bad = op.kind != BulkOp::Load;
  for (const BulkPiece &p : op.pieces)
    bad |= (p.bytes ^ 16) | (p.shared & 15) | (p.shared - cta.sharedBegin > span);
  if (bad)
    return false;
  if (!cta.launch->options.checks)
    return true;
  for (const BulkPiece &p : op.pieces)
    bad |= nearMbarriers(cta, p.shared, 16);
  if (bad)
    return false;
  for (size_t done = 0; done < op.pieces.size(); done += 32) {
    uint32_t addresses[32], n = 0;
    for (; n < 32 && done + n < op.pieces.size(); ++n)
      addresses[n] = op.pieces[done + n].shared;
    if (!cta.races->quickAsyncWrite(w.member, op.agent, op.rec->index,
                                    n == 32 ? allLanes : (1u << n) - 1, addresses, lane))
      return false;
  }
  for (const BulkPiece &p : op.pieces) {
    memset(cta.sharedInit.data() + (p.shared >> 2), 0, 4);
    memset(cta.shared + p.shared, 0xff, 16);
  }
  return true;
}

/// Checks the shared sides of a copy and records them as asynchronous accesses. The destination of
/// a reduction stays as it is.
bool checkShared(Warp &w, const Rec *r, int lane, BulkOp &op) {
  if (quickSharedWrite(w, lane, op))
    return true;
  for (const BulkPiece &p : op.pieces) {
    bool ok = true;
    if (op.kind == BulkOp::Peer)
      ok = checkSource(w, r, lane, static_cast<uint32_t>(p.global), p.bytes, op.agent);
    else if (op.kind != BulkOp::Load)
      ok = checkSource(w, r, lane, p.shared, p.bytes, op.agent);
    if (ok && op.reduction >= 0 && op.kind == BulkOp::Peer)
      ok = sharedRange(w, r, lane, *op.target, p.shared, p.bytes);
    else if (ok && (op.kind == BulkOp::Load || op.kind == BulkOp::Peer))
      ok = checkDestination(w, r, lane, *op.target, p.shared, p.bytes, op.agent);
    if (!ok)
      return false;
  }
  return true;
}

bool checkGlobal(Warp &w, const Rec *r, int lane, const BulkOp &op) {
  DeviceMemory &m = *w.cta->launch->memory;
  const DeviceMemory::Block *b = nullptr; // most copies stay in one allocation
  for (const BulkPiece &p : op.pieces) {
    if (!p.global)
      continue;
    if (!b || !b->contains(p.global, p.bytes))
      b = m.find(p.global);
    if (!b || !b->contains(p.global, p.bytes)) {
      fault(w, r, lane, "out-of-bounds", "bulk copy of %u bytes at %s", p.bytes,
            describeAddress(w, Space::Global, p.global).c_str());
      return false;
    }
    if (w.cta->launch->thorough && !checkBulkThoroughly(w, r, lane, op.agent, p.global, p.bytes,
                                                        op.kind != BulkOp::Load, op.reduction >= 0))
      return false;
    const Options &options = w.cta->launch->options;
    if (options.checks && !options.arbitraryGlobal && op.kind == BulkOp::Load) {
      uint32_t written = 0;
      if (p.bytes == 16 && !(p.global & 3))
        memcpy(&written, m.shadow(p.global), 4);
      if ((written & 0x0f0f0f0f) == 0x0f0f0f0f)
        continue;
      if (uint64_t hole = m.firstUninitialized(p.global, p.bytes)) {
        fault(w, r, lane, "uninitialized-read", "bulk copy reads %s, which nothing has written",
              describeAddress(w, Space::Global, hole).c_str());
        return false;
      }
    }
  }
  return true;
}

} // namespace

bool chooseEarly(Launch &L) {
  return L.options.delivery == Delivery::Early ||
         (L.options.delivery == Delivery::Random && (L.random() & 1));
}

namespace {

bool issue(Warp &w, const Rec *r, int lane, std::shared_ptr<BulkOp> op) {
  Cta &cta = *w.cta;
  bool group = op->kind == BulkOp::Store || op->kind == BulkOp::Reduce;
  op->rec = r;
  op->issuer = &w;
  if (!op->target)
    op->target = &cta;
  if (!group && !requireMbarrier(w, r, lane, *op->target, op->mbarrier))
    return false;
  op->agent =
      group ? bulkAgent(w.member) : mbarrierAgent(*op->target, op->mbarrier, AgentKind::Bulk);
  op->time = cta.cluster->clocks.tick(op->agent);
  noteUse(w, r, *op->target, op->agent);
  if ((op->kind != BulkOp::Peer && !checkGlobal(w, r, lane, *op)) || !checkShared(w, r, lane, *op))
    return false;
  if (chooseEarly(*cta.launch))
    deliverBulk(*op->target, *op);
  if (group)
    cta.hopper->warps[w.id].openStores.push_back(op);
  else if (!op->delivered)
    op->target->hopper->queue.push_back(op);
  return true;
}

/// Destination, mbarrier and multicast mask of a copy into shared memory: issues it once for each
/// block that receives it. Offsets are the same in every block of the mask.
bool issueLoad(Warp &w, const Rec *r, int lane, BulkOp &op, uint64_t mbarrier, uint64_t where,
               const uint32_t *mask) {
  Cluster &cluster = *w.cta->cluster;
  if (w.cta->launch->options.counters)
    countBulk(*w.cta->launch, r, op, mask ? __builtin_popcount(*mask & 0xffff) : 1);
  uint32_t offset;
  Cta *owner = ownerOf(w, r, lane, where, offset);
  if (owner && owner != w.cta && (r->aux >> 12 & 1)) {
    fault(w, r, lane, "invalid-operand",
          "the destination is .shared::cta, but in block rank %u of the cluster", owner->rank);
    return false;
  }
  if (owner == w.cta && op.kind == BulkOp::Peer && op.reduction < 0) {
    fault(w, r, lane, "invalid-operand",
          "a copy from .shared::cta to .shared::cluster must go to another block of the cluster");
    return false;
  }
  Cta *barOwner = owner ? ownerOf(w, r, lane, mbarrier, op.mbarrier) : nullptr;
  if (!barOwner)
    return false;
  if (barOwner != owner) {
    fault(w, r, lane, "invalid-operand",
          "the destination is in block rank %u of the cluster, its mbarrier in rank %u",
          owner->rank, barOwner->rank);
    return false;
  }
  if (!mask) {
    op.target = owner;
    return issue(w, r, lane, std::make_shared<BulkOp>(op));
  }
  uint32_t blocks = *mask & 0xffff;
  if (!blocks || blocks >> cluster.blocks.size()) {
    fault(w, r, lane, "invalid-operand", "multicast mask 0x%x; the cluster has %zu blocks", blocks,
          cluster.blocks.size());
    return false;
  }
  for (; blocks; blocks &= blocks - 1) {
    unsigned rank = static_cast<unsigned>(__builtin_ctz(blocks));
    uint64_t tagged = (uint64_t(rank) + 1) << clusterRankShift | offset;
    auto one = std::make_shared<BulkOp>(op);
    one->target = ownerOf(w, r, lane, tagged, offset);
    if (!one->target || !issue(w, r, lane, one))
      return false;
  }
  return true;
}

/// Single precision, which only global memory adds, loses subnormals there.
void reduce(char *to, const char *from, uint32_t bytes, Type type, int op) {
  unsigned n = bitsOf(type) / 8;
  for (uint32_t i = 0; i < bytes; i += n) {
    uint64_t old = 0, v = 0;
    memcpy(&old, to + i, n);
    memcpy(&v, from + i, n);
    v = combine(static_cast<AtomicOp>(op), type, old, v, 0, true);
    memcpy(to + i, &v, n);
  }
}

/// Appends the 16-byte chunks of one box row (dimension 0) whose outer coordinates are fixed.
void addRow(BulkOp &op, const TensorMap &map, uint32_t shared, int64_t c0, bool rowInside,
            uint64_t rowAddress) {
  uint32_t e = map.elementBytes, perChunk = 16 / e;
  for (uint32_t i = 0; i < map.box[0]; i += perChunk) {
    uint32_t to = swizzleAddress(shared + i * e, map.swizzle);
    int64_t first = c0 + i, size = int64_t(map.dims[0]) + 1;
    int64_t from = std::max<int64_t>(first, 0), end = std::min<int64_t>(first + perChunk, size);
    if (!rowInside || from >= end) {
      op.pieces.push_back({to, 0, 16});
      continue;
    }
    if (from > first)
      op.pieces.push_back({to, 0, static_cast<uint32_t>((from - first) * e)});
    op.pieces.push_back({to + static_cast<uint32_t>((from - first) * e),
                         rowAddress + static_cast<uint64_t>(from) * e,
                         static_cast<uint32_t>((end - from) * e)});
    if (end < first + perChunk)
      op.pieces.push_back({to + static_cast<uint32_t>((end - first) * e), 0,
                           static_cast<uint32_t>((first + perChunk - end) * e)});
  }
}

/// A box is a region of the tensor: with element strides a dimension gives every n-th of its
/// elements, from the first on, so fewer of them lie in shared memory.
void addBox(BulkOp &op, const TensorMap &map, uint32_t shared, const int32_t *c) {
  uint32_t rows = 1, rowBytes = map.box[0] * map.elementBytes, count[5] = {};
  for (unsigned d = 1; d < map.rank; ++d)
    rows *= count[d] = (map.box[d] + map.elementStrides[d] - 1u) / map.elementStrides[d];
  op.pieces.reserve(rows * rowBytes / 16);
  for (uint32_t row = 0; row < rows; ++row) {
    uint32_t rest = row;
    bool inside = true;
    uint64_t address = map.address;
    for (unsigned d = 1; d < map.rank; ++d) {
      int64_t at = int64_t(c[d]) + int64_t(rest % count[d]) * map.elementStrides[d];
      rest /= count[d];
      inside &= at >= 0 && at <= int64_t(map.dims[d]);
      address += static_cast<uint64_t>(at) * map.strides[d - 1];
    }
    addRow(op, map, shared + row * rowBytes, c[0], inside, address);
  }
  op.bytes = rows * rowBytes;
  op.fill = map.fillNan ? 0x7fff : 0; // in each half of a wider type, of which it makes a NaN too
  op.flushes = map.dataType == TensorMap::F32Ftz || map.dataType == TensorMap::Tf32Ftz;
  op.rounds = map.dataType == TensorMap::Tf32 || map.dataType == TensorMap::Tf32Ftz;
}

/// Whether the manual has a tensor reduction for elements of a type.
bool tensorReductionExists(AtomicOp op, Type t) {
  bool integer = t == Type::U32 || t == Type::S32 || t == Type::U64 || t == Type::S64,
       half = t == Type::F16 || t == Type::BF16;
  switch (op) {
  case AtomicOp::Add:
    return (integer && t != Type::S64) || half || t == Type::F32;
  case AtomicOp::Min:
  case AtomicOp::Max:
    return integer || half;
  case AtomicOp::Inc:
  case AtomicOp::Dec:
    return t == Type::U32;
  default:
    return integer;
  }
}

} // namespace

/// The arrival that cp.async.mbarrier.arrive promised: first the copies before it, then the
/// mbarrier.
static void copiesArrive(Cta &cta, BulkOp &op) {
  Warp &w = *op.issuer;
  auto deliverOld = [&](std::vector<CopyOp> &ops) {
    for (CopyOp &c : ops)
      if (c.time <= op.time)
        deliver(w, c, allLanes);
  };
  deliverOld(w.async->open);
  for (CopyGroup &g : w.async->groups)
    deliverOld(g.ops);
  auto it = cta.hopper->mbarriers.find(op.mbarrier);
  if (it == cta.hopper->mbarriers.end()) {
    fault(w, op.rec, -1, "mbarrier-uninitialized",
          "the mbarrier of cp.async.mbarrier.arrive was invalidated before the copies completed");
    return;
  }
  Mbarrier &b = it->second;
  int32_t arrivals = static_cast<int32_t>(op.bytes);
  if (arrivals > b.pending) {
    fault(w, op.rec, -1, "mbarrier-overflow",
          "%d arrivals at the mbarrier at shared address 0x%x, which expects only %d more in phase "
          "%u",
          arrivals, op.mbarrier, b.pending, b.phase);
    return;
  }
  cta.cluster->clocks.enter(b.clock, copyAgent(w.member), op.time);
  b.pending -= arrivals;
  completeTx(cta, b, 0);
}

/// o[0] mbarrier address, aux2 bit 0: 64-bit, aux: 1 for .noinc. Without .noinc the pending count
/// is raised first, so that the arrival is neutral.
const Rec *cpAsyncMbarrierArrive(Warp &w, const Rec *r) {
  Cta &cta = *w.cta;
  for (uint32_t m = w.exec; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    uint32_t a = sharedAddress(w, addressOf(w, r->o[0], r->aux2 & 1, l) + r->imm);
    auto it = cta.hopper->mbarriers.find(a);
    if (it == cta.hopper->mbarriers.end())
      return fault(
          w, r, l, "mbarrier-uninitialized",
          "cp.async.mbarrier.arrive on shared address 0x%x, which holds no initialized mbarrier",
          a);
    if (!requireMbarrier(w, r, l, cta, a))
      return nullptr;
    if (!r->aux)
      ++it->second.pending;
    auto &queue = cta.hopper->queue;
    if (!queue.empty() && queue.back()->rec == r && queue.back()->issuer == &w &&
        queue.back()->mbarrier == a && l != __builtin_ctz(w.exec)) {
      ++queue.back()->bytes; // the lanes of one instruction arrive together
      continue;
    }
    auto op = std::make_shared<BulkOp>();
    op->rec = r;
    op->issuer = &w;
    op->target = &cta;
    op->kind = BulkOp::CopiesArrive;
    op->mbarrier = a;
    op->bytes = 1;
    op->time = cta.cluster->clocks.now(copyAgent(w.member));
    queue.push_back(op);
  }
  if (chooseEarly(*cta.launch))
    while (!cta.launch->failed && !cta.hopper->queue.empty() &&
           cta.hopper->queue.back()->rec == r) {
      auto op = cta.hopper->queue.back();
      cta.hopper->queue.pop_back();
      deliverBulk(cta, *op);
    }
  return cta.launch->failed ? nullptr : r + 1;
}

static void markWritten(Cta &cta, uint32_t begin, uint32_t bytes) {
  if (bytes == 16 && !(begin & 15)) {
    memset(cta.sharedInit.data() + (begin >> 2), 0xf, 4);
    return;
  }
  for (uint32_t a = begin; a < begin + bytes; ++a)
    cta.sharedInit[a >> 2] |= static_cast<uint8_t>(1u << (a & 3));
}

/// What maps of converting types do to singles on their way to shared memory.
static void convertSingles(char *at, uint32_t bytes, bool flushes, bool rounds) {
  for (uint32_t i = 0; i < bytes; i += 4) {
    uint32_t b;
    memcpy(&b, at + i, 4);
    bool nan = (b & 0x7fffffffu) > 0x7f800000u;
    if (flushes && !(b & 0x7f800000u))
      b &= 0x80000000u;
    if (rounds && !nan) // to the nearest, ties to even; infinity stays
      b += 0xfffu + (b >> 13 & 1);
    if (rounds)
      b = (b | (nan ? 0x00400000u : 0u)) & ~0x1fffu;
    memcpy(at + i, &b, 4);
  }
}

static void deliverPiece(Cta &cta, const BulkOp &op, const BulkPiece &p) {
  char *s = cta.shared + p.shared, *g = reinterpret_cast<char *>(p.global);
  switch (op.kind) {
  case BulkOp::Load:
    for (uint32_t i = 0; i < p.bytes && !g; ++i)
      s[i] = static_cast<char>(op.fill >> (8 * (i & 1)));
    if (g)
      memcpy(s, g, p.bytes);
    if (g && (op.flushes || op.rounds))
      convertSingles(s, p.bytes, op.flushes, op.rounds);
    return markWritten(cta, p.shared, p.bytes);
  case BulkOp::Peer:
  case BulkOp::Register: {
    const char *from =
        op.kind == BulkOp::Register ? op.data.data() : op.issuer->cta->shared + p.global;
    if (op.reduction >= 0)
      return reduce(s, from, p.bytes, op.type, op.reduction);
    memcpy(s, from, p.bytes);
    return markWritten(cta, p.shared, p.bytes);
  }
  default:
    if (!g)
      return; // outside the tensor
    if (op.reduction >= 0)
      reduce(g, s, p.bytes, op.type, op.reduction);
    else
      memcpy(g, s, p.bytes);
    cta.launch->memory->markInitialized(p.global, p.bytes);
  }
}

void deliverBulk(Cta &cta, BulkOp &op) {
  if (op.delivered)
    return;
  op.delivered = true;
  if (op.kind == BulkOp::CopiesArrive)
    return copiesArrive(cta, op);
  for (const BulkPiece &p : op.pieces)
    deliverPiece(cta, op, p);
  if (op.kind == BulkOp::Store || op.kind == BulkOp::Reduce)
    return;
  auto it = cta.hopper->mbarriers.find(op.mbarrier);
  if (it == cta.hopper->mbarriers.end()) {
    fault(*op.issuer, op.rec, -1, "mbarrier-uninitialized",
          "the mbarrier of an asynchronous copy was invalidated before the copy completed");
    return;
  }
  cta.cluster->clocks.enter(it->second.clock, op.agent, op.time);
  completeTx(cta, it->second, op.bytes);
}

bool deliverPending(Cta &cta) {
  auto &queue = cta.hopper->queue;
  if (queue.empty())
    return false;
  if (cta.launch->options.delivery == Delivery::Random) // out of order, one at a time
    std::swap(queue.front(), queue[cta.launch->random() % queue.size()]);
  auto op = queue.front();
  queue.pop_front();
  deliverBulk(cta, *op);
  return true;
}

bool checkCtaEnd(Cta &cta) {
  HopperState &h = *cta.hopper;
  if (cta.launch->options.checks && (!checkWarpgroups(cta) || !checkRemoteUses(cta)))
    return false;
  while (!h.queue.empty() && h.queue.front()->kind == BulkOp::CopiesArrive)
    h.queue.pop_front(); // an arrival that nobody waited for
  if (!h.queue.empty()) {
    fault(*h.queue.front()->issuer, h.queue.front()->rec, -1, "missing-wait",
          "the thread block ended while this bulk copy into its shared memory was in flight");
    return false;
  }
  auto finished = [&](const std::vector<std::shared_ptr<BulkOp>> &stores, const char *missing) {
    for (auto &op : stores) {
      if (!op->delivered && cta.launch->options.checks) {
        fault(*op->issuer, op->rec, -1, "missing-wait",
              "the thread block ended before cp.async.bulk.%s: this store still reads its shared "
              "memory",
              missing);
        return false;
      }
      deliverBulk(cta, *op);
    }
    return true;
  };
  for (HopperWarp &w : h.warps) {
    if (!finished(w.openStores, "commit_group and a wait"))
      return false;
    for (auto &g : w.storeGroups)
      if (!finished(g, "wait_group"))
        return false;
  }
  return true;
}

/// cp.async.bulk. ext: destination, source, size, mbarrier, multicast mask. aux: bulkKind in bits
/// 0-1, reduction (AtomicOp + 1) in 2-7; bits 8.. say which operands are 64-bit (destination,
/// source, mbarrier), bit 11 that there is a mask, bit 12 that
/// the destination is .shared::cta; aux2: type; imm: offsets of destination and
/// source, o[4]: of the mbarrier.
const Rec *bulkCopy(Warp &w, const Rec *r) {
  for (uint32_t m = w.exec; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    uint64_t d = addressOf(w, r->ext[0], r->aux >> 8 & 1, l) + static_cast<uint32_t>(r->imm);
    uint64_t s = addressOf(w, r->ext[1], r->aux >> 9 & 1, l) + (r->imm >> 32);
    uint32_t bytes = place<uint32_t>(w, r->ext[2])[l];
    if ((d | s | bytes) % 16)
      return fault(
          w, r, l, "misaligned-address",
          "bulk copy needs addresses and size to be multiples of 16: destination 0x%" PRIx64
          ", source 0x%" PRIx64 ", %u bytes",
          d, s, bytes);
    BulkOp op;
    unsigned kind = r->aux & 3;
    op.kind = kind == bulkLoad ? BulkOp::Load : kind == bulkPeer ? BulkOp::Peer : BulkOp::Store;
    op.reduction = static_cast<int>(r->aux >> 2 & 0x3f) - 1;
    op.type = static_cast<Type>(r->aux2);
    op.bytes = bytes;
    if (kind == bulkStore) {
      if (bytes)
        op.pieces.push_back({sharedAddress(w, s), d, bytes});
      if (w.cta->launch->options.counters)
        countBulk(*w.cta->launch, r, op, 1);
      if (!issue(w, r, l, std::make_shared<BulkOp>(op)))
        return nullptr;
      continue;
    }
    uint32_t to = sharedAddress(w, d);
    if (bytes)
      op.pieces.push_back(
          {to & ((1u << clusterRankShift) - 1), kind == bulkPeer ? sharedAddress(w, s) : s, bytes});
    uint32_t bar = sharedAddress(w, addressOf(w, r->ext[3], r->aux >> 10 & 1, l) + r->o[4]);
    const uint32_t *mask = r->aux >> 11 & 1 ? place<uint32_t>(w, r->ext[4]) + l : nullptr;
    if (!issueLoad(w, r, l, op, bar, to, mask))
      return nullptr;
  }
  return r + 1;
}

/// cp.async.bulk.tensor. ext: map address, shared address, mbarrier, multicast mask, coordinates.
/// aux as above with bit 8: shared address is 64-bit, bit 10: mbarrier is, bit 12: .shared::cta;
/// o[5], o[6]: offsets of shared and mbarrier addresses; o[7]: rank.
const Rec *tensorCopy(Warp &w, const Rec *r) {
  for (uint32_t m = w.exec; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    TensorMap copy;
    const TensorMap *map = findMap(w, r, l, place<uint64_t>(w, r->ext[0])[l] + r->imm, copy);
    if (!map)
      return nullptr;
    if (map->rank != r->o[7])
      return fault(w, r, l, "invalid-operand",
                   "the instruction copies %u dimensions, the tensor map has %u", r->o[7],
                   map->rank);
    uint32_t shared = sharedAddress(w, addressOf(w, r->ext[1], r->aux >> 8 & 1, l) + r->o[5]);
    if (shared % 128)
      return fault(w, r, l, "misaligned-address",
                   "shared address 0x%x of a tensor copy is not a multiple of 128", shared);
    int32_t c[5] = {};
    for (unsigned d = 0; d < map->rank; ++d)
      c[d] = place<int32_t>(w, r->ext[4 + d])[l];
    BulkOp op;
    unsigned kind = r->aux & 3;
    op.kind = kind == bulkLoad ? BulkOp::Load : BulkOp::Store;
    op.reduction = static_cast<int>(r->aux >> 2 & 0x3f) - 1;
    static constexpr Type types[] = {Type::U8,  Type::U16, Type::U32, Type::S32, Type::U64,
                                     Type::S64, Type::F16, Type::F32, Type::F64, Type::BF16,
                                     Type::F32, Type::F32, Type::F32};
    op.type = types[map->dataType];
    if (op.reduction >= 0 &&
        (!tensorReductionExists(static_cast<AtomicOp>(op.reduction), op.type) ||
         map->dataType == TensorMap::Tf32 || map->dataType == TensorMap::Tf32Ftz))
      return fault(w, r, l, "invalid-operand",
                   "this reduction does not exist for the data type %u of the tensor map",
                   map->dataType);
    if (kind != bulkLoad)
      for (unsigned d = 0; d < map->rank; ++d)
        if (c[d] < 0)
          return fault(w, r, l, "invalid-operand",
                       "coordinate %u of a tensor store is negative: %d", d, c[d]);
    addBox(op, *map, shared & ((1u << clusterRankShift) - 1), c);
    if (kind == bulkStore) {
      if (w.cta->launch->options.counters)
        countBulk(*w.cta->launch, r, op, 1);
      if (!issue(w, r, l, std::make_shared<BulkOp>(op)))
        return nullptr;
      continue;
    }
    uint32_t bar = sharedAddress(w, addressOf(w, r->ext[2], r->aux >> 10 & 1, l) + r->o[6]);
    const uint32_t *mask = r->aux >> 11 & 1 ? place<uint32_t>(w, r->ext[3]) + l : nullptr;
    if (!issueLoad(w, r, l, op, bar, shared, mask))
      return nullptr;
  }
  return r + 1;
}

const Rec *bulkCommit(Warp &w, const Rec *r) {
  HopperWarp &me = w.cta->hopper->warps[w.id];
  me.storeGroups.push_back(std::move(me.openStores));
  me.openStores.clear();
  return r + 1;
}

/// imm: groups that may stay; aux 1: .read, after which the bytes may be on their way still. They
/// are delivered all the same; the race detector knows that this was early.
const Rec *bulkWait(Warp &w, const Rec *r) {
  HopperWarp &me = w.cta->hopper->warps[w.id];
  bool onlyReads = r->aux;
  uint32_t read = 0, written = 0;
  auto writing = [&] { return onlyReads ? 0 : me.writingGroups.size(); };
  while (me.storeGroups.size() + writing() > r->imm) {
    if (writing()) {
      written = me.writingGroups.front();
      me.writingGroups.pop_front();
      continue;
    }
    uint32_t time = read;
    for (auto &op : me.storeGroups.front()) {
      deliverBulk(*w.cta, *op);
      time = std::max(time, op->time);
    }
    me.storeGroups.pop_front();
    read = time;
    if (onlyReads)
      me.writingGroups.push_back(time);
    else
      written = time;
  }
  Clocks &clocks = w.cta->cluster->clocks;
  if (w.cta->launch->options.checks && read)
    clocks.completed(w.member, bulkAgent(w.member), read);
  if (w.cta->launch->options.checks && written)
    clocks.completedGlobally(w.member, bulkAgent(w.member), written);
  return r + 1;
}

} // namespace attnc::emu
