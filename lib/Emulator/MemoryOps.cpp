// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// ld, st, atom and red. A load of a narrow type into a wider register extends by the
// *instruction's* type; registers of 16 bits or less sit zero-extended in their lanes. Vector
// accesses have the alignment of the whole vector. Atomics run lane by lane in lane order, which
// makes them deterministic; no program may rely on that order.
#include "Access.h"

#include <cmath>
#include <cstring>

namespace attnc::emu {
namespace {

template <class Elem, class Reg>
void loadColumns(Warp &w, const Rec *r, const Access &a, unsigned count) {
  for (unsigned e = 0; e < count; ++e) {
    Reg *d = place<Reg>(w, r->ext[e]);
    for (uint32_t m = a.lanes; m; m &= m - 1) {
      int l = __builtin_ctz(m);
      Elem v;
      memcpy(&v, a.host[l] + e * sizeof(Elem), sizeof(Elem));
      d[l] = static_cast<Reg>(v);
    }
  }
}
template <class Elem, class Reg>
void storeColumns(Warp &w, const Rec *r, const Access &a, unsigned count) {
  for (uint32_t m = a.lanes; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    for (unsigned e = 0; e < count; ++e) {
      Elem v = static_cast<Elem>(place<Reg>(w, r->ext[e])[l]);
      memcpy(a.host[l] + e * sizeof(Elem), &v, sizeof(Elem));
    }
  }
}

/// Calls `f` with a value of the element type and one of the register type.
template <class F> void withTypes(uint32_t aux, F f) {
  unsigned bytes = aux & memBytesMask;
  bool isSigned = aux & memSigned, reg64 = (aux >> memRegShift) == 8;
  auto reg = [&](auto elem) { reg64 ? f(elem, uint64_t()) : f(elem, uint32_t()); };
  switch (bytes) {
  case 1:
    isSigned ? reg(int8_t()) : reg(uint8_t());
    break;
  case 2:
    isSigned ? reg(int16_t()) : reg(uint16_t());
    break;
  case 4:
    isSigned ? reg(int32_t()) : reg(uint32_t());
    break;
  default:
    f(uint64_t(), uint64_t());
    break;
  }
}

/// Access::stored of st.
void storedBytes(Warp &w, const Rec *r, int lane, char *bytes) {
  unsigned count = (r->aux >> memCountShift) & 0xf;
  withTypes(r->aux & ~memSigned, [&](auto elem, auto reg) {
    for (unsigned e = 0; e < count; ++e) {
      auto v = static_cast<decltype(elem)>(place<decltype(reg)>(w, r->ext[e])[lane]);
      memcpy(bytes + e * sizeof v, &v, sizeof v);
    }
  });
}

bool prepare(Warp &w, const Rec *r, Access &a, Mode mode) {
  gatherAddresses(w, r, a);
  a.mode = mode;
  a.bytes = (r->aux & memBytesMask) * ((r->aux >> memCountShift) & 0xf);
  a.space = static_cast<Space>((r->aux >> memSpaceShift) & 0xf);
  a.nonCoherent = r->aux & memNonCoherent;
  a.synchronizing = r->aux & memSync;
  return resolve(w, r, a);
}

} // namespace

/// Words from shared memory into 32-bit registers.
static bool quickLoad(Warp &w, const Rec *r) {
  uint32_t address[32];
  unsigned count = (r->aux >> memCountShift) & 0xf;
  if ((r->aux & memBytesMask) != 4 || (r->aux >> memRegShift) != 4 ||
      !quickSharedRead(w, r, w.exec, 4 * count, address))
    return false;
  const char *shared = w.cta->shared;
  for (unsigned e = 0; e < count; ++e) {
    uint32_t *d = place<uint32_t>(w, r->ext[e]);
    eachLane(w.exec, [&](int l) ATTNC_INLINE { memcpy(&d[l], shared + address[l] + 4 * e, 4); });
  }
  return true;
}

const Rec *loadOp(Warp &w, const Rec *r) {
  if (quickLoad(w, r))
    return r + 1;
  Access a;
  if (!prepare(w, r, a, Mode::Load))
    return nullptr;
  unsigned count = (r->aux >> memCountShift) & 0xf;
  withTypes(r->aux, [&](auto elem, auto reg) {
    loadColumns<decltype(elem), decltype(reg)>(w, r, a, count);
  });
  if ((r->aux >> memRegShift) == 2) // keep the upper half of a 16-bit register's lane zero
    for (unsigned e = 0; e < count; ++e)
      for (uint32_t m = a.lanes; m; m &= m - 1)
        place<uint32_t>(w, r->ext[e])[__builtin_ctz(m)] &= 0xffffu;
  return r + 1;
}

const Rec *storeOp(Warp &w, const Rec *r) {
  Access a;
  a.stored = storedBytes;
  if (!prepare(w, r, a, Mode::Store))
    return nullptr;
  unsigned count = (r->aux >> memCountShift) & 0xf;
  withTypes(r->aux & ~memSigned, [&](auto elem, auto reg) {
    storeColumns<decltype(elem), decltype(reg)>(w, r, a, count);
  });
  return r + 1;
}

/// cvta.param: the address of a parameter may be generic already (64-bit mov makes it so) or an
/// offset. imm: the window.
const Rec *cvtaParamOp(Warp &w, const Rec *r) {
  const uint64_t *a = place<uint64_t>(w, r->o[1]);
  uint64_t *d = place<uint64_t>(w, r->o[0]);
  for (uint32_t m = w.exec; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    d[l] = a[l] < DeviceMemory::paramWindowBytes ? a[l] + r->imm : a[l];
  }
  return r + 1;
}

namespace {

float halfToFloat(uint16_t h) {
  uint32_t e = (h >> 10) & 31, f = h & 0x3ff;
  float m = e == 31 ? (f ? NAN : INFINITY)
            : e     ? std::ldexp(1.0f + f / 1024.0f, int(e) - 15)
                    : std::ldexp(float(f), -24);
  return h & 0x8000 ? -m : m;
}
/// Nearest-even by scaling: atomics are rare, clarity wins.
uint16_t floatToHalf(float x) {
  if (std::isnan(x))
    return 0x7fff;
  uint16_t sign = std::signbit(x) ? 0x8000 : 0;
  float m = std::fabs(x);
  if (m >= 65520.0f)
    return sign | 0x7c00;
  int e = m < 0x1p-14f ? -14 : std::ilogb(m);
  uint32_t units = static_cast<uint32_t>(std::nearbyint(std::ldexp(m, 10 - e)));
  return static_cast<uint16_t>(sign | (units + (static_cast<uint32_t>(e + 14) << 10)));
}
float bf16ToFloat(uint16_t b) {
  uint32_t bits = uint32_t(b) << 16;
  float f;
  memcpy(&f, &bits, 4);
  return f;
}
uint16_t floatToBf16(float f) {
  uint32_t b;
  memcpy(&b, &f, 4);
  return std::isnan(f) ? 0x7fff : static_cast<uint16_t>((b + 0x7fff + ((b >> 16) & 1)) >> 16);
}

template <class T> T as(uint64_t bits) {
  T v;
  memcpy(&v, &bits, sizeof v);
  return v;
}
template <class T> uint64_t bitsOfValue(T v) {
  uint64_t bits = 0;
  memcpy(&bits, &v, sizeof v);
  return bits;
}
template <class T> T minMaxAtomic(bool isMin, T a, T b) {
  return isMin ? (a < b ? a : b) : (a > b ? a : b);
}

} // namespace

namespace {

float withoutSubnormals(float f) { return std::fabs(f) < 0x1p-126f ? std::copysign(0.0f, f) : f; }

uint64_t addAtomic(Type t, uint64_t old, uint64_t v, bool inGlobal) {
  auto halves = [&](auto toF, auto fromF, int n) {
    uint64_t out = 0;
    for (int i = 0; i < n; ++i)
      out |= uint64_t(fromF(toF(uint16_t(old >> 16 * i)) + toF(uint16_t(v >> 16 * i)))) << 16 * i;
    return out;
  };
  switch (t) {
  case Type::F32:
    if (inGlobal)
      return bitsOfValue(
          withoutSubnormals(withoutSubnormals(as<float>(old)) + withoutSubnormals(as<float>(v))));
    return bitsOfValue(as<float>(old) + as<float>(v));
  case Type::F64:
    return bitsOfValue(as<double>(old) + as<double>(v));
  case Type::F16:
    return halves(halfToFloat, floatToHalf, 1);
  case Type::F16x2:
    return halves(halfToFloat, floatToHalf, 2);
  case Type::BF16:
    return halves(bf16ToFloat, floatToBf16, 1);
  case Type::BF16x2:
    return halves(bf16ToFloat, floatToBf16, 2);
  default:
    return old + v;
  }
}

/// Minimum or maximum of each half-precision element: a NaN loses against a number, -0 is below +0.
template <class ToFloat>
uint64_t extremeHalves(ToFloat value, int n, bool isMin, uint64_t old, uint64_t v) {
  uint64_t out = 0;
  for (int i = 0; i < n; ++i) {
    uint16_t x = static_cast<uint16_t>(old >> 16 * i), y = static_cast<uint16_t>(v >> 16 * i);
    float fx = value(x), fy = value(y);
    bool takeX = std::isnan(fy) || fx < fy || (fx == fy && std::signbit(fx));
    if (!isMin)
      takeX = std::isnan(fy) || fx > fy || (fx == fy && !std::signbit(fx));
    uint16_t result = std::isnan(fx) ? (std::isnan(fy) ? 0x7fff : y) : takeX ? x : y;
    out |= uint64_t(result) << 16 * i;
  }
  return out;
}

uint64_t extremeAtomic(Type t, bool isMin, uint64_t old, uint64_t v) {
  switch (t) {
  case Type::F16:
  case Type::F16x2:
    return extremeHalves(halfToFloat, t == Type::F16 ? 1 : 2, isMin, old, v);
  case Type::BF16:
  case Type::BF16x2:
    return extremeHalves(bf16ToFloat, t == Type::BF16 ? 1 : 2, isMin, old, v);
  case Type::S32:
    return bitsOfValue(minMaxAtomic(isMin, as<int32_t>(old), as<int32_t>(v)));
  case Type::S64:
    return bitsOfValue(minMaxAtomic(isMin, as<int64_t>(old), as<int64_t>(v)));
  default:
    return minMaxAtomic(isMin, old, v);
  }
}

} // namespace

uint64_t combine(AtomicOp op, Type type, uint64_t old, uint64_t b, uint64_t c, bool inGlobal) {
  switch (op) {
  case AtomicOp::Add:
    return addAtomic(type, old, b, inGlobal);
  case AtomicOp::Min:
  case AtomicOp::Max:
    return extremeAtomic(type, op == AtomicOp::Min, old, b);
  case AtomicOp::And:
    return old & b;
  case AtomicOp::Or:
    return old | b;
  case AtomicOp::Xor:
    return old ^ b;
  case AtomicOp::Exch:
    return b;
  case AtomicOp::Cas:
    return old == b ? c : old;
  case AtomicOp::Inc:
    return old >= b ? 0 : old + 1;
  case AtomicOp::Dec:
    return old == 0 || old > b ? b : old - 1;
  }
  return old;
}

/// aux2: AtomicOp in bits 0-7, type in 8-15, bit 16 when the old value is wanted; ext as in
/// Access.h.
const Rec *atomicOp(Warp &w, const Rec *r) {
  Access a;
  if (!prepare(w, r, a, Mode::Atomic))
    return nullptr;
  AtomicOp op = static_cast<AtomicOp>(r->aux2 & 0xff);
  Type type = static_cast<Type>((r->aux2 >> 8) & 0xff);
  unsigned bytes = r->aux & memBytesMask, count = (r->aux >> memCountShift) & 0xf;
  bool reg64 = (r->aux >> memRegShift) == 8, returns = r->aux2 >> 16 & 1;
  auto reg = [&](uint32_t p, int l) -> uint64_t {
    return reg64 ? place<uint64_t>(w, p)[l] : place<uint32_t>(w, p)[l];
  };
  const DeviceMemory &memory = *w.cta->launch->memory;
  for (uint32_t m = a.lanes; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    // Generic addresses of several spaces at once stay generic.
    bool inGlobal = a.space == Space::Global ||
                    (a.space == Space::Generic && (a.address[l] < memory.sharedWindow() ||
                                                   a.address[l] >= memory.localWindow()));
    for (unsigned e = 0; e < count; ++e) {
      uint64_t old = 0, b = reg(r->ext[e], l), result;
      memcpy(&old, a.host[l] + e * bytes, bytes);
      result = combine(op, type, old, b, op == AtomicOp::Cas ? reg(r->ext[count], l) : 0, inGlobal);
      memcpy(a.host[l] + e * bytes, &result, bytes);
      if (returns) {
        uint32_t place0 = r->ext[count + 1 + e];
        if (reg64)
          place<uint64_t>(w, place0)[l] = old;
        else
          place<uint32_t>(w, place0)[l] = static_cast<uint32_t>(old);
      }
    }
  }
  return r + 1;
}

} // namespace attnc::emu
