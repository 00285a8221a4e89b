// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// wgmma.mma_async (PTX ISA 9.7.15.5). Each warp of the warpgroup computes its own sixteen rows, so
// a warp can execute alone; the 64-row instruction exists only in the register layout.
//
// Operands in shared memory are described by a 64-bit descriptor: start, leading and stride byte
// offsets, swizzle. The address of an element is computed linearly and then XORed by its own
// absolute address bits, which is what makes advancing along k by adding 32 bytes to the start
// correct:
//   K-major, swizzle of W bytes:  S + (mn/8)*SBO + (mn%8)*W + k*e
//   K-major, none:                S + (mn/8)*SBO + (mn%8)*16 + (k/T)*LBO + (k%T)*e
//   MN-major, swizzle of W bytes: S + (mn/R)*LBO + (mn%R)*e + (k%8)*W + (k/8)*SBO     R = W/e
//   MN-major, none:               S + (mn/T)*SBO + (mn%T)*e + (k%8)*16 + (k/8)*LBO    T = 16/e
//
// Results are held back until the wait unless delivery is early; in between the accumulators hold
// NaNs, so that reading them too soon cannot go unnoticed.
#include "Alu.h"
#include "Cluster.h"
#include "Hopper.h"
#include "RegisterChecks.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace attnc::emu {
namespace {

struct Descriptor {
  uint32_t start, lbo, sbo, swizzle;
  explicit Descriptor(uint64_t d)
      : start((d & 0x3fff) << 4), lbo((d >> 16 & 0x3fff) << 4), sbo((d >> 32 & 0x3fff) << 4),
        swizzle((4 - (d >> 62 & 3)) & 3) {}
  // Field values 1, 2, 3 mean 128, 64 and 32 bytes; `swizzle` is 3, 2, 1 for them and 0 for none.
  uint32_t width() const { return swizzle ? 16u << swizzle : 0; }
  /// The block of eight chunks that holds elements (mn.., k..), both multiples of eight or, for k
  /// of a K-major operand, of a chunk: where its first chunk would be without swizzle. The others
  /// follow at the distance `pitch`: the next mn of a K-major operand, the next k otherwise.
  uint32_t block(uint32_t mn, uint32_t k, uint32_t elementBytes, bool mnMajor) const {
    if (!mnMajor)
      return start + mn / 8 * sbo + (swizzle ? k * elementBytes : k * elementBytes / 16 * lbo);
    if (!swizzle)
      return start + mn * elementBytes / 16 * sbo + k / 8 * lbo;
    uint32_t bytes = mn * elementBytes, shift = 4 + swizzle;
    return start + (bytes >> shift) * lbo + (bytes & (width() - 1)) + k / 8 * sbo;
  }
  uint32_t pitch() const { return swizzle ? width() : 16; }
};

float smallFloat(uint32_t b, int exponentBits, int fractionBits) {
  int e = static_cast<int>(b >> fractionBits & ((1u << exponentBits) - 1)),
      bias = (1 << (exponentBits - 1)) - 1;
  uint32_t f = b & ((1u << fractionBits) - 1);
  float sign = b >> (exponentBits + fractionBits) & 1 ? -1.0f : 1.0f;
  bool top = e == (1 << exponentBits) - 1;
  if (top && fractionBits == 3 && f == 7)
    return NAN;
  if (top && fractionBits != 3)
    return f ? NAN : sign * INFINITY;
  return sign * std::ldexp(static_cast<float>(f + (e ? 1u << fractionBits : 0)),
                           (e ? e : 1) - bias - fractionBits);
}

float element(const char *p, Type t) {
  uint32_t word = 0;
  memcpy(&word, p, bitsOf(t) / 8);
  switch (t) {
  case Type::BF16:
    word <<= 16;
    break;
  case Type::TF32:
    word &= 0xffffe000u;
    break;
  case Type::F16: {
    // The common case without ldexp: shift and scale, as everywhere in this emulator.
    uint32_t magnitude = (word & 0x7fffu) << 13, sign = (word & 0x8000u) << 16;
    float scaled;
    memcpy(&scaled, &magnitude, 4);
    scaled *= 0x1p112f;
    uint32_t bits;
    memcpy(&bits, &scaled, 4);
    word = ((word & 0x7fffu) >= 0x7c00u ? magnitude | 0x7f800000u : bits) | sign;
    break;
  }
  case Type::E4M3:
    return smallFloat(word, 4, 3);
  case Type::E5M2:
    return smallFloat(word, 5, 2);
  case Type::S8:
    return static_cast<float>(static_cast<int8_t>(word));
  case Type::U8:
    return static_cast<float>(word);
  default:
    break;
  }
  float f;
  memcpy(&f, &word, 4);
  return f;
}

/// The 256 values of an 8-bit type.
struct ByteTable {
  float value[256];
  explicit ByteTable(Type t) {
    for (unsigned i = 0; i < 256; ++i) {
      char c = static_cast<char>(i);
      value[i] = element(&c, t);
    }
  }
};
const float *byteTable(Type t) {
  static const ByteTable e4m3(Type::E4M3), e5m2(Type::E5M2), s8(Type::S8), u8(Type::U8);
  return t == Type::E4M3   ? e4m3.value
         : t == Type::E5M2 ? e5m2.value
         : t == Type::S8   ? s8.value
                           : u8.value;
}

/// Checks the chunks of an operand as asynchronous reads; quickly, or one by one to name the
/// culprit.
bool checkChunks(Warp &w, const Rec *r, const uint32_t *addresses, uint32_t count) {
  Cta &cta = *w.cta;
  uint32_t span = cta.sharedEnd - cta.sharedBegin - 16, outside = 0;
  for (uint32_t i = 0; i < count; ++i)
    outside |= addresses[i] - cta.sharedBegin > span;
  bool checks = cta.launch->options.checks;
  if (!outside && (!checks || cta.races->quickAsyncRead(w.member, wgmmaAgent(w.member), r->index,
                                                        addresses, count, cta.sharedInit.data())))
    return true;
  Access a;
  a.lanes = 1;
  a.bytes = 16;
  a.space = Space::Shared;
  for (uint32_t i = 0; i < count; ++i) {
    uint32_t address = addresses[i];
    if (address < cta.sharedBegin || address + 16 > cta.sharedEnd) {
      fault(w, r, -1, "out-of-bounds", "wgmma operand at %s",
            describeAddress(w, Space::Shared, address).c_str());
      return false;
    }
    if (!checks)
      continue;
    const uint8_t *init = cta.sharedInit.data() + (address >> 2);
    a.address[0] = address;
    if ((init[0] & init[1] & init[2] & init[3] & 0xf) != 0xf) {
      if (!cta.races->pendingCopy(w, r, 0, a))
        fault(w, r, -1, "uninitialized-read", "wgmma operand at %s, which nothing has written",
              describeAddress(w, Space::Shared, address).c_str());
      return false;
    }
    if (!cta.races->asyncRead(w, r, a, wgmmaAgent(w.member)))
      return false;
  }
  return true;
}

/// Reads rows [mn0, mn0 + count) of an operand in shared memory to out[k][count]; evenOdd as in
/// WgmmaMath.cpp. The unit is a block of eight chunks: eight rows, or eight k of eight rows.
bool readOperand(Warp &w, const Rec *r, const Descriptor &d, uint32_t mn0, uint32_t count,
                 uint32_t k, Type t, bool mnMajor, bool evenOdd, float *out) {
  uint32_t bytes = bitsOf(t) / 8, kStep = mnMajor ? 8 : 16 / bytes, n = 0;
  uint32_t pitch = d.pitch(), swizzled = swizzleAddress(~0u, d.swizzle) ^ ~0u; // bits it may change
  typedef uint32_t Four __attribute__((vector_size(16), aligned(4)));
  uint32_t addresses[512];
  Four steps = {0, pitch, 2 * pitch, 3 * pitch};
  for (uint32_t mn = 0; mn < count; mn += 8)
    for (uint32_t kk = 0; kk < k; kk += kStep, n += 8) {
      Four at = d.block(mn0 + mn, kk, bytes, mnMajor) + steps, next = at + 4 * pitch;
      *reinterpret_cast<Four *>(addresses + n) = at ^ ((at >> 3) & swizzled);
      *reinterpret_cast<Four *>(addresses + n + 4) = next ^ ((next >> 3) & swizzled);
    }
  if (!checkChunks(w, r, addresses, n))
    return false;
  handlers().wgmmaOperand(w.cta->shared, addresses, t, bitsOf(t) == 8 ? byteTable(t) : nullptr,
                          mnMajor, evenOdd, count, k, out);
  return true;
}

/// A in registers to a[k][16]: register q of lane (g, t) holds row g + 8*(q&1) and
/// k = 4P*(q>>1) + P*t + e, so the four lanes of a row hold sixteen bytes of it.
void fragmentA(Warp &w, const uint32_t *places, Type t, float *a) {
  uint32_t addresses[32];
  const uint32_t order[4] = {0, 2, 1, 3}; // blocks go by rows, then k; registers by k, then rows
  for (uint32_t i = 0; i < 32; ++i)
    addresses[i] = (places[order[i / 8]] & ~1u) + 16 * (i % 8);
  handlers().wgmmaOperand(w.base[0], addresses, t, bitsOf(t) == 8 ? byteTable(t) : nullptr, false,
                          false, 16, 256 / bitsOf(t), a);
}

void deliverWgmma(Warp &w, HopperWarp &me, WgmmaOp &op) {
  if (op.delivered)
    return;
  op.delivered = true;
  for (uint32_t i = 0; i < op.count; ++i) {
    const uint32_t *v = &op.values[32 * i];
    uint32_t *column = place<uint32_t>(w, op.places[i]);
    if (!op.singles)
      memcpy(column, v, 128);
    else // the one NaN; comparing as signed is what narrow machines do well
      for (int l = 0; l < 32; ++l)
        column[l] = static_cast<int32_t>(v[l] & 0x7fffffffu) > 0x7f800000 ? 0x7fffffffu : v[l];
  }
  me.spare.push_back(std::move(op.values));
}

bool intersects(const WgmmaOp &a, const WgmmaOp &b) {
  for (uint32_t i = 0, k = 0; i < a.count && k < b.count;) {
    if (a.sorted[i] == b.sorted[k])
      return true;
    a.sorted[i] < b.sorted[k] ? ++i : ++k;
  }
  return false;
}

/// The pending operation on the same accumulators in the same order, or null; there is at most one.
/// Those on some of them, or on all in another order, are delivered: the new one reads registers.
WgmmaOp *takeOver(Warp &w, HopperWarp &me, const WgmmaOp &next) {
  WgmmaOp *same = nullptr;
  auto look = [&](std::vector<WgmmaOp> &ops) {
    for (WgmmaOp &op : ops) {
      if (op.delivered)
        continue;
      if (op.count == next.count && !memcmp(op.places, next.places, 4 * next.count))
        same = &op;
      else if (intersects(op, next))
        deliverWgmma(w, me, op);
    }
  };
  for (auto &g : me.wgmmaGroups)
    look(g);
  look(me.openWgmma);
  return same;
}

uint16_t toHalf(float f) {
  uint32_t b, a, r;
  memcpy(&b, &f, 4);
  a = b & 0x7fffffffu;
  if (a > 0x7f800000u)
    return 0x7fff;
  if (a >= 0x477ff000u)
    r = 0x7c00;
  else if (a < 0x38800000u)
    r = static_cast<uint32_t>(std::nearbyint(std::ldexp(std::fabs(f), 24)));
  else
    r = (a - 0x38000000u + 0xfffu + (a >> 13 & 1)) >> 13;
  return static_cast<uint16_t>(r | (b >> 16 & 0x8000u));
}

/// Accumulator registers to single columns [n/8][2h+p][32] and back. Registers come as pairs (h=0:
/// p=0,1; h=1: p=0,1) per eight columns; f16 packs a pair in one register.
void loadAccumulators(Warp &w, const Rec *r, Type t, bool zero, float *acc) {
  // Integers start from zero: the product alone is exact in single precision, the sum is not.
  if (zero || t == Type::S32) {
    memset(acc, 0, size_t(r->o[2]) / 2 * 128);
    return;
  }
  for (uint32_t i = 0; i < r->o[6]; ++i) {
    const uint32_t *c = place<uint32_t>(w, r->ext[i]);
    for (uint32_t l = 0; l < 32; ++l) {
      char raw[4];
      memcpy(raw, &c[l], 4);
      acc[(2 * i) * 32 + l] = element(raw, Type::F16);
      acc[(2 * i + 1) * 32 + l] = element(raw + 2, Type::F16);
    }
  }
}
/// An integer accumulator and the product: wraps, or is clamped.
uint32_t addIntegers(uint32_t before, float product, bool saturates) {
  int64_t sum = int64_t(static_cast<int32_t>(before)) + static_cast<int32_t>(product);
  if (saturates)
    sum = std::clamp<int64_t>(sum, INT32_MIN, INT32_MAX);
  return static_cast<uint32_t>(sum);
}
void storeAccumulators(Warp &w, const Rec *r, Type t, bool zero, const float *acc,
                       std::vector<uint32_t> &out) {
  out.resize(32 * r->o[6]);
  for (uint32_t i = 0; i < r->o[6]; ++i)
    for (uint32_t l = 0; l < 32; ++l)
      out[32 * i + l] = t == Type::F16
                            ? toHalf(acc[2 * i * 32 + l]) |
                                  static_cast<uint32_t>(toHalf(acc[(2 * i + 1) * 32 + l])) << 16
                            : addIntegers(zero ? 0 : place<uint32_t>(w, r->ext[i])[l],
                                          acc[i * 32 + l], r->o[5] >> 5 & 1);
}

void negate(float *x, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i)
    x[i] = -x[i];
}

