// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Bulk copies: cp.async.bulk between global and shared memory, plain or by tensor map, with their
// completion through an mbarrier (loads) or bulk groups (stores and reductions). PTX ISA 5.5,
// 9.7.9.25-27.
//
// A tensor copy is broken into pieces that are contiguous in both memories: 16-byte chunks of the
// box rows, because that is the unit the swizzle permutes. Elements outside the tensor are filled
// with zero (or NaN) by loads and skipped by stores, and the mbarrier always counts the whole box.
#include "AsyncOps.h"
#include "Hopper.h"

#include <algorithm>
#include <cinttypes>
#include <cmath>
#include <cstring>

namespace attnc::emu {

void completeTx(Cta &cta, Mbarrier &b, int64_t bytes);
uint64_t addAtomic(Type t, uint64_t old, uint64_t v);

namespace {

uint32_t sharedAddress(Warp &w, uint64_t a) {
  const DeviceMemory &m = *w.cta->launch->memory;
  return static_cast<uint32_t>(a >= m.sharedWindow() && a < m.localWindow() ? a - m.sharedWindow()
                                                                            : a);
}

uint64_t addressOf(Warp &w, uint32_t operand, bool wide, int lane) {
  return wide ? place<uint64_t>(w, operand)[lane] : place<uint32_t>(w, operand)[lane];
}

/// `checkShared` for a load of whole chunks where nothing is unusual; false when it has to look.
bool quickSharedWrite(Cta &cta, int lane, const BulkOp &op, unsigned agent) {
  uint32_t span = cta.sharedEnd - cta.sharedBegin - 16, bad = op.kind != BulkOp::Load;
  for (const BulkPiece &p : op.pieces)
    bad |= (p.bytes ^ 16) | (p.shared & 15) | (p.shared - cta.sharedBegin > span);
  if (bad)
    return false;
  if (!cta.launch->options.checks)
    return true;
  for (size_t done = 0; done < op.pieces.size(); done += 32) {
    uint32_t addresses[32], n = 0;
    for (; n < 32 && done + n < op.pieces.size(); ++n)
      addresses[n] = op.pieces[done + n].shared;
    if (!cta.races->quickAsyncWrite(op.warp, agent, op.rec->index,
                                    n == 32 ? allLanes : (1u << n) - 1, addresses, lane))
      return false;
  }
  for (const BulkPiece &p : op.pieces) {
    memset(cta.sharedInit.data() + (p.shared >> 2), 0, 4);
    memset(cta.shared + p.shared, 0xff, 16);
  }
  return true;
}

/// Checks the shared side of a copy in groups of 32 pieces and records it as an asynchronous
/// access.
bool checkShared(Warp &w, const Rec *r, int lane, BulkOp &op) {
  Cta &cta = *w.cta;
  unsigned agent = bulkAgent(w.id);
  if (quickSharedWrite(cta, lane, op, agent)) {
    op.time = cta.races->agentClock(agent);
    return true;
  }
  for (const BulkPiece &p : op.pieces) {
    if (p.shared < cta.sharedBegin || p.shared + p.bytes > cta.sharedEnd) {
      fault(w, r, lane, "out-of-bounds", "bulk copy of %u bytes at %s", p.bytes,
            describeAddress(w, Space::Shared, p.shared).c_str());
      return false;
    }
    if (!cta.launch->options.checks)
      continue;
    for (uint32_t at = 0; at < p.bytes; at += 16) {
      Access a;
      a.lanes = 1u << lane;
      a.bytes = 16;
      a.address[lane] = p.shared + at;
      a.space = Space::Shared;
      uint8_t *init = cta.sharedInit.data() + ((p.shared + at) >> 2);
      if (op.kind == BulkOp::Load) {
        if (!cta.races->asyncWrite(w, r, a, agent))
          return false;
        memset(init, 0, 4);
        memset(cta.shared + p.shared + at, 0xff, 16);
        continue;
      }
      for (int i = 0; i < 4; ++i)
        if ((init[i] & 0xf) != 0xf) {
          fault(w, r, lane, "uninitialized-read", "bulk copy reads %s, which nothing has written",
                describeAddress(w, Space::Shared, a.address[lane] + 4 * i).c_str());
          return false;
        }
      if (!cta.races->asyncRead(w, r, a, agent))
        return false;
    }
  }
  op.time = cta.races->agentClock(agent);
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
    if (w.cta->launch->options.checks && op.kind == BulkOp::Load) {
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

bool chooseEarly(Launch &L) {
  return L.options.delivery == Delivery::Early ||
         (L.options.delivery == Delivery::Random && (L.random() & 1));
}

bool issue(Warp &w, const Rec *r, int lane, std::shared_ptr<BulkOp> op) {
  Cta &cta = *w.cta;
  op->rec = r;
  op->warp = w.id;
  if (!checkGlobal(w, r, lane, *op) || !checkShared(w, r, lane, *op))
    return false;
  if (op->kind == BulkOp::Load && !cta.hopper->mbarriers.count(op->mbarrier)) {
    fault(w, r, lane, "mbarrier-uninitialized",
          "bulk copy completes on shared address 0x%x, which holds no initialized mbarrier",
          op->mbarrier);
    return false;
  }
  if (chooseEarly(*cta.launch))
    deliverBulk(cta, *op);
  if (op->kind == BulkOp::Load) {
    if (!op->delivered)
      cta.hopper->queue.push_back(op);
  } else {
    cta.hopper->warps[w.id].openStores.push_back(op);
  }
  return true;
}

void reduce(char *to, const char *from, uint32_t bytes, Type type) {
  unsigned n = bitsOf(type) / 8;
  for (uint32_t i = 0; i < bytes; i += n) {
    uint64_t old = 0, v = 0;
    memcpy(&old, to + i, n);
    memcpy(&v, from + i, n);
    v = addAtomic(type, old, v);
    memcpy(to + i, &v, n);
  }
}

/// The tensor map behind a generic address: in the parameter buffer or in global memory.
const TensorMap *findMap(Warp &w, const Rec *r, int lane, uint64_t address, TensorMap &copy) {
  Launch &L = *w.cta->launch;
  DeviceMemory &m = *L.memory;
  const char *from = nullptr;
  if (address % 64) {
    fault(w, r, lane, "misaligned-address", "tensor map at 0x%" PRIx64 " is not 64-byte aligned",
          address);
    return nullptr;
  }
  if (address >= m.paramWindow() && address - m.paramWindow() + 128 <= L.params.size())
    from = L.params.data() + (address - m.paramWindow());
  else if (address >= m.localWindow() && address < m.paramWindow()) {
    fault(w, r, lane, "invalid-tensor-map",
          "tensor map is in local memory; pass it as a __grid_constant__ parameter");
    return nullptr;
  } else if (const DeviceMemory::Block *b = m.find(address); b && b->contains(address, 128))
    from = reinterpret_cast<const char *>(address);
  if (from)
    memcpy(&copy, from, 128);
  if (!from || copy.magic != TensorMap::magicValue) {
    fault(w, r, lane, "invalid-tensor-map",
          "address 0x%" PRIx64 " holds no tensor map made by cuTensorMapEncodeTiled", address);
    return nullptr;
  }
  return &copy;
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

void addBox(BulkOp &op, const TensorMap &map, uint32_t shared, const int32_t *c) {
  uint32_t rows = 1, rowBytes = map.box[0] * map.elementBytes;
  for (unsigned d = 1; d < map.rank; ++d)
    rows *= map.box[d];
  op.pieces.reserve(rows * rowBytes / 16);
  for (uint32_t row = 0; row < rows; ++row) {
    uint32_t rest = row;
    bool inside = true;
    uint64_t address = map.address;
    for (unsigned d = 1; d < map.rank; ++d) {
      int64_t at = int64_t(c[d]) + int64_t(rest % map.box[d]) * map.elementStrides[d];
      rest /= map.box[d];
      inside &= at >= 0 && at <= int64_t(map.dims[d]);
      address += static_cast<uint64_t>(at) * map.strides[d - 1];
    }
    addRow(op, map, shared + row * rowBytes, c[0], inside, address);
  }
  op.bytes = rows * rowBytes;
  if (map.fillNan)
    op.fill = map.elementBytes == 2 ? (map.dataType == 9 ? 0x7fff : 0x7fff) : 0x7fff;
}

} // namespace

/// The arrival that cp.async.mbarrier.arrive promised: first the copies before it, then the
/// mbarrier.
static void copiesArrive(Cta &cta, BulkOp &op) {
  Warp &w = *cta.warps[op.warp];
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
  if (cta.launch->options.checks)
    b.clock[copyAgent(op.warp)] = std::max(b.clock[copyAgent(op.warp)], op.time);
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
    if (!r->aux)
      ++it->second.pending;
    auto &queue = cta.hopper->queue;
    if (!queue.empty() && queue.back()->rec == r && queue.back()->warp == w.id &&
        queue.back()->mbarrier == a && l != __builtin_ctz(w.exec)) {
      ++queue.back()->bytes; // the lanes of one instruction arrive together
      continue;
    }
    auto op = std::make_shared<BulkOp>();
    op->rec = r;
    op->warp = w.id;
    op->kind = BulkOp::CopiesArrive;
    op->mbarrier = a;
    op->bytes = 1;
    op->time = cta.races->agentClock(copyAgent(w.id));
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

void deliverBulk(Cta &cta, BulkOp &op) {
  if (op.delivered)
    return;
  op.delivered = true;
  if (op.kind == BulkOp::CopiesArrive)
    return copiesArrive(cta, op);
  DeviceMemory &m = *cta.launch->memory;
  for (const BulkPiece &p : op.pieces) {
    char *s = cta.shared + p.shared, *g = reinterpret_cast<char *>(p.global);
    if (op.kind == BulkOp::Load) {
      if (g)
        memcpy(s, g, p.bytes);
      else
        for (uint32_t i = 0; i < p.bytes; ++i)
          s[i] = static_cast<char>(op.fill >> (8 * (i & 1)));
      if (p.bytes == 16 && !(p.shared & 15)) {
        memset(cta.sharedInit.data() + (p.shared >> 2), 0xf, 4);
        continue;
      }
      for (uint32_t i = 0; i < p.bytes; ++i)
        cta.sharedInit[(p.shared + i) >> 2] |= static_cast<uint8_t>(1u << ((p.shared + i) & 3));
    } else if (g) {
      if (op.kind == BulkOp::ReduceAdd)
        reduce(g, s, p.bytes, op.type);
      else
        memcpy(g, s, p.bytes);
      m.markInitialized(p.global, p.bytes);
    }
  }
  if (op.kind != BulkOp::Load)
    return;
  auto it = cta.hopper->mbarriers.find(op.mbarrier);
  if (it == cta.hopper->mbarriers.end()) {
    fault(*cta.warps[op.warp], op.rec, -1, "mbarrier-uninitialized",
          "the mbarrier of a bulk copy was invalidated before the copy completed");
    return;
  }
  if (cta.launch->options.checks) {
    uint32_t &known = it->second.clock[bulkAgent(op.warp)];
    known = std::max(known, op.time);
  }
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
  while (!h.queue.empty() && h.queue.front()->kind == BulkOp::CopiesArrive)
    h.queue.pop_front(); // an arrival that nobody waited for
  if (!h.queue.empty()) {
    fault(*cta.warps[h.queue.front()->warp], h.queue.front()->rec, -1, "missing-wait",
          "the thread block ended while this bulk copy into its shared memory was in flight");
    return false;
  }
  auto finished = [&](const std::vector<std::shared_ptr<BulkOp>> &stores, const char *missing) {
    for (auto &op : stores) {
      if (!op->delivered && cta.launch->options.checks) {
        fault(*cta.warps[op->warp], op->rec, -1, "missing-wait",
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

/// cp.async.bulk. o: destination, source, size, mbarrier. aux: 0 global to shared, 1 shared to
/// global, 2 reduction; bits 8.. say which operands are 64-bit (destination, source, mbarrier);
/// aux2: type.
const Rec *bulkCopy(Warp &w, const Rec *r) {
  for (uint32_t m = w.exec; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    uint64_t d = addressOf(w, r->o[0], r->aux >> 8 & 1, l) + static_cast<uint32_t>(r->imm);
    uint64_t s = addressOf(w, r->o[1], r->aux >> 9 & 1, l) + (r->imm >> 32);
    uint32_t bytes = place<uint32_t>(w, r->o[2])[l];
    if ((d | s | bytes) % 16)
      return fault(
          w, r, l, "misaligned-address",
          "bulk copy needs addresses and size to be multiples of 16: destination 0x%" PRIx64
          ", source 0x%" PRIx64 ", %u bytes",
          d, s, bytes);
    auto op = std::make_shared<BulkOp>();
    unsigned kind = r->aux & 3;
    op->kind = kind == 0 ? BulkOp::Load : kind == 1 ? BulkOp::Store : BulkOp::ReduceAdd;
    op->type = static_cast<Type>(r->aux2);
    op->bytes = bytes;
    if (kind == 0)
      op->mbarrier = sharedAddress(w, addressOf(w, r->o[3], r->aux >> 10 & 1, l) + r->o[4]);
    if (bytes)
      op->pieces.push_back({sharedAddress(w, kind ? s : d), kind ? d : s, bytes});
    if (!issue(w, r, l, op))
      return nullptr;
  }
  return r + 1;
}

/// cp.async.bulk.tensor. ext: map address, shared address, mbarrier, coordinates. aux as above with
/// bit 8: shared address is 64-bit, bit 10: mbarrier is; aux2: type; o[5], o[6]: offsets of shared
/// and mbarrier addresses; o[7]: rank.
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
      c[d] = place<int32_t>(w, r->ext[3 + d])[l];
    auto op = std::make_shared<BulkOp>();
    unsigned kind = r->aux & 3;
    op->kind = kind == 0 ? BulkOp::Load : kind == 1 ? BulkOp::Store : BulkOp::ReduceAdd;
    static constexpr Type types[] = {Type::U8,  Type::U16, Type::U32, Type::S32, Type::U64,
                                     Type::S64, Type::F16, Type::F32, Type::F64, Type::BF16,
                                     Type::F32, Type::F32, Type::F32};
    op->type = types[map->dataType];
    if (kind)
      for (unsigned d = 0; d < map->rank; ++d)
        if (c[d] < 0)
          return fault(w, r, l, "invalid-operand",
                       "coordinate %u of a tensor store is negative: %d", d, c[d]);
    addBox(*op, *map, shared, c);
    if (kind == 0)
      op->mbarrier = sharedAddress(w, addressOf(w, r->ext[2], r->aux >> 10 & 1, l) + r->o[6]);
    if (!issue(w, r, l, op))
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

/// imm: groups that may stay; aux 1: .read. Reading has finished when the bytes are delivered.
const Rec *bulkWait(Warp &w, const Rec *r) {
  HopperWarp &me = w.cta->hopper->warps[w.id];
  uint32_t time = 0;
  while (me.storeGroups.size() > r->imm) {
    for (auto &op : me.storeGroups.front()) {
      deliverBulk(*w.cta, *op);
      time = std::max(time, op->time);
    }
    me.storeGroups.pop_front();
  }
  if (time && w.cta->launch->options.checks)
    w.cta->races->completed(w.id, bulkAgent(w.id), time);
  return r + 1;
}

} // namespace attnc::emu
