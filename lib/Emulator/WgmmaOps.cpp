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
  /// Address of the 16-byte chunk that holds element (mn, k); `t` elements per chunk.
  uint32_t chunk(uint32_t mn, uint32_t k, uint32_t t, bool mnMajor) const {
    uint32_t e = 16 / t, w = width(), a;
    if (!mnMajor)
      a = start + mn / 8 * sbo + (w ? mn % 8 * w + k * e : mn % 8 * 16 + k / t * lbo);
    else
      a = w ? start + mn / (w / e) * lbo + mn % (w / e) * e + k % 8 * w + k / 8 * sbo
            : start + mn / t * sbo + k % 8 * 16 + k / 8 * lbo;
    return swizzleAddress(a, swizzle);
  }
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

/// Sixteen bytes to singles; the hot loop of wgmma, so the type is decided outside it.
void decodeChunk(const char *p, Type t, float *out) {
  if (t == Type::BF16 || t == Type::F16) {
    uint16_t in[8];
    uint32_t bits[8];
    memcpy(in, p, 16);
    if (t == Type::BF16) {
      for (int i = 0; i < 8; ++i)
        bits[i] = static_cast<uint32_t>(in[i]) << 16;
    } else {
      float scaled[8];
      for (int i = 0; i < 8; ++i)
        bits[i] = static_cast<uint32_t>(in[i] & 0x7fffu) << 13;
      memcpy(scaled, bits, 32);
      for (int i = 0; i < 8; ++i)
        scaled[i] *= 0x1p112f;
      uint32_t normal[8];
      memcpy(normal, scaled, 32);
      for (int i = 0; i < 8; ++i)
        bits[i] = ((in[i] & 0x7fffu) >= 0x7c00u ? bits[i] | 0x7f800000u : normal[i]) |
                  static_cast<uint32_t>(in[i] & 0x8000u) << 16;
    }
    memcpy(out, bits, 32);
  } else if (t == Type::TF32) {
    uint32_t bits[4];
    memcpy(bits, p, 16);
    for (uint32_t &b : bits)
      b &= 0xffffe000u;
    memcpy(out, bits, 16);
  } else {
    const float *table = byteTable(t);
    for (int i = 0; i < 16; ++i)
      out[i] = table[static_cast<unsigned char>(p[i])];
  }
}

/// Collects chunk addresses and checks them 32 at a time as asynchronous reads.
class ChunkChecker {
public:
  ChunkChecker(Warp &w, const Rec *r) : w(w), r(r) {
    a.lanes = 1;
    a.bytes = 16;
    a.space = Space::Shared;
  }
  const char *read(uint32_t address) {
    Cta &cta = *w.cta;
    if (address < cta.sharedBegin || address + 16 > cta.sharedEnd) {
      fault(w, r, -1, "out-of-bounds", "wgmma operand at %s",
            describeAddress(w, Space::Shared, address).c_str());
      return nullptr;
    }
    if (!cta.launch->options.checks)
      return cta.shared + address;
    const uint8_t *init = cta.sharedInit.data() + (address >> 2);
    a.address[0] = address;
    if ((init[0] & init[1] & init[2] & init[3] & 0xf) != 0xf) {
      if (!cta.races->pendingCopy(w, r, 0, a))
        fault(w, r, -1, "uninitialized-read", "wgmma operand at %s, which nothing has written",
              describeAddress(w, Space::Shared, address).c_str());
      return nullptr;
    }
    return cta.races->asyncRead(w, r, a, wgmmaAgent(w.member)) ? cta.shared + address : nullptr;
  }

private:
  Warp &w;
  const Rec *r;
  Access a;
};

/// Reads rows [mn0, mn0 + count) of an operand; `store(mn, k, value)`.
template <class F>
bool readOperand(Warp &w, const Rec *r, const Descriptor &d, uint32_t mn0, uint32_t count,
                 uint32_t k, Type t, bool mnMajor, F store) {
  ChunkChecker check(w, r);
  uint32_t bytes = bitsOf(t) / 8, perChunk = 16 / bytes;
  uint32_t outer = mnMajor ? k : count, inner = mnMajor ? count : k;
  for (uint32_t o = 0; o < outer; ++o)
    for (uint32_t i = 0; i < inner; i += perChunk) {
      const char *p = check.read(mnMajor ? d.chunk(mn0 + i, o, perChunk, true)
                                         : d.chunk(mn0 + o, i, perChunk, false));
      if (!p)
        return false;
      float values[16];
      decodeChunk(p, t, values);
      for (uint32_t e = 0; e < perChunk; ++e)
        mnMajor ? store(i + e, o, values[e]) : store(o, i + e, values[e]);
    }
  return true;
}

/// A in registers: register q of lane (g, t) holds row g + 8*(q&1), k = 4P*(q>>1) + P*t + e.
void fragmentA(Warp &w, const uint32_t *places, Type t, uint32_t k, float *a) {
  uint32_t bytes = bitsOf(t) / 8, perWord = 4 / bytes;
  for (int q = 0; q < 4; ++q) {
    const uint32_t *column = place<uint32_t>(w, places[q]);
    // The four lanes of a row hold sixteen bytes of it: decode them as a chunk.
    for (uint32_t g = 0; g < 8; ++g) {
      float values[16];
      decodeChunk(reinterpret_cast<const char *>(column + 4 * g), t, values);
      memcpy(a + (g + 8 * (q & 1)) * k + 4 * perWord * (q >> 1), values,
             4 * perWord * sizeof(float));
    }
  }
}

