// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Instructions in which the lanes of a warp talk to each other: shfl, vote, match, redux, elect,
// ldmatrix, stmatrix, movmatrix.
//
// A `.sync` instruction names the lanes that take part. Lanes with different masks may execute it
// together: each mask is a group of its own, as those of cooperative groups are. A lane has to name
// itself, and all that it names have to be here with the same mask; hardware would wait for those
// that are elsewhere, here that is an error, as is reading the value of a lane outside the group.
// `.aligned` instructions need the whole warp at once, always.
#include "WarpOps.h"
#include "Cluster.h"

#include <algorithm>
#include <cstring>

namespace attnc::emu {
namespace {

/// Whether the lanes with this mask, `group`, are those that it names and that have not exited.
bool checkGroup(Warp &w, const Rec *r, uint32_t members, uint32_t group, const char *what) {
  uint32_t named = members & w.live;
  int lane = __builtin_ctz(group);
  if (named & ~w.exec)
    fault(w, r, lane, "divergent-collective",
          "%s names lanes 0x%08x, but only lanes 0x%08x execute it; lanes 0x%08x are elsewhere",
          what, named, w.exec, named & ~w.exec);
  else if (group & ~members)
    fault(w, r, __builtin_ctz(group & ~members), "divergent-collective",
          "%s names lanes 0x%08x, not the lane that executes it", what, members);
  else if (named & ~group)
    fault(w, r, lane, "divergent-collective",
          "%s names lanes 0x%08x, of which lanes 0x%08x execute it with another mask", what, named,
          named & ~group);
  else
    return true;
  return false;
}

/// Calls f(group) for the lanes of each mask, until it returns false. False after a report.
template <class F> bool forGroups(Warp &w, const Rec *r, uint32_t operand, const char *what, F f) {
  uint32_t mask[32]; // a copy: the result may go where the masks are
  memcpy(mask, place<uint32_t>(w, operand), sizeof mask);
  for (uint32_t left = w.exec; left;) {
    uint32_t members = mask[__builtin_ctz(left)], group = 0;
    for (uint32_t m = left; m; m &= m - 1)
      group |= mask[__builtin_ctz(m)] == members ? m & -m : 0;
    if (!checkGroup(w, r, members, group, what) || !f(group))
      return false;
    left &= ~group;
  }
  return true;
}

bool wholeWarp(Warp &w, const Rec *r, const char *what) {
  if (w.exec == allLanes)
    return true;
  fault(w, r, __builtin_ctz(w.exec), "divergent-collective",
        "%s needs all 32 lanes of the warp, but only lanes 0x%08x execute it", what, w.exec);
  return false;
}

} // namespace

/// o: d, a, b, c, mask, predicate (aux bit 2 when wanted); aux bits 0-1: 0 up, 1 down, 2 bfly, 3
/// idx.
const Rec *shuffle(Warp &w, const Rec *r) {
  const uint32_t *a = place<uint32_t>(w, r->o[1]), *b = place<uint32_t>(w, r->o[2]),
                 *c = place<uint32_t>(w, r->o[3]), *mask = place<uint32_t>(w, r->o[4]);
  uint32_t out[32], inRange = 0;
  // The shuffle of every reduction: exchange over the whole warp by one constant.
  uint32_t different = 0;
  for (int l = 0; l < 32; ++l)
    different |= (b[l] ^ b[0]) | (c[l] ^ 31) | ~mask[l];
  if (w.exec == allLanes && (r->aux & 7) == 2 && !different) {
    for (uint32_t l = 0, by = b[0] & 31; l < 32; ++l)
      out[l] = a[l ^ by];
    memcpy(place<uint32_t>(w, r->o[0]), out, sizeof out);
    return r + 1;
  }
  auto all = [](uint32_t) { return true; };
  if (!forGroups(w, r, r->o[4], "shfl.sync", all))
    return nullptr;
  for (uint32_t m = w.exec; m; m &= m - 1) {
    int lane = __builtin_ctz(m);
    int bval = b[lane] & 31, clamp = c[lane] & 31, segment = (c[lane] >> 8) & 31;
    int maxLane = (lane & segment) | (clamp & ~segment), minLane = lane & segment, j = lane;
    bool ok = true;
    switch (r->aux & 3) {
    case 0:
      j = lane - bval;
      ok = j >= maxLane;
      break;
    case 1:
      j = lane + bval;
      ok = j <= maxLane;
      break;
    case 2:
      j = lane ^ bval;
      ok = j <= maxLane;
      break;
    default:
      j = minLane | (bval & ~segment);
      ok = j <= maxLane;
      break;
    }
    if (!ok)
      j = lane;
    if (!((mask[lane] & w.exec) >> j & 1))
      return fault(w, r, lane, "inactive-lane",
                   "shfl.sync reads lane %d, which does not take part (lanes 0x%08x do)", j,
                   mask[lane] & w.exec);
    out[lane] = a[j];
    inRange |= uint32_t(ok) << lane;
  }
  uint32_t *d = place<uint32_t>(w, r->o[0]);
  for (uint32_t m = w.exec; m; m &= m - 1)
    d[__builtin_ctz(m)] = out[__builtin_ctz(m)];
  if (r->aux & 4) {
    uint32_t *p = place<uint32_t>(w, r->o[5]);
    *p = (*p & ~w.exec) | (inRange & w.exec);
  }
  return r + 1;
}

/// o: d, predicate, mask; aux bits 0-1: 0 all, 1 any, 2 uni, 3 ballot; bit 2: predicate negated.
const Rec *vote(Warp &w, const Rec *r) {
  const uint32_t predicate = *place<uint32_t>(w, r->o[1]) ^ (r->aux & 4 ? ~0u : 0u);
  uint32_t *d = place<uint32_t>(w, r->o[0]);
  bool good = forGroups(w, r, r->o[2], "vote.sync", [&](uint32_t group) {
    uint32_t p = predicate & group;
    unsigned kind = r->aux & 3;
    if (kind == 3) {
      for (uint32_t m = group; m; m &= m - 1)
        d[__builtin_ctz(m)] = p;
      return true;
    }
    bool yes = kind == 0 ? p == group : kind == 1 ? p != 0 : p == 0 || p == group;
    *d = yes ? *d | group : *d & ~group;
    return true;
  });
  return good ? r + 1 : nullptr;
}

/// o: d, a, mask, predicate; aux bit 0: all (else any), bit 1: 64-bit, bit 2: predicate wanted.
const Rec *match(Warp &w, const Rec *r) {
  auto value = [&](int l) -> uint64_t {
    return r->aux & 2 ? place<uint64_t>(w, r->o[1])[l] : place<uint32_t>(w, r->o[1])[l];
  };
  uint32_t out[32], equal = 0; // equal: lanes of groups that hold one value
  bool good = forGroups(w, r, r->o[2], "match.sync", [&](uint32_t group) {
    bool allEqual = true;
    for (uint32_t m = group; m; m &= m - 1) {
      int l = __builtin_ctz(m);
      out[l] = 0;
      for (uint32_t n = group; n; n &= n - 1)
        out[l] |= value(__builtin_ctz(n)) == value(l) ? n & -n : 0u;
      allEqual &= out[l] == group;
    }
    for (uint32_t m = r->aux & 1 ? group : 0; m; m &= m - 1)
      out[__builtin_ctz(m)] = allEqual ? group : 0;
    equal |= allEqual ? group : 0;
    return true;
  });
  if (!good)
    return nullptr;
  uint32_t *d = place<uint32_t>(w, r->o[0]);
  for (uint32_t m = w.exec; m; m &= m - 1)
    d[__builtin_ctz(m)] = out[__builtin_ctz(m)];
  if (r->aux & 4) {
    uint32_t *p = place<uint32_t>(w, r->o[3]);
    *p = (*p & ~w.exec) | equal;
  }
  return r + 1;
}

/// The reduction of a register over some lanes; `op` as in `redux`.
static uint32_t reduceLanes(const uint32_t *a, uint32_t lanes, uint32_t op) {
  uint32_t x = a[__builtin_ctz(lanes)];
  for (uint32_t m = lanes & (lanes - 1); m; m &= m - 1) {
    uint32_t y = a[__builtin_ctz(m)];
    switch (op) {
    case 0:
      x += y;
      break;
    case 1:
      x = std::min(x, y);
      break;
    case 2:
      x = std::max(x, y);
      break;
    case 3:
      x = static_cast<uint32_t>(std::min(static_cast<int32_t>(x), static_cast<int32_t>(y)));
      break;
    case 4:
      x = static_cast<uint32_t>(std::max(static_cast<int32_t>(x), static_cast<int32_t>(y)));
      break;
    case 5:
      x &= y;
      break;
    case 6:
      x |= y;
      break;
    default:
      x ^= y;
      break;
    }
  }
  return x;
}

/// o: d, a, mask; aux: 0 add, 1 min.u, 2 max.u, 3 min.s, 4 max.s, 5 and, 6 or, 7 xor.
const Rec *redux(Warp &w, const Rec *r) {
  const uint32_t *a = place<uint32_t>(w, r->o[1]);
  uint32_t out[32], *d = place<uint32_t>(w, r->o[0]);
  bool good = forGroups(w, r, r->o[2], "redux.sync", [&](uint32_t group) {
    uint32_t x = reduceLanes(a, group, r->aux);
    for (uint32_t m = group; m; m &= m - 1)
      out[__builtin_ctz(m)] = x;
    return true;
  });
  if (!good)
    return nullptr;
  for (uint32_t m = w.exec; m; m &= m - 1)
    d[__builtin_ctz(m)] = out[__builtin_ctz(m)];
  return r + 1;
}

/// o: d (or dummy), predicate, mask. The leader is the lowest lane of the mask; with `shuffle` set
/// it is the highest, to catch kernels that assume lane 0.
const Rec *elect(Warp &w, const Rec *r) {
  uint32_t *d = place<uint32_t>(w, r->o[0]), *p = place<uint32_t>(w, r->o[1]);
  bool good = forGroups(w, r, r->o[2], "elect.sync", [&](uint32_t group) {
    uint32_t leader = w.cta->launch->options.shuffle
                          ? 31 - static_cast<uint32_t>(__builtin_clz(group))
                          : static_cast<uint32_t>(__builtin_ctz(group));
    for (uint32_t m = group; m; m &= m - 1)
      d[__builtin_ctz(m)] = leader;
    *p = (*p & ~group) | 1u << leader;
    return true;
  });
  return good ? r + 1 : nullptr;
}

const Rec *activeMask(Warp &w, const Rec *r) {
  uint32_t *d = place<uint32_t>(w, r->o[0]);
  for (uint32_t m = w.exec; m; m &= m - 1)
    d[__builtin_ctz(m)] = w.exec;
  return r + 1;
}

const Rec *warpSync(Warp &w, const Rec *r) {
  if (!forGroups(w, r, r->o[0], "bar.warp.sync", [](uint32_t) { return true; }))
    return nullptr;
  w.cta->cluster->clocks.tickWarp(w.member); // what came before is ordered for all lanes
  return r + 1;
}

/// Rows of a matrix instruction: lanes 8m..8m+7 give the rows of matrix m. aux2: matrices in bits
/// 0-3, bit 4 .trans.
static bool resolveRows(Warp &w, const Rec *r, Access &a, Mode mode) {
  unsigned matrices = r->aux2 & 0xf;
  gatherAddresses(w, r, a);
  a.lanes = matrices == 4 ? allLanes : (1u << (8 * matrices)) - 1;
  a.bytes = 16;
  a.mode = mode;
  a.space = static_cast<Space>((r->aux >> memSpaceShift) & 0xf);
  a.collective = true;
  return resolve(w, r, a);
}

typedef uint16_t Row __attribute__((vector_size(16), aligned(1)));

/// One matrix from its eight rows to a column: 8 x 8 values of 16 bits, transposed or not.
static void moveMatrix(const char *const *rows, bool trans, uint32_t *d) {
  if (!trans) { // four lanes hold a row, so a row is copied whole
    for (int g = 0; g < 8; ++g)
      memcpy(&d[4 * g], rows[g], 16);
    return;
  }
  // Three rounds of interleaving transpose: row i with row i + 4, each time.
  Row a[8], b[8];
  for (int i = 0; i < 8; ++i)
    memcpy(&a[i], rows[i], 16);
  auto round = [](const Row *from, Row *to) {
    for (int i = 0; i < 4; ++i) {
      to[2 * i] = __builtin_shufflevector(from[i], from[i + 4], 0, 8, 1, 9, 2, 10, 3, 11);
      to[2 * i + 1] = __builtin_shufflevector(from[i], from[i + 4], 4, 12, 5, 13, 6, 14, 7, 15);
    }
  };
  round(a, b);
  round(b, a);
  round(a, b);
  memcpy(d, b, 128);
}

/// Element (row, column) of a matrix is the 16-bit value at host[row] + 2*column. Register m of
/// lane (g, t) holds M[g][2t], M[g][2t+1], or with .trans M[2t][g], M[2t+1][g].
const Rec *ldmatrix(Warp &w, const Rec *r) {
  if (!wholeWarp(w, r, "ldmatrix"))
    return nullptr;
  unsigned matrices = r->aux2 & 0xf;
  bool trans = r->aux2 & 16;
  uint32_t address[32];
  Access a;
  if (quickSharedRead(w, r, matrices == 4 ? allLanes : (1u << (8 * matrices)) - 1, 16, address))
    for (unsigned l = 0; l < 8 * matrices; ++l)
      a.host[l] = w.cta->shared + address[l];
  else if (!resolveRows(w, r, a, Mode::Load))
    return nullptr;
  for (unsigned m = 0; m < matrices; ++m)
    moveMatrix(a.host + 8 * m, trans, place<uint32_t>(w, r->ext[m]));
  return r + 1;
}

/// Access::stored of stmatrix: sixteen bytes of the row whose address the lane gives.
static void storedRow(Warp &w, const Rec *r, int lane, char *bytes) {
  const uint32_t *s = place<uint32_t>(w, r->ext[lane / 8]);
  int row = lane % 8;
  if (!(r->aux2 & 16)) {
    memcpy(bytes, s + 4 * row, 16);
    return;
  }
  for (int g = 0; g < 8; ++g) {
    uint16_t v = static_cast<uint16_t>(s[4 * g + row / 2] >> (row & 1 ? 16 : 0));
    memcpy(bytes + 2 * g, &v, 2);
  }
}

const Rec *stmatrix(Warp &w, const Rec *r) {
  Access a;
  a.stored = storedRow;
  if (!wholeWarp(w, r, "stmatrix") || !resolveRows(w, r, a, Mode::Store))
    return nullptr;
  unsigned matrices = r->aux2 & 0xf;
  bool trans = r->aux2 & 16;
  for (unsigned m = 0; m < matrices; ++m) {
    const uint32_t *s = place<uint32_t>(w, r->ext[m]);
    char *const *rows = a.host + 8 * m;
    for (int l = 0; l < 32; ++l) {
      int g = l >> 2, t = l & 3;
      uint16_t lo = static_cast<uint16_t>(s[l]), hi = static_cast<uint16_t>(s[l] >> 16);
      memcpy(trans ? rows[2 * t] + 2 * g : rows[g] + 4 * t, &lo, 2);
      memcpy(trans ? rows[2 * t + 1] + 2 * g : rows[g] + 4 * t + 2, &hi, 2);
    }
  }
  return r + 1;
}

/// Transposes an 8x8 matrix held one row per four lanes.
const Rec *movmatrix(Warp &w, const Rec *r) {
  if (!wholeWarp(w, r, "movmatrix"))
    return nullptr;
  const uint32_t *s = place<uint32_t>(w, r->o[1]);
  auto element = [&](int row, int column) -> uint32_t {
    return (s[4 * row + column / 2] >> (16 * (column & 1))) & 0xffff;
  };
  uint32_t out[32];
  for (int l = 0; l < 32; ++l)
    out[l] = element(2 * (l & 3), l >> 2) | element(2 * (l & 3) + 1, l >> 2) << 16;
  memcpy(place<uint32_t>(w, r->o[0]), out, sizeof out);
  return r + 1;
}

} // namespace attnc::emu
