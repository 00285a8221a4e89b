// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// cp.async, its commit groups and waits (PTX ISA 9.7.9.25.3), executed as an adversary would.
//
// When a copy is issued its destination is poisoned and forgotten by the initialisation shadow; the
// bytes arrive at once (`early`), at the last legal moment, the matching wait (`late`), or by a
// coin toss (`random`). A program that waits correctly cannot tell the difference.
#include "AsyncOps.h"
#include "AccessHistory.h"
#include "Cluster.h"

#include <algorithm>
#include <cstring>

namespace attnc::emu {

/// Full 16-byte copies, nearly all there are, with constant sizes that compile to moves.
static void deliver16(Cta &cta, CopyOp &op, uint32_t lanes) {
  uint8_t *init = cta.sharedInit.data();
  char *shared = cta.shared;
  eachLane(lanes, [&](int l) ATTNC_INLINE {
    char *to = shared + op.destination[l];
    if (op.sourceBytes[l] == 16) {
      memcpy(to, reinterpret_cast<const char *>(op.source[l]), 16);
    } else {
      memset(to, 0, 16);
      memcpy(to, reinterpret_cast<const char *>(op.source[l]), op.sourceBytes[l]);
    }
    memset(init + (op.destination[l] >> 2), 0xf, 4);
  });
}

void deliver(Warp &w, CopyOp &op, uint32_t lanes) {
  Cta &cta = *w.cta;
  if (op.bytes == 16) {
    deliver16(cta, op, op.pending & lanes);
    op.pending &= ~lanes;
    return;
  }
  for (uint32_t m = op.pending & lanes; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    char *to = cta.shared + op.destination[l];
    if (op.sourceBytes[l])
      memcpy(to, reinterpret_cast<const char *>(op.source[l]), op.sourceBytes[l]);
    memset(to + op.sourceBytes[l], 0, op.bytes - op.sourceBytes[l]);
    memset(cta.sharedInit.data() + (op.destination[l] >> 2), 0xf, op.bytes / 4);
  }
  op.pending &= ~lanes;
}

/// Bounds and initialisation of the source: only the bytes that will be read are checked.
static bool resolveSource(Warp &w, const Rec *r, const CopyOp &op, Access &source) {
  source.mode = Mode::Load;
  source.space = Space::Global;
  source.bytes = op.bytes;
  uint32_t full = 0, partial = 0;
  for (uint32_t m = w.exec; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    (op.sourceBytes[l] == op.bytes ? full
     : op.sourceBytes[l]           ? partial
                                   : full) |= op.sourceBytes[l] ? 1u << l : 0u;
  }
  source.lanes = full;
  if (full && !resolve(w, r, source))
    return false;
  for (uint32_t m = partial; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    const DeviceMemory::Block *b = w.cta->launch->memory->find(source.address[l]);
    if (source.address[l] % op.bytes) {
      fault(w, r, l, "misaligned-address", "source of cp.async at %s is not a multiple of %u",
            describeAddress(w, Space::Global, source.address[l]).c_str(), op.bytes);
      return false;
    }
    if (!b || !b->contains(source.address[l], op.sourceBytes[l])) {
      fault(w, r, l, "out-of-bounds", "read of %u bytes at %s", op.sourceBytes[l],
            describeAddress(w, Space::Global, source.address[l]).c_str());
      return false;
    }
  }
  return true;
}

/// Nearly all copies move sixteen bytes, or zeros, between places that are plainly fine. Fills the
/// operation and returns true for those; false, with nothing done, when the general way has to
/// look.
static bool quickCopy(Warp &w, const Rec *r, CopyOp &op) {
  Cta &cta = *w.cta;
  Launch &L = *cta.launch;
  if (op.bytes != 16 || (r->aux2 & 3) > 1 || L.options.counters || L.thorough)
    return false;
  const uint64_t *from = place<uint64_t>(w, r->o[1]);
  uint64_t srcOffset = static_cast<uint64_t>(static_cast<int64_t>(r->imm) >> 32);
  uint32_t dstOffset = static_cast<uint32_t>(r->imm);
  uint64_t begin = L.lastBlock[r->counter].first, end = L.lastBlock[r->counter].second;
  if (end - begin < 16 || cta.sharedEnd - cta.sharedBegin < 16)
    return false;
  uint64_t sourceSpan = end - begin - 16, bad = 0;
  uint32_t sharedSpan = cta.sharedEnd - cta.sharedBegin - 16;
  const uint32_t *sizes = r->aux2 & 3 ? place<uint32_t>(w, r->o[2]) : nullptr;
  const uint32_t *to32 = place<uint32_t>(w, r->o[0]);
  const uint64_t *to64 = place<uint64_t>(w, r->o[0]);
  bool wide = r->aux & memAddress64;
  for (int l = 0; l < 32; ++l) {
    op.destination[l] = (wide ? static_cast<uint32_t>(to64[l]) : to32[l]) + dstOffset;
    op.source[l] = from[l] + srcOffset;
    op.sourceBytes[l] = sizes ? static_cast<uint8_t>(std::min(sizes[l], 255u)) : 16;
  }
  if (wide)
    eachLane(w.exec, [&](int l) ATTNC_INLINE { bad |= to64[l] >> 32; });
  eachLane(w.exec, [&](int l) ATTNC_INLINE {
    uint32_t size = op.sourceBytes[l];
    uint64_t source = size ? op.source[l] : begin; // of size zero, no byte is touched
    bad |= (op.destination[l] & 15) | (op.destination[l] - cta.sharedBegin > sharedSpan) |
           (size & ~16u) | (source & 15) | (source - begin > sourceSpan);
  });
  if (bad)
    return false;
  if (L.options.checks) {
    if (!cta.mbarrierChunks.empty())
      eachLane(w.exec,
               [&](int l) ATTNC_INLINE { bad |= nearMbarriers(cta, op.destination[l], 16); });
    const uint8_t *shadow = L.memory->shadow(begin);
    const uint32_t wanted = L.options.arbitraryGlobal ? 0 : 0x0f0f0f0f;
    eachLane(w.exec, [&](int l) ATTNC_INLINE {
      uint32_t init = 0x0f0f0f0f;
      if (op.sourceBytes[l])
        memcpy(&init, shadow + ((op.source[l] - begin) >> 2), 4);
      bad |= ~init & wanted;
    });
    if (bad || !cta.races->quickAsyncWrite(w.member, copyAgent(w.member), r->index, w.exec,
                                           op.destination))
      return false;
  }
  return true;
}

/// All copies, by the book. o[0] destination (32- or 64-bit by memAddress64), o[1] source column
/// (64-bit), o[2] source size or predicate; imm: destination offset in the low, source offset in
/// the high 32 bits. aux: cp-size, aux2: 0 no size operand, 1 size register, 2 ignore-src
/// predicate, +4 when negated.
static bool generalCopy(Warp &w, const Rec *r, CopyOp &op) {
  Access dst, src;
  dst.lanes = src.lanes = w.exec;
  const uint64_t *from = place<uint64_t>(w, r->o[1]);
  int32_t dstOffset = static_cast<int32_t>(r->imm), srcOffset = static_cast<int32_t>(r->imm >> 32);
  uint32_t ignore = 0;
  if ((r->aux2 & 3) == 2)
    ignore = *place<uint32_t>(w, r->o[2]) ^ (r->aux2 & 4 ? ~0u : 0u);
  for (uint32_t m = w.exec; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    uint64_t d =
        r->aux & memAddress64 ? place<uint64_t>(w, r->o[0])[l] : place<uint32_t>(w, r->o[0])[l];
    dst.address[l] = d + static_cast<int64_t>(dstOffset);
    src.address[l] = from[l] + static_cast<int64_t>(srcOffset);
    uint32_t size = (r->aux2 & 3) == 1  ? place<uint32_t>(w, r->o[2])[l]
                    : (ignore >> l & 1) ? 0
                                        : op.bytes;
    if (size > op.bytes) {
      fault(w, r, l, "invalid-operand", "cp.async source size %u exceeds the copy size %u", size,
            op.bytes);
      return false;
    }
    op.destination[l] = static_cast<uint32_t>(dst.address[l]);
    op.source[l] = src.address[l];
    op.sourceBytes[l] = static_cast<uint8_t>(size);
  }
  // The destination is checked for bounds and alignment here, and for races as an asynchronous
  // write.
  dst.mode = Mode::Store;
  dst.space = Space::Shared;
  dst.bytes = op.bytes;
  dst.asynchronous = true;
  return resolve(w, r, dst) && resolveSource(w, r, op, src) &&
         (!w.cta->launch->options.checks ||
          w.cta->races->asyncWrite(w, r, dst, copyAgent(w.member))) &&
         (!w.cta->launch->thorough || checkCopyThoroughly(w, r, dst, copyAgent(w.member)));
}

const Rec *cpAsync(Warp &w, const Rec *r) {
  Cta &cta = *w.cta;
  Launch &L = *cta.launch;
  w.async->open.emplace_back();
  CopyOp &op = w.async->open.back();
  op.rec = r;
  op.bytes = r->aux & memBytesMask;
  op.lanes = op.pending = w.exec;
  op.time = cta.cluster->clocks.tick(copyAgent(w.member));
  if (!quickCopy(w, r, op) && !generalCopy(w, r, op))
    return nullptr;
  bool now = L.options.delivery == Delivery::Early ||
             (L.options.delivery == Delivery::Random && (L.random() & 1));
  if (now) {
    deliver(w, op, allLanes);
    return r + 1;
  }
  uint8_t *init = cta.sharedInit.data();
  if (op.bytes == 16)
    eachLane(w.exec, [&](int l) ATTNC_INLINE {
      memset(cta.shared + op.destination[l], 0xff, 16);
      memset(init + (op.destination[l] >> 2), 0, 4);
    });
  else
    eachLane(w.exec, [&](int l) ATTNC_INLINE {
      memset(cta.shared + op.destination[l], 0xff, op.bytes);
      memset(init + (op.destination[l] >> 2), 0, op.bytes / 4);
    });
  return r + 1;
}

const Rec *cpAsyncCommit(Warp &w, const Rec *r) {
  AsyncState &async = *w.async;
  CopyGroup g;
  g.lanes = w.exec;
  bool whole = true;
  for (const CopyOp &op : async.open) {
    whole &= !(op.lanes & ~w.exec);
    g.time = std::max(g.time, op.lanes & w.exec ? op.time : 0);
  }
  if (whole) {
    g.ops = std::move(async.open);
    async.open = std::move(async.spare);
    async.open.clear();
    async.groups.push_back(std::move(g));
    return r + 1;
  }
  std::vector<CopyOp> stay; // copies of lanes that do not take part in this commit
  for (CopyOp &op : async.open) {
    if (uint32_t others = op.lanes & ~w.exec) {
      stay.push_back(op);
      stay.back().lanes = others;
      stay.back().pending &= others;
    }
    if (!(op.lanes & w.exec))
      continue;
    op.lanes &= w.exec;
    op.pending &= w.exec;
    g.ops.push_back(op);
  }
  async.open = std::move(stay);
  async.groups.push_back(std::move(g));
  return r + 1;
}

/// imm: groups that may stay pending; aux: 1 for wait_all, which covers uncommitted copies too.
const Rec *cpAsyncWait(Warp &w, const Rec *r) {
  uint64_t allowed = r->aux ? 0 : r->imm;
  uint64_t younger[32] = {};
  uint32_t time = 0;
  if (r->aux)
    for (CopyOp &op : w.async->open) {
      deliver(w, op, w.exec);
      op.lanes &= ~w.exec;
      time = std::max(time, op.time);
    }
  auto &open = w.async->open;
  open.erase(std::remove_if(open.begin(), open.end(), [](const CopyOp &op) { return !op.lanes; }),
             open.end());
  auto &groups = w.async->groups;
  for (size_t i = groups.size(); i-- > 0;) {
    CopyGroup &g = groups[i];
    uint32_t due = 0;
    for (uint32_t m = g.lanes & w.exec; m; m &= m - 1) {
      int l = __builtin_ctz(m);
      due |= younger[l]++ >= allowed ? 1u << l : 0u;
    }
    if (!due)
      continue;
    time = std::max(time, g.time);
    for (CopyOp &op : g.ops)
      deliver(w, op, due);
    g.lanes &= ~due;
  }
  while (!groups.empty() && !groups.front().lanes) {
    w.async->spare = std::move(groups.front().ops);
    groups.pop_front();
  }
  Clocks &clocks = w.cta->cluster->clocks;
  if (w.cta->launch->options.checks && time)
    clocks.completed(w.member, copyAgent(w.member), time);
  if (w.cta->launch->thorough && time)
    w.async->waits.push_back({time, clocks.now(warpAgent(w.member))});
  return r + 1;
}

} // namespace attnc::emu