/// The product, added to the accumulators or to what a pending operation left in `values`.
void multiplyInto(Warp &w, const Rec *r, Type t, bool zero, const float *a, const float *b,
                  HopperWarp &me, std::vector<uint32_t> &values) {
  uint32_t n = r->o[2], k = r->o[3];
  bool chained = !values.empty();
  if (!chained && !me.spare.empty()) {
    values = std::move(me.spare.back());
    me.spare.pop_back();
  }
  if (t != Type::F32) {
    alignas(64) float acc[128 * 32];
    loadAccumulators(w, r, t, zero, acc);
    handlers().wgmma(acc, a, b, k, n);
    storeAccumulators(w, r, t, zero, acc, values);
    return;
  }
  values.resize(32 * r->o[6]);
  float *acc = reinterpret_cast<float *>(values.data());
  if (zero)
    memset(acc, 0, values.size() * 4);
  else if (!chained)
    for (uint32_t i = 0; i < r->o[6]; ++i)
      memcpy(acc + 32 * i, place<uint32_t>(w, r->ext[i]), 128);
  handlers().wgmma(acc, a, b, k, n);
}

bool uniformDescriptor(Warp &w, const Rec *r, uint32_t operand, const char *which, uint64_t &d) {
  const uint64_t *c = place<uint64_t>(w, operand);
  d = c[0];
  for (int l = 1; l < 32; ++l)
    if (c[l] != d) {
      fault(w, r, l, "descriptor-mismatch", "the descriptor of %s differs between lanes 0 and %d",
            which, l);
      return false;
    }
  if (d >> 49 & 7) {
    fault(w, r, -1, "unsupported-descriptor",
          "the descriptor of %s has base offset %u; the emulator supports 0 only", which,
          unsigned(d >> 49 & 7));
    return false;
  }
  return true;
}

} // namespace