void deliverWgmma(Warp &w, WgmmaOp &op) {
  if (op.delivered)
    return;
  op.delivered = true;
  for (size_t i = 0; i < op.places.size(); ++i)
    memcpy(place<uint32_t>(w, op.places[i]), &op.values[32 * i], 128);
}

/// Results of earlier, still pending operations on the same accumulators come first.
void deliverOverlapping(Warp &w, HopperWarp &me, uint32_t firstPlace) {
  auto all = [&](std::vector<WgmmaOp> &ops) {
    for (WgmmaOp &op : ops)
      if (!op.places.empty() && op.places[0] == firstPlace)
        deliverWgmma(w, op);
  };
  for (auto &g : me.wgmmaGroups)
    all(g);
  all(me.openWgmma);
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
    if (t == Type::F32) {
      memcpy(acc + 32 * i, c, 128);
      continue;
    }
    for (uint32_t l = 0; l < 32; ++l) {
      char raw[4];
      memcpy(raw, &c[l], 4);
      acc[(2 * i) * 32 + l] = element(raw, Type::F16);
      acc[(2 * i + 1) * 32 + l] = element(raw + 2, Type::F16);
    }
  }
}
void storeAccumulators(Warp &w, const Rec *r, Type t, bool zero, const float *acc,
                       std::vector<uint32_t> &out) {
  out.resize(32 * r->o[6]);
  if (t == Type::F32) {
    memcpy(out.data(), acc, out.size() * 4);
    for (size_t i = 0; i < out.size(); ++i)
      out[i] = acc[i] == acc[i] ? out[i] : 0x7fffffffu;
    return;
  }
  for (uint32_t i = 0; i < r->o[6]; ++i)
    for (uint32_t l = 0; l < 32; ++l)
      out[32 * i + l] = t == Type::F16
                            ? toHalf(acc[2 * i * 32 + l]) |
                                  static_cast<uint32_t>(toHalf(acc[(2 * i + 1) * 32 + l])) << 16
                            : static_cast<uint32_t>(static_cast<int32_t>(acc[i * 32 + l])) +
                                  (zero ? 0 : place<uint32_t>(w, r->ext[i])[l]);
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
  std::fill(w.registers->modified.begin(), w.registers->modified.end(), uint8_t(0));
  return r + 1;
}

const Rec *wgmmaCommit(Warp &w, const Rec *r) {
  HopperWarp &me = w.cta->hopper->warps[w.id];
  me.wgmmaGroups.push_back(std::move(me.openWgmma));
  me.openWgmma.clear();
  return r + 1;
}

const Rec *wgmmaWait(Warp &w, const Rec *r) {
  HopperWarp &me = w.cta->hopper->warps[w.id];
  uint32_t time = 0;
  while (me.wgmmaGroups.size() > r->imm) {
    for (WgmmaOp &op : me.wgmmaGroups.front()) {
      deliverWgmma(w, op);
      time = std::max(time, op.time);
      for (uint32_t t : op.tracked)
        --w.registers->flights[t];
    }
    me.wgmmaGroups.pop_front();
  }
  if (time && w.cta->launch->options.checks)
    w.cta->cluster->clocks.completed(w.member, wgmmaAgent(w.member), time);
  return r + 1;
}

/// Operands as decoded by DecodeHopper.cpp: o = scale-d, its negation, n, k, types, flags, number
/// of accumulator registers; ext = accumulators, A (four registers or a descriptor), B descriptor.
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
  bool zero = !((*place<uint32_t>(w, r->o[0]) ^ (r->o[1] ? ~0u : 0u)) & 1);
  const uint32_t *operands = r->ext + count;
  float signA = flags & 2 ? -1.0f : 1.0f, signB = flags & 4 ? -1.0f : 1.0f;
  alignas(64) float a[16 * 32], b[32 * 256], acc[128 * 32]; // the largest shapes
  uint64_t descriptorA = 0, descriptorB;
  if ((!registersA && !uniformDescriptor(w, r, operands[0], "A", descriptorA)) ||
      !uniformDescriptor(w, r, operands[registersA ? 4 : 1], "B", descriptorB) ||
      !warpgroupStep(w, r, descriptorA, descriptorB))
    return nullptr;
  deliverOverlapping(w, me, r->ext[0]);
  if (registersA) {
    fragmentA(w, operands, ta, k, a);
  } else {
    if (!readOperand(w, r, Descriptor(descriptorA), 16 * (w.id % 4), 16, k, ta, transA,
                     [&](uint32_t m, uint32_t kk, float v) { a[m * k + kk] = v; }))
      return nullptr;
  }
  for (uint32_t i = 0; i < 16 * k; ++i)
    a[i] *= signA;
  // B as the multiply wants it: [k][n/8][p][t] with n = 8j + 2t + p.
  if (!readOperand(w, r, Descriptor(descriptorB), 0, n, k, tb, transB,
                   [&](uint32_t column, uint32_t kk, float v) {
                     b[kk * n + (column & ~7u) + (column & 1) * 4 + (column >> 1 & 3)] = v * signB;
                   }))
    return nullptr;
  loadAccumulators(w, r, td, zero, acc);
  handlers().wgmma(acc, a, b, k, n);
  WgmmaOp op;
  op.places.assign(r->ext, r->ext + count);
  storeAccumulators(w, r, td, zero, acc, op.values);
  op.time = time;
  if (cta.launch->options.delivery == Delivery::Early) {
    deliverWgmma(w, op);
  } else {
    for (uint32_t p : op.places)
      for (int l = 0; l < 32; ++l)
        place<uint32_t>(w, p)[l] = 0x7fffbad0u + static_cast<uint32_t>(l);
  }
  me.openWgmma.push_back(std::move(op));
  return r + 1;
}

} // namespace attnc::emu
