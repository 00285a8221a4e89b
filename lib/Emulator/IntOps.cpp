// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Integer arithmetic, bit manipulation, moves and selects, for 16, 32 and 64 bits. Each operation
// is one line of `eval*`; the templates around them supply the lane loop. Semantics are those of
// PTX ISA 9.7.1 and 9.7.8: shift counts clamp, division by zero does not trap (the result is
// unspecified; we give all ones, as hardware does), and bit-field instructions read only the low
// byte of position and length.
#include "Simt.h"

namespace attnc::emu {
namespace ATTNC_EMU_ISA {
namespace {

template <class T> struct Traits;
#define TRAITS(T, U_, S_, WIDE)                                                                    \
  template <> struct Traits<T> {                                                                   \
    using U = U_;                                                                                  \
    using S = S_;                                                                                  \
    using Wide = WIDE;                                                                             \
    static constexpr unsigned bits = 8 * sizeof(T);                                                \
    static constexpr bool isSigned = T(-1) < T(0);                                                 \
  };
TRAITS(uint16_t, uint16_t, int16_t, uint32_t)
TRAITS(int16_t, uint16_t, int16_t, int32_t)
TRAITS(uint32_t, uint32_t, int32_t, uint64_t)
TRAITS(int32_t, uint32_t, int32_t, int64_t)
TRAITS(uint64_t, uint64_t, int64_t, unsigned __int128)
TRAITS(int64_t, uint64_t, int64_t, __int128)
#undef TRAITS

template <class T> [[gnu::always_inline]] inline T mulHi(T a, T b) {
  using W = typename Traits<T>::Wide;
  return static_cast<T>((static_cast<W>(a) * static_cast<W>(b)) >> Traits<T>::bits);
}
template <class T> [[gnu::always_inline]] inline T mulLo(T a, T b) {
  // Through 64 bits: u16 * u16 would otherwise overflow int.
  return static_cast<T>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
}
[[gnu::always_inline]] inline int32_t saturate32(int64_t x) {
  return static_cast<int32_t>(x > 2147483647ll    ? 2147483647ll
                              : x < -2147483648ll ? -2147483648ll
                                                  : x);
}

template <class T> [[gnu::always_inline]] inline T shiftLeft(T a, uint32_t n) {
  using U = typename Traits<T>::U;
  U shifted = static_cast<U>(static_cast<U>(a) << (n & (Traits<T>::bits - 1)));
  return static_cast<T>(n >= Traits<T>::bits ? U(0) : shifted);
}
template <class T> [[gnu::always_inline]] inline T shiftRight(T a, uint32_t n) {
  T shifted = static_cast<T>(a >> (n & (Traits<T>::bits - 1)));
  T beyond = Traits<T>::isSigned && a < T(0) ? T(-1) : T(0);
  return n >= Traits<T>::bits ? beyond : shifted;
}

template <Alu Op, class T> [[gnu::always_inline]] inline T eval1(T a) {
  using U = typename Traits<T>::U;
  constexpr unsigned bits = Traits<T>::bits;
  if constexpr (Op == Alu::Neg)
    return static_cast<T>(U(0) - static_cast<U>(a));
  else if constexpr (Op == Alu::Abs)
    return a < T(0) ? static_cast<T>(U(0) - static_cast<U>(a)) : a;
  else if constexpr (Op == Alu::Not)
    return static_cast<T>(~a);
  else if constexpr (Op == Alu::Cnot)
    return a == 0 ? T(1) : T(0);
  else if constexpr (Op == Alu::Brev) {
    U x = static_cast<U>(a), r = 0;
    for (unsigned i = 0; i < bits; ++i)
      r = static_cast<U>(r | (((x >> i) & 1) << (bits - 1 - i)));
    return static_cast<T>(r);
  } else
    return a; // Mov
}

/// Operations whose result is u32 whatever the operand type.
template <Alu Op, class T> [[gnu::always_inline]] inline uint32_t evalCount(T a) {
  constexpr unsigned bits = Traits<T>::bits;
  if constexpr (Op == Alu::Popc)
    return static_cast<uint32_t>(__builtin_popcountll(static_cast<typename Traits<T>::U>(a)));
  else if constexpr (Op == Alu::Clz)
    return a == 0 ? bits
                  : static_cast<uint32_t>(__builtin_clzll(static_cast<uint64_t>(a)) - (64 - bits));
  else { // Bfind: position of the most significant non-sign bit
    uint64_t x = static_cast<typename Traits<T>::U>(Traits<T>::isSigned && a < T(0) ? T(~a) : a);
    if (!x)
      return ~0u;
    uint32_t at = 63 - static_cast<uint32_t>(__builtin_clzll(x));
    return Op == Alu::BfindShift ? bits - 1 - at : at;
  }
}

template <Alu Op, class T, bool Sat> [[gnu::always_inline]] inline T eval2(T a, T b) {
  using U = typename Traits<T>::U;
  if constexpr (Op == Alu::Add)
    return Sat ? static_cast<T>(saturate32(static_cast<int64_t>(a) + static_cast<int64_t>(b)))
               : static_cast<T>(static_cast<U>(static_cast<U>(a) + static_cast<U>(b)));
  else if constexpr (Op == Alu::Sub)
    return Sat ? static_cast<T>(saturate32(static_cast<int64_t>(a) - static_cast<int64_t>(b)))
               : static_cast<T>(static_cast<U>(static_cast<U>(a) - static_cast<U>(b)));
  else if constexpr (Op == Alu::MulLo)
    return mulLo(a, b);
  else if constexpr (Op == Alu::MulHi)
    return mulHi(a, b);
  else if constexpr (Op == Alu::Min)
    return a < b ? a : b;
  else if constexpr (Op == Alu::Max)
    return a > b ? a : b;
  else if constexpr (Op == Alu::And)
    return static_cast<T>(a & b);
  else if constexpr (Op == Alu::Or)
    return static_cast<T>(a | b);
  else if constexpr (Op == Alu::Xor)
    return static_cast<T>(a ^ b);
  else if constexpr (Op == Alu::Div) {
    if (b == 0)
      return static_cast<T>(~U(0));
    if (Traits<T>::isSigned && b == T(-1))
      return static_cast<T>(U(0) - static_cast<U>(a));
    return static_cast<T>(a / b);
  } else if constexpr (Op == Alu::Rem) {
    if (b == 0)
      return a;
    return Traits<T>::isSigned && b == T(-1) ? T(0) : static_cast<T>(a % b);
  } else if constexpr (Op == Alu::Mul24) {
    auto low24 = [](T x) {
      return Traits<T>::isSigned ? T(int32_t(uint32_t(x) << 8) >> 8) : T(uint32_t(x) & 0xffffffu);
    };
    return mulLo(low24(a), low24(b));
  }
}

template <Alu Op, class T, bool Sat> [[gnu::always_inline]] inline T eval3(T a, T b, T c) {
  using U = typename Traits<T>::U;
  if constexpr (Op == Alu::MadLo)
    return static_cast<T>(static_cast<U>(static_cast<U>(mulLo(a, b)) + static_cast<U>(c)));
  else if constexpr (Op == Alu::MadHi)
    return Sat ? static_cast<T>(
                     saturate32(static_cast<int64_t>(mulHi(a, b)) + static_cast<int64_t>(c)))
               : static_cast<T>(static_cast<U>(static_cast<U>(mulHi(a, b)) + static_cast<U>(c)));
  else if constexpr (Op == Alu::Mad24)
    return static_cast<T>(
        static_cast<U>(static_cast<U>(eval2<Alu::Mul24, T, false>(a, b)) + static_cast<U>(c)));
  else if constexpr (Op == Alu::Sad)
    return static_cast<T>(static_cast<U>(
        static_cast<U>(c) + (a < b ? static_cast<U>(static_cast<U>(b) - static_cast<U>(a))
                                   : static_cast<U>(static_cast<U>(a) - static_cast<U>(b)))));
}

template <Alu Op, class T> const Rec *unary(Warp &w, const Rec *r) {
  Column<T> d(w, r->o[0]), a(w, r->o[1]);
  if constexpr (Op == Alu::Mov)
    if (w.exec == allLanes) { // one copy; the loop below would become 32
      typedef Word<T> All
          __attribute__((vector_size(32 * sizeof(Word<T>)), aligned(sizeof(Word<T>))));
      *reinterpret_cast<All *>(d.words) = *reinterpret_cast<const All *>(a.words);
      return r + 1;
    }
  forLanes(w.exec, [&](int l) { d.set(l, eval1<Op, T>(a[l])); });
  return r + 1;
}
template <Alu Op, class T> const Rec *count(Warp &w, const Rec *r) {
  Column<uint32_t> d(w, r->o[0]);
  Column<T> a(w, r->o[1]);
  forLanes(w.exec, [&](int l) { d.set(l, evalCount<Op, T>(a[l])); });
  return r + 1;
}
template <Alu Op, class T, bool Sat = false> const Rec *binary(Warp &w, const Rec *r) {
  Column<T> d(w, r->o[0]), a(w, r->o[1]), b(w, r->o[2]);
  forLanes(w.exec, [&](int l) { d.set(l, eval2<Op, T, Sat>(a[l], b[l])); });
  return r + 1;
}
/// min and max with .relu: what is below zero becomes zero.
template <Alu Op, class T> [[gnu::always_inline]] inline T clampedExtreme(T a, T b, bool relu) {
  T r = eval2<Op, T, false>(a, b);
  return relu && r < T(0) ? T(0) : r;
}
template <Alu Op> const Rec *reluExtreme(Warp &w, const Rec *r) {
  Column<int32_t> d(w, r->o[0]), a(w, r->o[1]), b(w, r->o[2]);
  forLanes(w.exec, [&](int l) { d.set(l, clampedExtreme<Op>(a[l], b[l], true)); });
  return r + 1;
}
/// Two integers of 16 bits in a word, each on its own.
template <Alu Op, class T, bool Relu = false> const Rec *packed16(Warp &w, const Rec *r) {
  Column<uint32_t> d(w, r->o[0]), a(w, r->o[1]), b(w, r->o[2]);
  auto half = [](uint32_t a, uint32_t b) {
    T x = static_cast<T>(a), y = static_cast<T>(b);
    return static_cast<uint32_t>(static_cast<uint16_t>(clampedExtreme<Op>(x, y, Relu)));
  };
  forLanes(w.exec, [&](int l) { d.set(l, half(a[l] >> 16, b[l] >> 16) << 16 | half(a[l], b[l])); });
  return r + 1;
}
template <Alu Op, class T, bool Sat = false> const Rec *ternary(Warp &w, const Rec *r) {
  Column<T> d(w, r->o[0]), a(w, r->o[1]), b(w, r->o[2]), c(w, r->o[3]);
  forLanes(w.exec, [&](int l) { d.set(l, eval3<Op, T, Sat>(a[l], b[l], c[l])); });
  return r + 1;
}
template <class T> const Rec *shl(Warp &w, const Rec *r) {
  Column<T> d(w, r->o[0]), a(w, r->o[1]);
  Column<uint32_t> n(w, r->o[2]);
  forLanes(w.exec, [&](int l) { d.set(l, shiftLeft(a[l], n[l])); });
  return r + 1;
}
template <class T> const Rec *shr(Warp &w, const Rec *r) {
  Column<T> d(w, r->o[0]), a(w, r->o[1]);
  Column<uint32_t> n(w, r->o[2]);
  forLanes(w.exec, [&](int l) { d.set(l, shiftRight(a[l], n[l])); });
  return r + 1;
}
template <class T, bool Add> const Rec *wide(Warp &w, const Rec *r) {
  using W = typename Traits<T>::Wide;
  using UW = typename Traits<W>::U;
  Column<T> a(w, r->o[1]), b(w, r->o[2]);
  Column<W> d(w, r->o[0]), c(w, r->o[Add ? 3 : 0]);
  forLanes(w.exec, [&](int l) {
    W p = static_cast<W>(a[l]) * static_cast<W>(b[l]);
    d.set(l, Add ? static_cast<W>(static_cast<UW>(p) + static_cast<UW>(c[l])) : p);
  });
  return r + 1;
}
/// 16-bit operands: u16 * u16 overflows int, so go through unsigned.
template <class T, bool Add> const Rec *wide16(Warp &w, const Rec *r) {
  Column<T> a(w, r->o[1]), b(w, r->o[2]);
  Column<uint32_t> d(w, r->o[0]), c(w, r->o[Add ? 3 : 0]);
  forLanes(w.exec, [&](int l) {
    uint32_t p = static_cast<uint32_t>(static_cast<int64_t>(a[l]) * static_cast<int64_t>(b[l]));
    d.set(l, Add ? p + c[l] : p);
  });
  return r + 1;
}

template <Alu Op> const Rec *funnel(Warp &w, const Rec *r) {
  Column<uint32_t> d(w, r->o[0]), lo(w, r->o[1]), hi(w, r->o[2]), n(w, r->o[3]);
  constexpr bool wrap = Op == Alu::ShfLWrap || Op == Alu::ShfRWrap;
  constexpr bool left = Op == Alu::ShfLWrap || Op == Alu::ShfLClamp;
  forLanes(w.exec, [&](int l) {
    uint32_t s = wrap ? n[l] & 31u : (n[l] > 32u ? 32u : n[l]);
    uint64_t both = static_cast<uint64_t>(hi[l]) << 32 | lo[l];
    d.set(l, static_cast<uint32_t>(left ? (both << s) >> 32 : both >> s));
  });
  return r + 1;
}

/// Bit-field extract. Bits beyond the operand replicate the sign (signed) or are zero.
template <class T> const Rec *bfe(Warp &w, const Rec *r) {
  using U = typename Traits<T>::U;
  constexpr unsigned bits = Traits<T>::bits;
  Column<T> d(w, r->o[0]), a(w, r->o[1]);
  Column<uint32_t> p(w, r->o[2]), n(w, r->o[3]);
  forLanes(w.exec, [&](int l) {
    unsigned pos = p[l] & 0xff, len = n[l] & 0xff;
    U field = pos >= bits ? U(0) : static_cast<U>(a[l]) >> pos;
    U mask = len >= bits ? ~U(0) : (U(1) << len) - 1;
    unsigned signAt = pos + len - 1 < bits - 1 ? pos + len - 1 : bits - 1;
    bool sign = Traits<T>::isSigned && len && ((static_cast<U>(a[l]) >> signAt) & 1);
    // Above the operand's top the extracted bits are sign bits too.
    U inside = pos >= bits ? U(0) : (~U(0) >> pos);
    U result = (field & mask & inside) | (sign ? ~(mask & inside) : U(0));
    d.set(l, static_cast<T>(len ? result : U(0)));
  });
  return r + 1;
}
/// Bit-field insert: o = d, a, b, position, length.
template <class T> const Rec *bfi(Warp &w, const Rec *r) {
  constexpr unsigned bits = Traits<T>::bits;
  Column<T> d(w, r->o[0]), a(w, r->o[1]), b(w, r->o[2]);
  Column<uint32_t> p(w, r->o[3]), n(w, r->o[4]);
  forLanes(w.exec, [&](int l) {
    unsigned pos = p[l] & 0xff, len = n[l] & 0xff;
    T mask = len >= bits ? ~T(0) : static_cast<T>((T(1) << len) - 1);
    mask = pos >= bits ? T(0) : static_cast<T>(mask << pos);
    T moved = pos >= bits ? T(0) : static_cast<T>(a[l] << pos);
    d.set(l, static_cast<T>((moved & mask) | (b[l] & ~mask)));
  });
  return r + 1;
}

/// imm is the truth table; bit (a<<2 | b<<1 | c) of it is the result.
const Rec *lop3(Warp &w, const Rec *r) {
  Column<uint32_t> d(w, r->o[0]), a(w, r->o[1]), b(w, r->o[2]), c(w, r->o[3]);
  uint32_t m[8];
  for (int i = 0; i < 8; ++i)
    m[i] = (r->imm >> i) & 1 ? ~0u : 0u;
  forLanes(w.exec, [&](int l) {
    uint32_t x = a[l], y = b[l], z = c[l];
    d.set(l, (m[0] & ~x & ~y & ~z) | (m[1] & ~x & ~y & z) | (m[2] & ~x & y & ~z) |
                 (m[3] & ~x & y & z) | (m[4] & x & ~y & ~z) | (m[5] & x & ~y & z) |
                 (m[6] & x & y & ~z) | (m[7] & x & y & z));
  });
  return r + 1;
}

[[gnu::always_inline]] inline uint32_t permuteBytes(uint32_t a, uint32_t b, uint32_t selector) {
  uint64_t both = static_cast<uint64_t>(b) << 32 | a;
  uint32_t result = 0;
  for (int i = 0; i < 4; ++i) {
    uint32_t s = selector >> (4 * i);
    uint32_t byte = static_cast<uint32_t>(both >> (8 * (s & 7))) & 0xff;
    uint32_t sign = (byte & 0x80) ? 0xffu : 0u;
    result |= ((s & 8) ? sign : byte) << (8 * i);
  }
  return result;
}
/// The special modes of prmt are the default mode with a selector computed from two bits of c.
template <Alu Op> [[gnu::always_inline]] inline uint32_t selectorFor(uint32_t c) {
  uint32_t n = c & 3;
  if constexpr (Op == Alu::PrmtF4e)
    return 0x3210u + 0x1111u * n;
  else if constexpr (Op == Alu::PrmtB4e) // 5670, 6701, 7012, 0123: bytes n, n-1, n-2, n-3 mod 8
    return n | ((n + 7) & 7) << 4 | ((n + 6) & 7) << 8 | ((n + 5) & 7) << 12;
  else if constexpr (Op == Alu::PrmtRc8)
    return 0x1111u * n;
  else if constexpr (Op == Alu::PrmtEcl) // 3210, 3211, 3222, 3333
    return (n > 0 ? n : 0) | (n > 1 ? n : 1) << 4 | (n > 2 ? n : 2) << 8 | 3u << 12;
  else if constexpr (Op == Alu::PrmtEcr) // 0000, 1110, 2210, 3210
    return 0u | (n < 1 ? n : 1) << 4 | (n < 2 ? n : 2) << 8 | n << 12;
  else if constexpr (Op == Alu::PrmtRc16)
    return (n & 1) ? 0x3232u : 0x1010u;
  else
    return c;
}
template <Alu Op> const Rec *prmt(Warp &w, const Rec *r) {
  Column<uint32_t> d(w, r->o[0]), a(w, r->o[1]), b(w, r->o[2]), c(w, r->o[3]);
  forLanes(w.exec, [&](int l) { d.set(l, permuteBytes(a[l], b[l], selectorFor<Op>(c[l]))); });
  return r + 1;
}

template <bool SignedA, bool SignedB> const Rec *dp4a(Warp &w, const Rec *r) {
  Column<uint32_t> d(w, r->o[0]), a(w, r->o[1]), b(w, r->o[2]), c(w, r->o[3]);
  forLanes(w.exec, [&](int l) {
    uint32_t sum = c[l];
    for (int i = 0; i < 4; ++i) {
      uint32_t x = (a[l] >> (8 * i)) & 0xff, y = (b[l] >> (8 * i)) & 0xff;
      int32_t xs = SignedA ? static_cast<int8_t>(x) : static_cast<int32_t>(x);
      int32_t ys = SignedB ? static_cast<int8_t>(y) : static_cast<int32_t>(y);
      sum += static_cast<uint32_t>(xs * ys);
    }
    d.set(l, sum);
  });
  return r + 1;
}

/// Two halves of a by two bytes of b, the upper or the lower ones.
template <bool SignedA, bool SignedB, bool High> const Rec *dp2a(Warp &w, const Rec *r) {
  Column<uint32_t> d(w, r->o[0]), a(w, r->o[1]), b(w, r->o[2]), c(w, r->o[3]);
  forLanes(w.exec, [&](int l) {
    uint32_t sum = c[l];
    for (int i = 0; i < 2; ++i) {
      uint32_t x = a[l] >> (16 * i) & 0xffff, y = b[l] >> (8 * i + (High ? 16 : 0)) & 0xff;
      int32_t xs = SignedA ? static_cast<int16_t>(x) : static_cast<int32_t>(x);
      int32_t ys = SignedB ? static_cast<int8_t>(y) : static_cast<int32_t>(y);
      sum += static_cast<uint32_t>(xs) * static_cast<uint32_t>(ys);
    }
    d.set(l, sum);
  });
  return r + 1;
}

/// b ones from bit a on (PTX ISA 9.7.1.22).
template <bool Clamp> const Rec *bmsk(Warp &w, const Rec *r) {
  Column<uint32_t> d(w, r->o[0]), a(w, r->o[1]), b(w, r->o[2]);
  forLanes(w.exec, [&](int l) {
    uint32_t width = Clamp ? std::min(b[l], 32u) : b[l] & 31;
    uint32_t ones = static_cast<uint32_t>((1ull << width) - 1);
    d.set(l, Clamp && a[l] > 31 ? 0 : ones << (a[l] & 31));
  });
  return r + 1;
}

/// The lowest b bits of a, extended (PTX ISA 9.7.1.21).
template <bool Clamp, bool Signed> const Rec *szext(Warp &w, const Rec *r) {
  Column<uint32_t> d(w, r->o[0]), a(w, r->o[1]), b(w, r->o[2]);
  forLanes(w.exec, [&](int l) {
    uint32_t bits = Clamp ? std::min(b[l], 32u) : b[l] & 31, unused = bits ? 32 - bits : 0;
    uint32_t up = a[l] << unused;
    uint32_t x = Signed ? static_cast<uint32_t>(static_cast<int32_t>(up) >> unused) : up >> unused;
    d.set(l, bits ? x : 0);
  });
  return r + 1;
}

/// o = d, a, b, predicate.
template <class T> const Rec *selp(Warp &w, const Rec *r) {
  Column<T> d(w, r->o[0]), a(w, r->o[1]), b(w, r->o[2]);
  uint32_t p = *place<uint32_t>(w, r->o[3]) ^ r->aux;
  forLanes(w.exec, [&](int l) { d.set(l, (p >> l) & 1 ? a[l] : b[l]); });
  return r + 1;
}

/// Carry chains: the carry is a predicate place in o[4] (written by .cc) and o[5] (read by the C
/// forms).
template <class T, Alu Op> const Rec *carry(Warp &w, const Rec *r) {
  constexpr bool sub = Op == Alu::SubCC || Op == Alu::SubC;
  constexpr bool in = Op == Alu::AddC || Op == Alu::SubC;
  Column<T> d(w, r->o[0]), a(w, r->o[1]), b(w, r->o[2]);
  uint32_t cin = in ? *place<uint32_t>(w, r->o[5]) : 0, cout = 0;
  forLanes(w.exec, [&](int l) {
    unsigned __int128 x = a[l], y = b[l], c = (cin >> l) & 1;
    unsigned __int128 s = sub ? x - y - c : x + y + c;
    cout |= static_cast<uint32_t>((s >> Traits<T>::bits) & 1) << l;
    d.set(l, static_cast<T>(s));
  });
  if (r->aux)
    setPredicate(w, r->o[4], cout);
  return r + 1;
}
/// mad.lo.cc / madc.hi and friends: o[1..3] = a, b, c; carry places as above.
template <bool High, bool In> const Rec *madCarry(Warp &w, const Rec *r) {
  Column<uint32_t> d(w, r->o[0]), a(w, r->o[1]), b(w, r->o[2]), c(w, r->o[3]);
  uint32_t cin = In ? *place<uint32_t>(w, r->o[5]) : 0, cout = 0;
  forLanes(w.exec, [&](int l) {
    uint64_t p = static_cast<uint64_t>(a[l]) * b[l];
    uint64_t s = (High ? p >> 32 : p & 0xffffffffu) + c[l] + ((cin >> l) & 1);
    cout |= static_cast<uint32_t>((s >> 32) & 1) << l;
    d.set(l, static_cast<uint32_t>(s));
  });
  if (r->aux)
    setPredicate(w, r->o[4], cout);
  return r + 1;
}

/// Predicate logic; operands may be negated: bit i of aux negates source i. o = d, a, b.
template <Alu Op> const Rec *predicate(Warp &w, const Rec *r) {
  uint32_t a = *place<uint32_t>(w, r->o[1]) ^ (r->aux & 1 ? ~0u : 0u);
  uint32_t b = *place<uint32_t>(w, r->o[2]) ^ (r->aux & 2 ? ~0u : 0u);
  uint32_t c = *place<uint32_t>(w, r->o[3]) ^ (r->aux & 4 ? ~0u : 0u);
  setPredicate(w, r->o[0],
               Op == Alu::PredAnd    ? a & b
               : Op == Alu::PredOr   ? a | b
               : Op == Alu::PredXor  ? a ^ b
               : Op == Alu::PredNot  ? ~a
               : Op == Alu::PredSelp ? (a & c) | (b & ~c)
                                     : a);
  return r + 1;
}

template <class T> Handler forPacked16(const AluKey &k) {
  constexpr bool isSigned = Traits<T>::isSigned;
  if (k.sat || (k.relu && !isSigned))
    return nullptr;
  switch (k.op) {
  case Alu::Add:
    return k.relu ? nullptr : packed16<Alu::Add, T>;
  case Alu::Min:
    return k.relu ? packed16<Alu::Min, T, isSigned> : packed16<Alu::Min, T>;
  case Alu::Max:
    return k.relu ? packed16<Alu::Max, T, isSigned> : packed16<Alu::Max, T>;
  default:
    return nullptr;
  }
}

template <class T> Handler forInt(const AluKey &k) {
  if (k.relu) {
    if (!__is_same(T, int32_t))
      return nullptr;
    return k.op == Alu::Min   ? reluExtreme<Alu::Min>
           : k.op == Alu::Max ? reluExtreme<Alu::Max>
                              : nullptr;
  }
  constexpr bool word = Traits<T>::bits != 16;
  switch (k.op) {
#define UNARY(X)                                                                                   \
  case Alu::X:                                                                                     \
    return unary<Alu::X, T>
#define BINARY(X)                                                                                  \
  case Alu::X:                                                                                     \
    return binary<Alu::X, T>
    UNARY(Neg);
    UNARY(Abs);
    UNARY(Not);
    UNARY(Cnot);
    UNARY(Mov);
    BINARY(MulLo);
    BINARY(MulHi);
    BINARY(Min);
    BINARY(Max);
    BINARY(And);
    BINARY(Or);
    BINARY(Xor);
    BINARY(Div);
    BINARY(Rem);
#undef UNARY
#undef BINARY
  case Alu::Add:
  case Alu::Sub:
    if (k.sat) {
      if constexpr (__is_same(T, int32_t))
        return k.op == Alu::Add ? binary<Alu::Add, T, true> : binary<Alu::Sub, T, true>;
      return nullptr;
    }
    return k.op == Alu::Add ? binary<Alu::Add, T> : binary<Alu::Sub, T>;
  case Alu::MadLo:
    return ternary<Alu::MadLo, T>;
  case Alu::MadHi:
    if (k.sat) {
      if constexpr (__is_same(T, int32_t))
        return ternary<Alu::MadHi, T, true>;
      return nullptr;
    }
    return ternary<Alu::MadHi, T>;
  case Alu::Sad:
    return ternary<Alu::Sad, T>;
  case Alu::Shl:
    return shl<T>;
  case Alu::Shr:
    return shr<T>;
  case Alu::Selp:
    return selp<T>;
  case Alu::MulWide:
  case Alu::MadWide:
    if constexpr (!word)
      return k.op == Alu::MulWide ? wide16<T, false> : wide16<T, true>;
    else if constexpr (Traits<T>::bits == 32)
      return k.op == Alu::MulWide ? wide<T, false> : wide<T, true>;
    return nullptr;
  default:
    break;
  }
  if constexpr (word) {
    using U = typename Traits<T>::U;
    switch (k.op) {
    case Alu::Brev:
      return unary<Alu::Brev, T>;
    case Alu::Popc:
      return count<Alu::Popc, U>;
    case Alu::Clz:
      return count<Alu::Clz, U>;
    case Alu::Bfind:
      return count<Alu::Bfind, T>;
    case Alu::BfindShift:
      return count<Alu::BfindShift, T>;
    case Alu::Bfe:
      return bfe<T>;
    case Alu::Bfi:
      return bfi<U>;
    case Alu::AddCC:
      return carry<U, Alu::AddCC>;
    case Alu::AddC:
      return carry<U, Alu::AddC>;
    case Alu::SubCC:
      return carry<U, Alu::SubCC>;
    case Alu::SubC:
      return carry<U, Alu::SubC>;
    default:
      break;
    }
  }
  return nullptr;
}

Handler for32(const AluKey &k) {
  bool sa = k.type == Type::S32, sb = k.source == Type::S32;
  switch (k.op) {
  case Alu::ShfLWrap:
    return funnel<Alu::ShfLWrap>;
  case Alu::ShfLClamp:
    return funnel<Alu::ShfLClamp>;
  case Alu::ShfRWrap:
    return funnel<Alu::ShfRWrap>;
  case Alu::ShfRClamp:
    return funnel<Alu::ShfRClamp>;
  case Alu::Lop3:
    return lop3;
  case Alu::Prmt:
    return prmt<Alu::Prmt>;
  case Alu::PrmtF4e:
    return prmt<Alu::PrmtF4e>;
  case Alu::PrmtB4e:
    return prmt<Alu::PrmtB4e>;
  case Alu::PrmtRc8:
    return prmt<Alu::PrmtRc8>;
  case Alu::PrmtEcl:
    return prmt<Alu::PrmtEcl>;
  case Alu::PrmtEcr:
    return prmt<Alu::PrmtEcr>;
  case Alu::PrmtRc16:
    return prmt<Alu::PrmtRc16>;
  case Alu::Dp4a:
    return sa ? (sb ? dp4a<true, true> : dp4a<true, false>)
              : (sb ? dp4a<false, true> : dp4a<false, false>);
  case Alu::Dp2aLo:
    return sa ? (sb ? dp2a<true, true, false> : dp2a<true, false, false>)
              : (sb ? dp2a<false, true, false> : dp2a<false, false, false>);
  case Alu::Dp2aHi:
    return sa ? (sb ? dp2a<true, true, true> : dp2a<true, false, true>)
              : (sb ? dp2a<false, true, true> : dp2a<false, false, true>);
  case Alu::BmskWrap:
    return bmsk<false>;
  case Alu::BmskClamp:
    return bmsk<true>;
  case Alu::SzextWrap:
    return sa ? szext<false, true> : szext<false, false>;
  case Alu::SzextClamp:
    return sa ? szext<true, true> : szext<true, false>;
  case Alu::Mul24:
    return sa ? binary<Alu::Mul24, int32_t> : binary<Alu::Mul24, uint32_t>;
  case Alu::Mad24:
    return sa ? ternary<Alu::Mad24, int32_t> : ternary<Alu::Mad24, uint32_t>;
  case Alu::MadLoCC:
    return madCarry<false, false>;
  case Alu::MadHiCC:
    return madCarry<true, false>;
  case Alu::MadLoC:
    return madCarry<false, true>;
  case Alu::MadHiC:
    return madCarry<true, true>;
  default:
    return nullptr;
  }
}

Handler forPredicate(const AluKey &k) {
  switch (k.op) {
  case Alu::And:
    return predicate<Alu::PredAnd>;
  case Alu::Or:
    return predicate<Alu::PredOr>;
  case Alu::Xor:
    return predicate<Alu::PredXor>;
  case Alu::Not:
    return predicate<Alu::PredNot>;
  case Alu::Mov:
    return predicate<Alu::PredMov>;
  case Alu::Selp:
    return predicate<Alu::PredSelp>;
  default:
    return nullptr;
  }
}

} // namespace

Handler selectInteger(const AluKey &k) {
  switch (k.type) {
  case Type::Pred:
    return forPredicate(k);
  case Type::B16:
  case Type::U16:
    return forInt<uint16_t>(k);
  case Type::S16:
    return forInt<int16_t>(k);
  case Type::B32:
  case Type::U32:
  case Type::S32:
    if (Handler h = for32(k))
      return h;
    return k.type == Type::S32 ? forInt<int32_t>(k) : forInt<uint32_t>(k);
  case Type::U16x2:
    return forPacked16<uint16_t>(k);
  case Type::S16x2:
    return forPacked16<int16_t>(k);
  case Type::B64:
  case Type::U64:
    return forInt<uint64_t>(k);
  case Type::S64:
    return forInt<int64_t>(k);
  default:
    return nullptr;
  }
}

} // namespace ATTNC_EMU_ISA
} // namespace attnc::emu
