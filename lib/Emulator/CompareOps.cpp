// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// setp and set for every type: compare two columns, combine with a predicate, write a predicate
// (and its complement) or a value. The comparison and the Boolean operator are read at run time,
// outside the lane loop, so that each type needs one handler only.
//
// setp: o[0] = p, o[1] = q (a dummy when absent), o[2], o[3] = a, b, o[4] = c.
// set:  o[0] = d, o[2], o[3] = a, b, o[4] = c; the destination's true value is in `imm`.
// aux: comparison in bits 0-7, BoolOp in bits 8-15, bit 16 when c is negated.
#include "Simt.h"

namespace attnc::emu {
namespace ATTNC_EMU_ISA {
namespace {

template <class T> [[gnu::always_inline]] inline T comparable(T x) { return x; }
[[gnu::always_inline]] inline float comparable(Half x) { return toFloat(x); }
[[gnu::always_inline]] inline float comparable(BFloat x) { return toFloat(x); }

/// Flushing matters to comparisons too: with .ftz a subnormal equals zero.
template <bool Ftz, class T> [[gnu::always_inline]] inline T prepare(T x) {
  if constexpr (Ftz && __is_same(T, float))
    return flush<true>(x);
  if constexpr (Ftz && __is_same(T, Half))
    return x.bits & 0x7c00u ? x : Half{static_cast<uint16_t>(x.bits & 0x8000u)};
  return x;
}

template <class T, bool Ftz> uint32_t compareLanes(Warp &w, const Rec *r, Cmp cmp) {
  Column<T> a(w, r->o[2]), b(w, r->o[3]);
  auto lanes = [&](auto test) {
    return lanesWhere(w.exec, [&](int l) {
      return test(comparable(prepare<Ftz>(a[l])), comparable(prepare<Ftz>(b[l])));
    });
  };
  switch (cmp) {
  case Cmp::Eq:
    return lanes([](auto x, auto y) { return x == y; });
  case Cmp::Ne:
    return lanes([](auto x, auto y) { return (x < y) | (x > y); }); // false on NaN
  case Cmp::Lt:
    return lanes([](auto x, auto y) { return x < y; });
  case Cmp::Le:
    return lanes([](auto x, auto y) { return x <= y; });
  case Cmp::Gt:
    return lanes([](auto x, auto y) { return x > y; });
  case Cmp::Ge:
    return lanes([](auto x, auto y) { return x >= y; });
  case Cmp::Equ:
    return lanes([](auto x, auto y) { return !((x < y) | (x > y)); });
  case Cmp::Neu:
    return lanes([](auto x, auto y) { return x != y; });
  case Cmp::Ltu:
    return lanes([](auto x, auto y) { return !(x >= y); });
  case Cmp::Leu:
    return lanes([](auto x, auto y) { return !(x > y); });
  case Cmp::Gtu:
    return lanes([](auto x, auto y) { return !(x <= y); });
  case Cmp::Geu:
    return lanes([](auto x, auto y) { return !(x < y); });
  case Cmp::Num:
    return lanes([](auto x, auto y) { return (x == x) & (y == y); });
  default:
    return lanes([](auto x, auto y) { return (x != x) | (y != y); });
  }
}

[[gnu::always_inline]] inline uint32_t combine(uint32_t t, uint32_t c, BoolOp op) {
  return op == BoolOp::And ? t & c : op == BoolOp::Or ? t | c : op == BoolOp::Xor ? t ^ c : t;
}

template <class T, bool Ftz> const Rec *setp(Warp &w, const Rec *r) {
  uint32_t t = compareLanes<T, Ftz>(w, r, static_cast<Cmp>(r->aux & 0xff));
  BoolOp op = static_cast<BoolOp>((r->aux >> 8) & 0xff);
  uint32_t c = *place<uint32_t>(w, r->o[4]) ^ ((r->aux >> 16) & 1 ? ~0u : 0u);
  setPredicate(w, r->o[0], combine(t, c, op));
  setPredicate(w, r->o[1], combine(~t, c, op));
  return r + 1;
}

template <class T, bool Ftz> const Rec *set(Warp &w, const Rec *r) {
  uint32_t t = compareLanes<T, Ftz>(w, r, static_cast<Cmp>(r->aux & 0xff));
  uint32_t c = *place<uint32_t>(w, r->o[4]) ^ ((r->aux >> 16) & 1 ? ~0u : 0u);
  t = combine(t, c, static_cast<BoolOp>((r->aux >> 8) & 0xff));
  Column<uint32_t> d(w, r->o[0]);
  uint32_t yes = static_cast<uint32_t>(r->imm);
  forLanes(w.exec, [&](int l) { d.set(l, (t >> l) & 1 ? yes : 0u); });
  return r + 1;
}

/// Packed halves: setp writes p from the low and q from the high half; set makes two half results,
/// as halves or as the halves of an integer.
template <class T, bool Set, bool Ftz = false> const Rec *packed(Warp &w, const Rec *r) {
  Column<uint32_t> a(w, r->o[2]), b(w, r->o[3]), d(w, r->o[Set ? 0 : 2]);
  Cmp cmp = static_cast<Cmp>(r->aux & 0xff);
  BoolOp op = static_cast<BoolOp>((r->aux >> 8) & 0xff);
  uint32_t c = *place<uint32_t>(w, r->o[4]) ^ ((r->aux >> 16) & 1 ? ~0u : 0u);
  uint32_t result[2];
  for (int half = 0; half < 2; ++half) {
    uint32_t t = lanesWhere(w.exec, [&](int l) -> bool {
      float x = toFloat(prepare<Ftz>(T{static_cast<uint16_t>(a[l] >> (16 * half))}));
      float y = toFloat(prepare<Ftz>(T{static_cast<uint16_t>(b[l] >> (16 * half))}));
      bool nan = (x != x) | (y != y);
      switch (cmp) {
      case Cmp::Eq:
        return x == y;
      case Cmp::Ne:
        return (x != y) & !nan;
      case Cmp::Lt:
        return x < y;
      case Cmp::Le:
        return x <= y;
      case Cmp::Gt:
        return x > y;
      case Cmp::Ge:
        return x >= y;
      case Cmp::Equ:
        return (x == y) | nan;
      case Cmp::Neu:
        return x != y;
      case Cmp::Ltu:
        return (x < y) | nan;
      case Cmp::Leu:
        return (x <= y) | nan;
      case Cmp::Gtu:
        return (x > y) | nan;
      case Cmp::Geu:
        return (x >= y) | nan;
      case Cmp::Num:
        return !nan;
      default:
        return nan;
      }
    });
    result[half] = combine(t, c, op);
  }
  if constexpr (Set) {
    uint32_t yes = static_cast<uint32_t>(r->imm);
    forLanes(w.exec, [&](int l) {
      d.set(l, ((result[0] >> l) & 1 ? yes & 0xffffu : 0u) |
                   ((result[1] >> l) & 1 ? yes & 0xffff0000u : 0u));
    });
  } else {
    setPredicate(w, r->o[0], result[0]);
    setPredicate(w, r->o[1], result[1]);
  }
  return r + 1;
}

template <class T, bool Ftz = false> Handler pick(const AluKey &k) {
  return k.op == Alu::Setp ? setp<T, Ftz> : set<T, Ftz>;
}

} // namespace

Handler selectCompare(const AluKey &k) {
  switch (k.source) {
  case Type::B16:
  case Type::U16:
    return pick<uint16_t>(k);
  case Type::S16:
    return pick<int16_t>(k);
  case Type::B32:
  case Type::U32:
    return pick<uint32_t>(k);
  case Type::S32:
    return pick<int32_t>(k);
  case Type::B64:
  case Type::U64:
    return pick<uint64_t>(k);
  case Type::S64:
    return pick<int64_t>(k);
  case Type::F32:
    return k.ftz ? pick<float, true>(k) : pick<float>(k);
  case Type::F64:
    return pick<double>(k);
  case Type::F16:
    return k.ftz ? pick<Half, true>(k) : pick<Half>(k);
  case Type::BF16:
    return pick<BFloat>(k);
  case Type::F16x2:
    if (k.op == Alu::Setp)
      return k.ftz ? packed<Half, false, true> : packed<Half, false>;
    return k.ftz ? packed<Half, true, true> : packed<Half, true>;
  case Type::BF16x2:
    return k.op == Alu::Setp ? packed<BFloat, false> : packed<BFloat, true>;
  default:
    return nullptr;
  }
}

} // namespace ATTNC_EMU_ISA
} // namespace attnc::emu