const Rec *wgmmaFence(Warp &w, const Rec *r) {
  w.cta->hopper->warps[w.id].fenced = true;
  std::fill(w.registers->accessed.begin(), w.registers->accessed.end(), 0u);
  return r + 1;
}

const Rec *wgmmaCommit(Warp &w, const Rec *r) {
  HopperWarp &me = w.cta->hopper->warps[w.id];
  me.wgmmaGroups.push_back(std::move(me.openWgmma));
  me.openWgmma.clear();
  me.commitTimes.push_back(w.cta->cluster->clocks.now(wgmmaAgent(w.member)));
  return r + 1;
}

/// A wgmma-group belongs to the warpgroup and completes as one: who has waited for it knows that
/// the other warps have read their operands too. CUTLASS relies on it when one thread of a
/// warpgroup releases a buffer for all. False when the warp has to wait until the others have
/// issued theirs.
static bool waitForWarpgroup(Warp &w, const Rec *r, size_t groups) {
  Cta &cta = *w.cta;
  uint32_t first = w.id / 4 * 4, end = std::min(first + 4, cta.numWarps);
  for (uint32_t i = first; i < end; ++i)
    if (cta.hopper->warps[i].commitTimes.size() < groups && cta.warps[i]->stop != Stop::Done) {
      w.polled = true;
      w.wait = Wait::Warpgroup;
      w.waitArg = i;
      w.waitRec = r;
      w.splits[w.current].pc = r->index;
      w.stop = Stop::Yield;
      return false;
    }
  for (uint32_t i = first; i < end && cta.launch->options.checks; ++i) {
    uint32_t member = cta.warps[i]->member;
    if (cta.hopper->warps[i].commitTimes.size() >= groups)
      cta.cluster->clocks.completed(w.member, wgmmaAgent(member),
                                    cta.hopper->warps[i].commitTimes[groups - 1]);
  }
  if (w.wait == Wait::Warpgroup) {
    w.wait = Wait::None;
    cta.progressed = true;
  }
  return true;
}

