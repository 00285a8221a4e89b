// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Address resolution and its checks; see Access.h. The order matters: alignment and bounds first,
// for every access; then initialisation, read-only use and races, which `Options::checks` controls.
// Each check has a cheap test over the whole warp and names the guilty lane only when that fails.
#include "Access.h"
#include "AccessHistory.h"
#include "Cluster.h"

#include <algorithm>
#include <cinttypes>
#include <cstring>

namespace attnc::emu {

void gatherAddresses(Warp &w, const Rec *r, Access &a) {
  a.lanes = w.exec;
  if (r->aux & memAddress64) {
    const uint64_t *base = place<uint64_t>(w, r->o[0]);
    for (int l = 0; l < 32; ++l)
      a.address[l] = base[l] + r->imm;
  } else {
    const uint32_t *base = place<uint32_t>(w, r->o[0]);
    for (int l = 0; l < 32; ++l)
      a.address[l] = static_cast<uint32_t>(base[l] + r->imm);
  }
}

std::string describeShared(const Cta &owner, const Warp &w, uint64_t address) {
  char text[160];
  uint64_t tag = address >> clusterRankShift;
  if (tag) {
    snprintf(text, sizeof text,
             "shared address 0x%" PRIx64 " (of block rank %" PRIu64
             " of the cluster, for .shared::cluster only)",
             address, tag - 1);
    return text;
  }
  snprintf(text, sizeof text, "shared address 0x%" PRIx64 " (byte %" PRId64 " of %u)", address,
           static_cast<int64_t>(address - owner.sharedBegin), owner.sharedEnd - owner.sharedBegin);
  return &owner == w.cta ? text : text + (" of block rank " + std::to_string(owner.rank));
}

std::string describeAddress(Warp &w, Space space, uint64_t address) {
  char text[160];
  const Launch &L = *w.cta->launch;
  if (space == Space::Shared)
    return describeShared(*w.cta, w, address);
  if (space == Space::Global) {
    const DeviceMemory::Block *b = L.memory->nearest(address);
    if (!b) {
      snprintf(text, sizeof text, "global address 0x%" PRIx64 " (no allocation near it)", address);
      return text;
    }
    std::string name = b->name.empty() ? "an allocation" : "'" + b->name + "'";
    if (address < b->end)
      snprintf(text, sizeof text,
               "global address 0x%" PRIx64 " (byte %" PRIu64 " of %s%s of %" PRIu64 " bytes)",
               address, address - b->begin, b->freed ? "freed " : "", name.c_str(),
               b->end - b->begin);
    else
      snprintf(text, sizeof text,
               "global address 0x%" PRIx64 " (%" PRIu64 " bytes past the end of %s of %" PRIu64
               " bytes)",
               address, address - b->end, name.c_str(), b->end - b->begin);
    return text;
  }
  snprintf(text, sizeof text, "%s address 0x%" PRIx64, space == Space::Local ? "local" : "generic",
           address);
  return text;
}

StoredWord::StoredWord(Warp &w, const Rec *r, int lane, const Access &a, uint64_t wordAddress,
                       uint8_t mask) {
  char bytes[32];
  a.stored(w, r, lane, bytes);
  int first = __builtin_ctz(mask), last = 31 - __builtin_clz(mask);
  for (int b = last; b >= first; --b) {
    // Bytes between those of the mask, which only one of the two wrote, are left out.
    bool meant = mask >> b & 1;
    size_t at = static_cast<size_t>(wordAddress + static_cast<uint64_t>(b) - a.address[lane]);
    before = before << 8 | (meant ? static_cast<uint8_t>(a.host[lane][at]) : 0u);
    after = after << 8 | (meant ? static_cast<uint8_t>(bytes[at]) : 0u);
  }
  digits = 2 * (last - first + 1);
}

std::string StoredWord::words() const {
  char text[64];
  snprintf(text, sizeof text, "which wrote 0x%0*x there; this writes 0x%0*x", digits, before,
           digits, after);
  return text;
}

namespace {

const char *verb(const Access &a) {
  return a.mode == Mode::Load ? "read" : a.mode == Mode::Store ? "write" : "atomic access";
}

/// What the addresses of a whole warp have in common; one vector pass.
struct Summary {
  uint64_t bits = 0, lowest = ~0ull, highest = 0;
};
Summary summarize(const Access &a) {
  Summary s;
  if (a.lanes == allLanes) {
    for (int l = 0; l < 32; ++l) {
      s.bits |= a.address[l];
      s.lowest = a.address[l] < s.lowest ? a.address[l] : s.lowest;
      s.highest = a.address[l] > s.highest ? a.address[l] : s.highest;
    }
    return s;
  }
  for (uint32_t m = a.lanes; m; m &= m - 1) {
    uint64_t p = a.address[__builtin_ctz(m)];
    s.bits |= p;
    s.lowest = std::min(s.lowest, p);
    s.highest = std::max(s.highest, p);
  }
  return s;
}

bool checkAlignment(Warp &w, const Rec *r, const Access &a, const Summary &s) {
  if (!(s.bits & (a.bytes - 1)))
    return true;
  for (uint32_t m = a.lanes; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    if (a.address[l] & (a.bytes - 1)) {
      fault(w, r, l, "misaligned-address", "%s of %u bytes at %s, which is not a multiple of %u",
            verb(a), a.bytes, describeAddress(w, a.space, a.address[l]).c_str(), a.bytes);
      return false;
    }
  }
  return true;
}

bool globalBounds(Warp &w, const Rec *r, Access &a, const Summary &s) {
  Launch &L = *w.cta->launch;
  auto &[begin, end] = L.lastBlock[r->counter];
  if (s.lowest >= begin && s.highest + a.bytes <= end) {
    for (int l = 0; l < 32; ++l)
      a.host[l] = reinterpret_cast<char *>(a.address[l]);
    return true;
  }
  for (uint32_t m = a.lanes; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    uint64_t p = a.address[l];
    if (p < begin || p + a.bytes > end) {
      const DeviceMemory::Block *b = L.memory->find(p);
      if (!b || !b->contains(p, a.bytes)) {
        fault(w, r, l, "out-of-bounds", "%s of %u bytes at %s", verb(a), a.bytes,
              describeAddress(w, Space::Global, p).c_str());
        return false;
      }
      begin = b->begin;
      end = b->end;
    }
    a.host[l] = reinterpret_cast<char *>(p);
  }
  return true;
}

/// The shadow bits of one access, replicated: what must be set for `bytes` bytes at `address`.
struct ShadowRange {
  uint8_t *at;
  uint32_t words;
  uint8_t bits;
  ShadowRange(uint8_t *at, uint64_t address, uint32_t bytes)
      : at(at), words(bytes >= 4 ? bytes / 4 : 1),
        bits(bytes >= 4 ? 0xf : static_cast<uint8_t>(((1u << bytes) - 1) << (address & 3))) {}
  bool initialized() const {
    if (words == 4) {
      uint32_t four;
      memcpy(&four, at, 4);
      return (four & 0x0f0f0f0fu) == 0x0f0f0f0fu;
    }
    uint8_t all = 0xff;
    for (uint32_t i = 0; i < words; ++i)
      all &= at[i];
    return (all & bits) == bits;
  }
  void set(uint8_t extra) {
    for (uint32_t i = 0; i < words; ++i)
      at[i] |= bits | extra;
  }
};

constexpr uint8_t readOnlyBit = 0x10; ///< in the shadow of global memory: read through .nc

bool globalChecks(Warp &w, const Rec *r, Access &a) {
  Launch &L = *w.cta->launch;
  for (uint32_t m = a.lanes; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    uint64_t p = a.address[l];
    ShadowRange s(L.memory->shadow(p), p, a.bytes);
    if (a.mode != Mode::Store && !L.options.arbitraryGlobal && !s.initialized()) {
      fault(w, r, l, "uninitialized-read", "read of %u bytes at %s, which nothing has written",
            a.bytes, describeAddress(w, Space::Global, p).c_str());
      return false;
    }
    if (a.mode != Mode::Load) {
      if (*s.at & readOnlyBit) {
        fault(w, r, l, "write-to-read-only",
              "%s of %u bytes at %s, which this launch has read through the non-coherent path "
              "(ld.global.nc)",
              verb(a), a.bytes, describeAddress(w, Space::Global, p).c_str());
        return false;
      }
      s.set(0);
    } else if (a.nonCoherent) {
      s.set(readOnlyBit);
    }
  }
  if (a.nonCoherent && a.lanes) {
    auto [begin, end] = L.lastBlock[r->counter];
    L.readOnly.try_emplace(begin, ReadOnlyUse{end});
  }
  return true;
}

bool sharedBounds(Warp &w, const Rec *r, Access &a, const Summary &s) {
  Cta &cta = a.owner ? *a.owner : *w.cta;
  if (s.lowest >= cta.sharedBegin && s.highest + a.bytes <= cta.sharedEnd) {
    for (int l = 0; l < 32; ++l)
      a.host[l] = cta.shared + static_cast<uint32_t>(a.address[l]);
    return true;
  }
  for (uint32_t m = a.lanes; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    uint64_t p = a.address[l];
    if (p >> clusterRankShift == w.cta->rank + 1 && !a.owner) // mapa to the block itself
      p = a.address[l] = p & ((1u << clusterRankShift) - 1);
    if (p < cta.sharedBegin || p + a.bytes > cta.sharedEnd) {
      fault(w, r, l, "out-of-bounds", "%s of %u bytes at %s", verb(a), a.bytes,
            describeShared(cta, w, p).c_str());
      return false;
    }
    a.host[l] = cta.shared + p;
  }
  return true;
}

bool sharedChecks(Warp &w, const Rec *r, Access &a) {
  Cta &cta = a.owner ? *a.owner : *w.cta;
  for (uint32_t m = a.lanes; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    uint64_t p = a.address[l];
    if (!checkNoMbarrier(w, r, l, cta, p, a.bytes, verb(a)))
      return false;
    ShadowRange s(cta.sharedInit.data() + (p >> 2), p, a.bytes);
    if (a.mode != Mode::Store && !s.initialized()) {
      // A pending asynchronous copy explains itself better than "uninitialized".
      if (cta.races->pendingCopy(w, r, l, a))
        return false;
      fault(w, r, l, "uninitialized-read", "read of %u bytes at %s, which nothing has written",
            a.bytes, describeShared(cta, w, p).c_str());
      return false;
    }
    if (a.mode != Mode::Load)
      s.set(0);
  }
  return cta.races->access(w, r, a);
}

bool localBounds(Warp &w, const Rec *r, Access &a) {
  uint32_t size = w.cta->launch->kernel->localBytes;
  for (uint32_t m = a.lanes; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    if (a.address[l] + a.bytes > size) {
      fault(w, r, l, "out-of-bounds",
            "%s of %u bytes at local address 0x%" PRIx64 "; the thread has %u bytes", verb(a),
            a.bytes, a.address[l], size);
      return false;
    }
    a.host[l] = w.local + static_cast<size_t>(l) * size + a.address[l];
  }
  return true;
}

bool paramBounds(Warp &w, const Rec *r, Access &a) {
  Launch &L = *w.cta->launch;
  for (uint32_t m = a.lanes; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    uint64_t offset = a.address[l] >= L.memory->paramWindow()
                          ? a.address[l] - L.memory->paramWindow()
                          : a.address[l];
    if (a.mode != Mode::Load || offset + a.bytes > L.params.size()) {
      fault(w, r, l, "out-of-bounds", "%s of %u bytes at parameter offset %" PRIu64 " of %zu",
            verb(a), a.bytes, offset, L.params.size());
      return false;
    }
    a.host[l] = L.params.data() + offset;
  }
  return true;
}

/// Sorts generic addresses into spaces. The common case, all lanes in one space, rewrites the
/// access in place; a mix is resolved space by space.
bool resolveGeneric(Warp &w, const Rec *r, Access &a) {
  const DeviceMemory &mem = *w.cta->launch->memory;
  auto spaceOf = [&](uint64_t p) {
    return p < mem.sharedWindow()                              ? Space::Global
           : p - mem.sharedWindow() < (1u << clusterRankShift) ? Space::Shared
           : p < mem.localWindow()                             ? Space::SharedCluster
           : p < mem.paramWindow()                             ? Space::Local
           : p < mem.paramWindow() + mem.paramWindowBytes      ? Space::Param
                                                               : Space::Global;
  };
  uint32_t left = a.lanes;
  while (left) {
    Space space = spaceOf(a.address[__builtin_ctz(left)]);
    Access part = a;
    part.space = space;
    part.lanes = 0;
    for (uint32_t m = left; m; m &= m - 1) {
      int l = __builtin_ctz(m);
      if (spaceOf(a.address[l]) != space)
        continue;
      part.lanes |= 1u << l;
      if (space == Space::Shared || space == Space::SharedCluster)
        part.address[l] -= mem.sharedWindow();
      if (space == Space::Local)
        part.address[l] -= mem.localWindow();
    }
    if (!resolve(w, r, part))
      return false;
    for (uint32_t m = part.lanes; m; m &= m - 1)
      a.host[__builtin_ctz(m)] = part.host[__builtin_ctz(m)];
    left &= ~part.lanes;
  }
  return true;
}

} // namespace

void countAccess(Warp &w, const Rec *r, const Access &a); // Counters.cpp

bool resolve(Warp &w, const Rec *r, Access &a) {
  if (a.space == Space::Generic)
    return resolveGeneric(w, r, a);
  if (a.space == Space::SharedCluster)
    return resolveCluster(w, r, a);
  Summary s = summarize(a);
  if (!checkAlignment(w, r, a, s))
    return false;
  if (!a.lanes)
    return true;
  Launch &L = *w.cta->launch;
  bool inBounds = false;
  switch (a.space) {
  case Space::Shared:
    inBounds = sharedBounds(w, r, a, s);
    break;
  case Space::Local:
    inBounds = localBounds(w, r, a);
    break;
  case Space::Param:
    inBounds = paramBounds(w, r, a);
    break;
  default:
    inBounds = globalBounds(w, r, a, s);
    break; // Global and Const
  }
  if (!inBounds)
    return false;
  if (L.options.counters)
    countAccess(w, r, a);
  if (!L.options.checks) {
    // What deliveries are compared by needs to know what has been written.
    for (uint32_t m = a.lanes;
         m && L.options.arbitraryGlobal && a.space == Space::Global && a.mode != Mode::Load;
         m &= m - 1)
      L.memory->markInitialized(a.address[__builtin_ctz(m)], a.bytes);
    return true;
  }
  bool good = true;
  if (a.space == Space::Shared)
    good = sharedChecks(w, r, a);
  else if (a.space == Space::Global || a.space == Space::Const)
    good = globalChecks(w, r, a);
  if (good && L.thorough && !a.asynchronous &&
      (a.space == Space::Shared || a.space == Space::Global))
    return checkThoroughly(w, r, a);
  return good;
}

/// The chunks of sixteen bytes that a warp reads if it reads whole ones: one for each lane, or,
/// with narrower reads, in one of the patterns of fragments, where neighbours in a row of lanes or
/// in a column of the groups of four read neighbouring words. Returns their number, or 0.
static uint32_t wholeChunks(uint32_t lanes, uint32_t bytes, const uint32_t *address,
                            uint32_t *chunks) {
  if (bytes == 16) {
    uint32_t n = 0;
    if (lanes == allLanes)
      memcpy(chunks, address, 128), n = 32;
    else
      for (uint32_t m = lanes; m; m &= m - 1)
        chunks[n++] = address[__builtin_ctz(m)];
    return n;
  }
  if (lanes != allLanes)
    return 0;
  typedef uint32_t Four __attribute__((vector_size(16), aligned(4)));
  auto four = [&](unsigned g) { return *reinterpret_cast<const Four *>(address + 4 * g); };
  auto any = [](Four v) { return (v[0] | v[1] | v[2] | v[3]) != 0; };
  Four across = {}, down = {}, first = four(0);
  if (bytes == 8) {
    for (uint32_t g = 0; g < 8; ++g) {
      Four a = four(g), even = __builtin_shufflevector(a, a, 0, 0, 2, 2);
      across |= (a ^ (even + Four{0, 8, 0, 8})) | (even & 15);
      chunks[2 * g] = a[0];
      chunks[2 * g + 1] = a[2];
    }
    return any(across) ? 0 : 16;
  }
  for (uint32_t g = 0; g < 8; ++g) {
    Four a = four(g), left = __builtin_shufflevector(a, a, 0, 0, 0, 0);
    across |= (a ^ (left + Four{0, 4, 8, 12})) | (left & 15);
    down |= a ^ (first + 4 * g);
    chunks[g] = a[0];
  }
  if (!any(across))
    return 8;
  if (any(down | (first & 15)))
    return 0;
  for (uint32_t t = 0; t < 4; ++t) {
    chunks[t] = address[t];
    chunks[4 + t] = address[t] + 16;
  }
  return 8;
}

bool quickSharedRead(Warp &w, const Rec *r, uint32_t lanes, uint32_t bytes, uint32_t *address) {
  const Cta &cta = *w.cta;
  const Options &options = cta.launch->options;
  constexpr uint32_t kind = 0xfu << memSpaceShift | memSync;
  if ((r->aux & kind) != static_cast<uint32_t>(Space::Shared) << memSpaceShift ||
      options.counters || cta.launch->thorough)
    return false;
  // One comparison for both ends: an address below the beginning wraps around.
  uint32_t begin = cta.sharedBegin, span = cta.sharedEnd - begin - bytes, bad = 0;
  if (r->aux & memAddress64) {
    const uint64_t *base = place<uint64_t>(w, r->o[0]);
    for (int l = 0; l < 32; ++l) {
      uint64_t a = base[l] + r->imm;
      address[l] = static_cast<uint32_t>(a);
      bad |= (lanes >> l & 1) & static_cast<uint32_t>((a >> 32) != 0);
    }
  } else {
    const uint32_t *base = place<uint32_t>(w, r->o[0]);
    for (int l = 0; l < 32; ++l)
      address[l] = base[l] + static_cast<uint32_t>(r->imm);
  }
  eachLane(lanes, [&](int l) ATTNC_INLINE {
    bad |= static_cast<uint32_t>(address[l] - begin > span) | (address[l] & (bytes - 1));
  });
  if (bad || cta.sharedEnd - begin < bytes)
    return false;
  if (!options.checks)
    return true;
  const uint8_t *init = cta.sharedInit.data();
  RaceDetector &races = *cta.races;
  uint32_t chunks[32], count = wholeChunks(lanes, bytes, address, chunks);
  return count        ? races.quickReadChunks(w.member, r->index, chunks, count, init)
         : bytes == 8 ? races.quickRead<2>(w.member, r->index, lanes, address, init)
                      : races.quickRead<1>(w.member, r->index, lanes, address, init);
}

char *sharedObject(Cta &cta, Warp &w, const Rec *r, int lane, uint64_t address, uint32_t bytes) {
  if (address < cta.sharedBegin || address + bytes > cta.sharedEnd || (address & (bytes - 1))) {
    fault(w, r, lane, address & (bytes - 1) ? "misaligned-address" : "out-of-bounds",
          "object of %u bytes at %s", bytes, describeShared(cta, w, address).c_str());
    return nullptr;
  }
  return cta.shared + address;
}

} // namespace attnc::emu