const Rec *wgmmaWait(Warp &w, const Rec *r) {
  HopperWarp &me = w.cta->hopper->warps[w.id];
  if (me.wgmmaGroups.size() > r->imm &&
      !waitForWarpgroup(w, r, me.commitTimes.size() - static_cast<size_t>(r->imm)))
    return nullptr;
  while (me.wgmmaGroups.size() > r->imm) {
    for (WgmmaOp &op : me.wgmmaGroups.front()) {
      deliverWgmma(w, me, op);
      for (uint32_t t : op.tracked)
        --w.registers->flights[t];
    }
    me.wgmmaGroups.pop_front();
  }
  return r + 1;
}

/// Operands as decoded by DecodeHopper.cpp: o = scale-d, its negation, n, k, types, flags, number
/// of accumulator registers, where in ext they are sorted; ext = accumulators, A (four registers or
/// a descriptor), B descriptor, sorted accumulators.
const Rec *wgmmaMma(Warp &w, const Rec *r) {
  Cta &cta = *w.cta;
  HopperWarp &me = cta.hopper->warps[w.id];
  if (w.exec != allLanes)
    return fault(w, r, -1, "divergent-collective",
                 "wgmma needs all 32 lanes of the warp, but only lanes 0x%08x execute it", w.exec);
  if (cta.launch->options.checks && !me.fenced)
    return fault(w, r, -1, "missing-wgmma-fence",
                 "the first wgmma of a warp needs a wgmma.fence before it");
  uint32_t time = cta.cluster->clocks.tick(wgmmaAgent(w.member));
  uint32_t n = r->o[2], k = r->o[3], flags = r->o[5], count = r->o[6];
  Type td = static_cast<Type>(r->o[4] & 0xff), ta = static_cast<Type>(r->o[4] >> 8 & 0xff),
       tb = static_cast<Type>(r->o[4] >> 16 & 0xff);
  bool registersA = flags & 1, transA = flags & 8, transB = flags & 16;
  uint32_t accumulate = *place<uint32_t>(w, r->o[0]) ^ (r->o[1] ? ~0u : 0u);
  if (accumulate && ~accumulate)
    return fault(
        w, r, -1, "divergent-collective",
        "lanes 0x%08x of the warp add to the accumulators of this wgmma, the others do not",
        accumulate);
  bool zero = !accumulate;
  const uint32_t *operands = r->ext + count;
  alignas(64) float a[32 * 16], b[32 * 256]; // the largest shapes
  uint64_t descriptorA = 0, descriptorB;
  if ((!registersA && !uniformDescriptor(w, r, operands[0], "A", descriptorA)) ||
      !uniformDescriptor(w, r, operands[registersA ? 4 : 1], "B", descriptorB) ||
      !warpgroupStep(w, r, descriptorA, descriptorB))
    return nullptr;
  if (registersA) {
    fragmentA(w, operands, ta, a);
  } else {
    if (!readOperand(w, r, Descriptor(descriptorA), 16 * (w.id % 4), 16, k, ta, transA, false, a))
      return nullptr;
  }
  if (!readOperand(w, r, Descriptor(descriptorB), 0, n, k, tb, transB, true, b))
    return nullptr;
  if (flags & 2)
    negate(a, 16 * k);
  if (flags & 4)
    negate(b, n * k);
  WgmmaOp op;
  op.places = r->ext;
  op.sorted = r->ext + r->o[7];
  op.count = count;
  op.singles = td == Type::F32;
  bool poisoned = false;
  if (WgmmaOp *before = takeOver(w, me, op)) {
    if (td == Type::F32 && before->singles) {
      before->delivered = poisoned = true;
      op.values = std::move(before->values);
    } else {
      deliverWgmma(w, me, *before);
    }
  }
  multiplyInto(w, r, td, zero, a, b, me, op.values);
  op.time = time;
  if (cta.launch->options.delivery == Delivery::Early)
    deliverWgmma(w, me, op);
  else if (!poisoned)
    for (uint32_t i = 0; i < count; ++i) {
      uint32_t *column = place<uint32_t>(w, r->ext[i]);
      for (uint32_t l = 0; l < 32; ++l)
        column[l] = 0x7fffbad0u + l;
    }
  me.openWgmma.push_back(std::move(op));
  return r + 1;
}

} // namespace attnc::emu
