// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Decoding of integer and bit instructions, moves, selects, comparisons and conversions. Each
// function reads the modifiers of one opcode family into an AluKey and lists the operands; whether
// the combination exists is decided by the handler tables.
#include "Access.h"
#include "Cluster.h"
#include "Decode.h"
#include "Launch.h"
#include "WarpOps.h"

#include <algorithm>

namespace attnc::emu {

bool isFloatType(Type t) {
  return t == Type::F16 || t == Type::BF16 || t == Type::F32 || t == Type::F64 ||
         t == Type::F16x2 || t == Type::BF16x2 || t == Type::F32x2;
}

Rnd takeRounding(Decoder &d) {
  static constexpr Rnd list[] = {Rnd::Rn,  Rnd::Rz,  Rnd::Rm,  Rnd::Rp,     Rnd::Rna, Rnd::Rni,
                                 Rnd::Rzi, Rnd::Rmi, Rnd::Rpi, Rnd::Approx, Rnd::Full};
  int i = d.mods->takeOneOf(
      {"rn", "rz", "rm", "rp", "rna", "rni", "rzi", "rmi", "rpi", "approx", "full"});
  return i < 0 ? Rnd::None : list[i];
}

Type needType(Decoder &d) {
  Type t = d.mods->takeType();
  if (t == Type::None)
    d.fail("expects a type");
  return t;
}

void needPacked16(Decoder &d) {
  if (d.profile.major < 9)
    d.fail(".u16x2, .s16x2 and .relu on integers need sm_90");
}

namespace {
const Rec *splitPart(Warp &, const Rec *);
const Rec *packParts(Warp &, const Rec *);

/// .f32x2 is the single-precision operation on both halves of 64-bit registers.
void packedSingles(Decoder &d, AluKey k, unsigned sources) {
  if (d.profile.major < 10)
    d.fail(".f32x2 needs sm_100");
  if (k.op != Alu::Add && k.op != Alu::Sub && k.op != Alu::Mul && k.op != Alu::Fma)
    d.fail("there is no .f32x2 form");
  d.expectOperands(sources + 1, sources + 1);
  uint32_t packed[4] = {};
  for (unsigned i = 1; i <= sources; ++i)
    packed[i] = d.use(d.operand(i), Type::B64);
  packed[0] = d.def(d.operand(0), Type::B64);
  uint32_t columns = d.scratchColumns();
  auto column = [&](unsigned i, unsigned half) { return columns + (2 * i + half) * 128; };
  k.type = Type::F32;
  for (unsigned half = 0; half < 2; ++half) {
    for (unsigned i = 1; i <= sources; ++i) {
      Rec &split = d.emit(splitPart);
      split.o[0] = column(i, half), split.o[1] = packed[i];
      split.imm = 32 * half, split.aux = 32, split.aux2 = 1;
    }
    Rec &r = d.emitAlu(k);
    for (unsigned i = 0; i <= sources; ++i)
      r.o[i] = column(i, half);
  }
  Rec &pack = d.emit(packParts);
  pack.o[0] = packed[0];
  pack.imm = 32, pack.aux = 2, pack.aux2 = 2;
  d.ext(pack, {column(0, 0), column(0, 1)});
}
} // namespace

/// d, a, ... all of the key's type.
void emitUniform(Decoder &d, const AluKey &k, unsigned sources) {
  if (k.type == Type::F32x2)
    return packedSingles(d, k, sources);
  if (k.type == Type::U16x2 || k.type == Type::S16x2)
    needPacked16(d);
  d.expectOperands(sources + 1, sources + 1);
  uint32_t places[4] = {};
  for (unsigned i = 1; i <= sources; ++i)
    places[i] = d.use(d.operand(i), k.type);
  places[0] = d.def(d.operand(0), k.type);
  Rec &r = d.emitAlu(k);
  std::copy(places, places + 4, r.o);
}

namespace {

template <Alu Op, unsigned Sources> void uniform(Decoder &d) {
  AluKey k;
  k.op = Op;
  k.type = needType(d);
  emitUniform(d, k, Sources);
}

/// and, or, xor, not: on predicates too.
template <Alu Op, unsigned Sources> void logic(Decoder &d) {
  AluKey k;
  k.op = Op;
  k.type = needType(d);
  if (k.type != Type::Pred)
    return emitUniform(d, k, Sources);
  d.expectOperands(Sources + 1, Sources + 1);
  uint32_t places[3] = {}, aux = 0;
  for (unsigned i = 1; i <= Sources; ++i) {
    bool negated;
    places[i] = d.usePredicate(d.operand(i), negated);
    aux |= negated ? 1u << (i - 1) : 0;
  }
  places[0] = d.defPredicate(d.operand(0));
  Rec &r = d.emitAlu(k);
  std::copy(places, places + 3, r.o);
  r.aux = aux;
}

void lop3(Decoder &d) {
  AluKey k;
  k.op = Alu::Lop3;
  k.type = needType(d);
  d.expectOperands(5, 5);
  if (d.operand(4).kind != Operand::Imm)
    d.fail("expects a constant truth table");
  uint32_t a = d.use(d.operand(1), k.type), b = d.use(d.operand(2), k.type),
           c = d.use(d.operand(3), k.type);
  uint32_t dst = d.def(d.operand(0), k.type);
  Rec &r = d.emitAlu(k);
  r.o[0] = dst, r.o[1] = a, r.o[2] = b, r.o[3] = c;
  r.imm = static_cast<uint64_t>(d.operand(4).imm);
}

template <Alu Op> void shift(Decoder &d) {
  AluKey k;
  k.op = Op;
  k.type = needType(d);
  d.expectOperands(3, 3);
  uint32_t a = d.use(d.operand(1), k.type), n = d.use(d.operand(2), Type::U32);
  uint32_t dst = d.def(d.operand(0), k.type);
  Rec &r = d.emitAlu(k);
  r.o[0] = dst, r.o[1] = a, r.o[2] = n;
}

void funnelShift(Decoder &d) {
  bool left = d.mods->take("l");
  if (!left && !d.mods->take("r"))
    d.fail("expects .l or .r");
  bool wrap = d.mods->take("wrap");
  if (!wrap && !d.mods->take("clamp"))
    d.fail("expects .wrap or .clamp");
  AluKey k;
  k.op = left ? (wrap ? Alu::ShfLWrap : Alu::ShfLClamp) : (wrap ? Alu::ShfRWrap : Alu::ShfRClamp);
  k.type = needType(d);
  emitUniform(d, k, 3);
}

void bitField(Decoder &d) {
  bool insert = d.instr().opcode == "bfi";
  AluKey k;
  k.op = insert ? Alu::Bfi : Alu::Bfe;
  k.type = needType(d);
  d.expectOperands(insert ? 5 : 4, insert ? 5 : 4);
  uint32_t places[5] = {};
  unsigned values = insert ? 2 : 1;
  for (unsigned i = 1; i <= values + 2; ++i)
    places[i] = d.use(d.operand(i), i <= values ? k.type : Type::U32);
  places[0] = d.def(d.operand(0), k.type);
  Rec &r = d.emitAlu(k);
  std::copy(places, places + 5, r.o);
}

template <Alu Op> void countBits(Decoder &d) {
  AluKey k;
  k.op = Op == Alu::Bfind && d.mods->take("shiftamt") ? Alu::BfindShift : Op;
  k.type = needType(d);
  d.expectOperands(2, 2);
  uint32_t a = d.use(d.operand(1), k.type), dst = d.def(d.operand(0), Type::U32);
  Rec &r = d.emitAlu(k);
  r.o[0] = dst, r.o[1] = a;
}

void prmt(Decoder &d) {
  static constexpr Alu list[] = {Alu::PrmtF4e, Alu::PrmtB4e, Alu::PrmtRc8,
                                 Alu::PrmtEcl, Alu::PrmtEcr, Alu::PrmtRc16};
  AluKey k;
  int mode = d.mods->takeOneOf({"f4e", "b4e", "rc8", "ecl", "ecr", "rc16"});
  k.op = mode < 0 ? Alu::Prmt : list[mode];
  k.type = needType(d);
  emitUniform(d, k, 3);
}

/// mul and mad of integers; the float forms are in DecodeFloat.cpp.
void integerMultiply(Decoder &d, bool add, Type type) {
  int part = d.mods->takeOneOf({"lo", "hi", "wide"});
  if (part < 0)
    d.fail("expects .lo, .hi or .wide");
  AluKey k;
  static constexpr Alu table[2][3] = {{Alu::MulLo, Alu::MulHi, Alu::MulWide},
                                      {Alu::MadLo, Alu::MadHi, Alu::MadWide}};
  k.op = table[add][part];
  k.type = type;
  k.sat = d.mods->take("sat");
  if (part != 2)
    return emitUniform(d, k, add ? 3 : 2);
  bool narrow = bitsOf(type) == 16;
  Type wide = narrow ? Type::B32 : Type::B64;
  d.expectOperands(add ? 4 : 3, add ? 4 : 3);
  uint32_t a = d.use(d.operand(1), type), b = d.use(d.operand(2), type);
  uint32_t c = add ? d.use(d.operand(3), wide) : 0;
  uint32_t dst = d.def(d.operand(0), wide);
  Rec &r = d.emitAlu(k);
  r.o[0] = dst, r.o[1] = a, r.o[2] = b, r.o[3] = c;
}

/// add.cc, addc{.cc}, sub.cc, subc{.cc}, mad{.cc}, madc{.cc}
void withCarry(Decoder &d, Alu plain, Alu chained, unsigned sources, bool reads) {
  AluKey k;
  k.op = reads ? chained : plain;
  bool writes = d.mods->take("cc");
  k.type = needType(d);
  if (sources == 3 && bitsOf(k.type) != 32)
    d.fail("carry chains of mad are supported for 32 bits only");
  uint32_t places[4] = {};
  d.expectOperands(sources + 1, sources + 1);
  for (unsigned i = 1; i <= sources; ++i)
    places[i] = d.use(d.operand(i), k.type);
  places[0] = d.def(d.operand(0), k.type);
  // Carry handlers are unsigned; the carry does not depend on signedness.
  k.type = bitsOf(k.type) == 64 ? Type::U64 : Type::U32;
  Rec &r = d.emitAlu(k);
  std::copy(places, places + 4, r.o);
  r.o[4] = r.o[5] = d.carryPredicate();
  r.aux = writes;
}
void addc(Decoder &d) { withCarry(d, Alu::AddCC, Alu::AddC, 2, true); }
void subc(Decoder &d) { withCarry(d, Alu::SubCC, Alu::SubC, 2, true); }
void madc(Decoder &d) {
  bool hi = d.mods->take("hi");
  if (!hi && !d.mods->take("lo"))
    d.fail("expects .lo or .hi");
  withCarry(d, Alu::MadLoCC, hi ? Alu::MadHiC : Alu::MadLoC, 3, true);
}

/// bmsk and szext
template <Alu Wrap, Alu Clamp> void bitWidth(Decoder &d) {
  AluKey k;
  k.op = d.mods->take("clamp") ? Clamp : Wrap;
  d.mods->take("wrap");
  k.type = needType(d);
  emitUniform(d, k, 2);
}

/// dp4a and dp2a.{lo,hi}
void dotProduct(Decoder &d) {
  AluKey k;
  k.op = d.mods->take("lo") ? Alu::Dp2aLo : d.mods->take("hi") ? Alu::Dp2aHi : Alu::Dp4a;
  k.type = needType(d);
  k.source = needType(d);
  d.expectOperands(4, 4);
  Type sum = k.type == Type::S32 || k.source == Type::S32 ? Type::S32 : Type::U32;
  uint32_t a = d.use(d.operand(1), k.type), b = d.use(d.operand(2), k.source),
           c = d.use(d.operand(3), sum);
  uint32_t dst = d.def(d.operand(0), sum);
  Rec &r = d.emitAlu(k);
  r.o[0] = dst, r.o[1] = a, r.o[2] = b, r.o[3] = c;
}

/// One of several records that build or split a vector: d = (a >> imm) truncated to the register,
/// or d = d | a << imm. aux: bits of the source element; aux2 bit 0: source is 64-bit, bit 1:
/// destination.
const Rec *splitPart(Warp &w, const Rec *r) {
  uint64_t mask = r->aux >= 64 ? ~0ull : (1ull << r->aux) - 1;
  for (uint32_t m = w.exec; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    uint64_t a = r->aux2 & 1 ? place<uint64_t>(w, r->o[1])[l] : place<uint32_t>(w, r->o[1])[l];
    a = (a >> r->imm) & mask;
    if (r->aux2 & 2)
      place<uint64_t>(w, r->o[0])[l] = a;
    else
      place<uint32_t>(w, r->o[0])[l] = static_cast<uint32_t>(a);
  }
  return r + 1;
}
/// ext: the parts; aux: how many; imm: bits of each; aux2 as above, bit 2: parts are 64-bit.
const Rec *packParts(Warp &w, const Rec *r) {
  uint64_t mask = r->imm >= 64 ? ~0ull : (1ull << r->imm) - 1;
  for (uint32_t m = w.exec; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    uint64_t v = 0;
    for (unsigned i = 0; i < r->aux; ++i)
      v |= (place<uint32_t>(w, r->ext[i])[l] & mask) << (r->imm * i);
    if (r->aux2 & 2)
      place<uint64_t>(w, r->o[0])[l] = v;
    else
      place<uint32_t>(w, r->o[0])[l] = static_cast<uint32_t>(v);
  }
  return r + 1;
}

Type bitsType(unsigned bits) {
  return bits == 8 ? Type::B8 : bits == 16 ? Type::B16 : bits == 32 ? Type::B32 : Type::B64;
}

/// mov.b64 {lo, hi}, a: every part is read from `a` before any is written only if none of them is
/// `a`; they cannot be, because their widths differ.
void unpack(Decoder &d, Type type) {
  const auto &parts = d.operand(0).elems;
  unsigned bits = bitsOf(type) / static_cast<unsigned>(parts.size());
  uint32_t a = d.use(d.operand(1), type);
  for (size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].kind == Operand::Sink)
      continue;
    unsigned regBytes = 0;
    uint32_t dst =
        bits == 8 ? d.defWide(parts[i], Type::B8, regBytes) : d.def(parts[i], bitsType(bits));
    Rec &r = d.emit(splitPart);
    r.o[0] = dst, r.o[1] = a;
    r.imm = bits * i;
    r.aux = bits;
    r.aux2 = bitsOf(type) == 64 ? 1 : 0;
  }
}
void pack(Decoder &d, Type type) {
  const auto &parts = d.operand(1).elems;
  unsigned bits = bitsOf(type) / static_cast<unsigned>(parts.size());
  std::vector<uint32_t> places;
  for (const Operand &p : parts) {
    unsigned regBytes = 0;
    places.push_back(bits == 8 ? d.useWide(p, Type::B8, regBytes) : d.use(p, bitsType(bits)));
  }
  uint32_t dst = d.def(d.operand(0), type);
  Rec &r = d.emit(packParts);
  r.o[0] = dst;
  r.imm = bits;
  r.aux = static_cast<uint32_t>(places.size());
  r.aux2 = bitsOf(type) == 64 ? 2 : 0;
  d.ext(r, places);
}

/// mov.b128: a copy, or from and to two 64-bit registers.
void movQuad(Decoder &d) {
  auto halves = [&](const Operand &o, bool isDef) -> std::pair<uint32_t, uint32_t> {
    auto one = [&](const Operand &part, Type t) { return isDef ? d.def(part, t) : d.use(part, t); };
    if (o.kind != Operand::Vector) {
      if (o.kind != Operand::Reg)
        d.fail("expects a 128-bit register");
      uint32_t at = one(o, Type::B128);
      return {at, at + quadHalf};
    }
    if (o.elems.size() != 2)
      d.fail("expects two 64-bit registers");
    uint32_t low = one(o.elems[0], Type::B64);
    return {low, one(o.elems[1], Type::B64)};
  };
  auto from = halves(d.operand(1), false), to = halves(d.operand(0), true);
  AluKey k;
  k.op = Alu::Mov;
  k.type = Type::B64;
  Rec &low = d.emitAlu(k);
  low.o[0] = to.first, low.o[1] = from.first;
  Rec &high = d.emitAlu(k);
  high.o[0] = to.second, high.o[1] = from.second;
}

void mov(Decoder &d) {
  Type type = needType(d);
  d.expectOperands(2, 2);
  if (bitsOf(type) == 128)
    return movQuad(d);
  const Operand &to = d.operand(0), &from = d.operand(1);
  auto badSplit = [&](const Operand &v) {
    return v.elems.size() < 2 || bitsOf(type) % v.elems.size() || bitsOf(type) > 64 ||
           bitsOf(type) / v.elems.size() > 32;
  };
  if (to.kind == Operand::Vector || from.kind == Operand::Vector) {
    if (badSplit(to.kind == Operand::Vector ? to : from))
      d.fail("unsupported split of ." + std::string(nameOf(type)));
    return to.kind == Operand::Vector ? unpack(d, type) : pack(d, type);
  }
  if (from.kind == Operand::SpecialReg &&
      (from.special == Special::Clock || from.special == Special::ClockHi ||
       from.special == Special::Clock64 || from.special == Special::GlobalTimer ||
       from.special == Special::GlobalTimerLo || from.special == Special::GlobalTimerHi)) {
    bool high = from.special == Special::ClockHi || from.special == Special::GlobalTimerHi;
    uint32_t dst = d.def(to, type);
    Rec &r = d.emit(readClock);
    r.o[0] = dst;
    r.aux = bitsOf(type) == 64;
    r.imm = high ? 32 : 0;
    return;
  }
  AluKey k;
  k.op = Alu::Mov;
  if (type == Type::Pred) {
    bool negated;
    uint32_t a = d.usePredicate(from, negated), dst = d.defPredicate(to);
    k.type = Type::Pred;
    Rec &r = d.emitAlu(k);
    r.o[0] = dst, r.o[1] = a;
    r.aux = negated;
    return;
  }
  uint32_t a = d.use(from, type), dst = d.def(to, type);
  k.type = bitsOf(type) == 64 ? Type::B64 : bitsOf(type) == 16 ? Type::B16 : Type::B32;
  Rec &r = d.emitAlu(k);
  r.o[0] = dst, r.o[1] = a;
}

void selp(Decoder &d) {
  AluKey k;
  k.op = Alu::Selp;
  Type type = needType(d);
  d.expectOperands(4, 4);
  bool negated;
  uint32_t c = d.usePredicate(d.operand(3), negated);
  if (type == Type::Pred)
    d.fail("selp has no predicate form");
  uint32_t a = d.use(d.operand(1), type), b = d.use(d.operand(2), type),
           dst = d.def(d.operand(0), type);
  k.type = bitsOf(type) == 64 ? Type::B64 : bitsOf(type) == 16 ? Type::B16 : Type::B32;
  Rec &r = d.emitAlu(k);
  r.o[0] = dst, r.o[1] = a, r.o[2] = b, r.o[3] = c;
  r.aux = negated ? ~0u : 0u;
}

/// Comparison and Boolean operator, packed as CompareOps.cpp reads them.
uint32_t takeComparison(Decoder &d, AluKey &k) {
  static constexpr const char *names[] = {"eq",  "ne",  "lt",  "le",  "gt",  "ge",
                                          "equ", "neu", "ltu", "leu", "gtu", "geu",
                                          "num", "nan", "lo",  "ls",  "hi",  "hs"};
  static constexpr Cmp values[] = {Cmp::Eq,  Cmp::Ne,  Cmp::Lt,  Cmp::Le,  Cmp::Gt,  Cmp::Ge,
                                   Cmp::Equ, Cmp::Neu, Cmp::Ltu, Cmp::Leu, Cmp::Gtu, Cmp::Geu,
                                   Cmp::Num, Cmp::Nan, Cmp::Lt,  Cmp::Le,  Cmp::Gt,  Cmp::Ge};
  int found = -1;
  for (int i = 0; i < 18 && found < 0; ++i)
    if (d.mods->take(names[i]))
      found = i;
  if (found < 0)
    d.fail("expects a comparison");
  uint32_t aux = static_cast<uint32_t>(values[found]);
  int b = d.mods->takeOneOf({"and", "or", "xor"});
  aux |= static_cast<uint32_t>(b + 1) << 8;
  k.ftz = d.mods->take("ftz");
  return aux;
}

void thirdPredicate(Decoder &d, uint32_t &aux, uint32_t &place) {
  bool hasOp = (aux >> 8) & 0xff;
  if (hasOp != (d.operandCount() == 4))
    d.fail("a Boolean operator and a fourth operand belong together");
  bool negated = false;
  place = hasOp ? d.usePredicate(d.operand(3), negated) : d.scratchPredicate();
  aux |= negated ? 1u << 16 : 0;
}

void setp(Decoder &d) {
  AluKey k;
  k.op = Alu::Setp;
  uint32_t aux = takeComparison(d, k);
  k.source = needType(d);
  d.expectOperands(3, 4);
  uint32_t a = d.use(d.operand(1), k.source), b = d.use(d.operand(2), k.source), c = 0;
  thirdPredicate(d, aux, c);
  uint32_t q = d.defPredicateIndex(d.operand(0).pair), p = d.defPredicate(d.operand(0));
  Rec &r = d.emitAlu(k);
  r.o[0] = p, r.o[1] = q, r.o[2] = a, r.o[3] = b, r.o[4] = c;
  r.aux = aux;
}

void set(Decoder &d) {
  AluKey k;
  k.op = Alu::Set;
  uint32_t aux = takeComparison(d, k);
  k.type = needType(d);
  k.source = needType(d);
  d.expectOperands(3, 4);
  uint32_t a = d.use(d.operand(1), k.source), b = d.use(d.operand(2), k.source), c = 0;
  thirdPredicate(d, aux, c);
  uint32_t dst = d.def(d.operand(0), k.type);
  Rec &r = d.emitAlu(k);
  r.o[0] = dst, r.o[2] = a, r.o[3] = b, r.o[4] = c;
  r.aux = aux;
  switch (k.type) {
  case Type::F32:
    r.imm = 0x3f800000u;
    break;
  case Type::F16:
    r.imm = 0x3c00u;
    break;
  case Type::F16x2:
    r.imm = 0x3c003c00u;
    break;
  case Type::BF16:
    r.imm = 0x3f80u;
    break;
  case Type::BF16x2:
    r.imm = 0x3f803f80u;
    break;
  case Type::U16:
  case Type::S16:
    r.imm = 0xffffu;
    break;
  default:
    r.imm = ~0u;
    break;
  }
}

void cvt(Decoder &d) {
  AluKey k;
  k.op = Alu::Cvt;
  k.rnd = takeRounding(d);
  k.ftz = d.mods->take("ftz");
  k.sat = d.mods->take("sat");
  k.relu = d.mods->take("relu");
  bool satfinite = k.nan = d.mods->take("satfinite");
  k.type = needType(d);
  k.source = needType(d);
  bool packedTo = k.type == Type::F16x2 || k.type == Type::BF16x2 || k.type == Type::E4M3x2 ||
                  k.type == Type::E5M2x2;
  unsigned dstBytes = 4, srcBytes = 4;
  uint32_t a, b = 0, dst;
  if (packedTo) {
    k.op = Alu::CvtPack;
    bool twoSources = k.source == Type::F32;
    d.expectOperands(twoSources ? 3 : 2, twoSources ? 3 : 2);
    a = d.use(d.operand(1), k.source);
    b = twoSources ? d.use(d.operand(2), k.source) : a;
    dst = d.def(d.operand(0), k.type);
  } else {
    d.expectOperands(2, 2);
    a = d.useWide(d.operand(1), k.source, srcBytes);
    dst = d.defWide(d.operand(0), k.type, dstBytes);
  }
  k.xorsignAbs = dstBytes == 8;
  k.oob = srcBytes == 8;
  Rec &r = d.emitAlu(k);
  r.o[0] = dst, r.o[1] = a, r.o[2] = b;
  r.aux = static_cast<uint32_t>(k.type) | static_cast<uint32_t>(k.source) << 8 |
          static_cast<uint32_t>(k.rnd) << 16 | uint32_t(k.ftz) << 24 | uint32_t(k.sat) << 25 |
          uint32_t(k.relu) << 26 | uint32_t(satfinite) << 27;
  r.imm = 8 * dstBytes;
}

/// Conversions between generic and specific addresses add or subtract the window.
void cvta(Decoder &d) {
  bool to = d.mods->take("to");
  int space = d.mods->takeOneOf({"global", "shared", "shared::cta", "shared::cluster", "local",
                                 "param", "const", "param::entry"});
  if (space < 0)
    d.fail("expects a state space");
  Type t = needType(d);
  if (bitsOf(t) != 64)
    d.fail("expects 64-bit addresses");
  d.expectOperands(2, 2);
  const Operand &from = d.operand(1);
  uint64_t window = space >= 1 && space <= 3 ? d.memoryWindow(Space::Shared)
                    : space == 4             ? d.memoryWindow(Space::Local)
                                             : 0;
  uint32_t a = d.use(from, t), dst = d.def(d.operand(0), t);
  if (!to && (space == 5 || space == 7)) {
    Rec &r = d.emit(cvtaParamOp);
    r.o[0] = dst, r.o[1] = a;
    r.imm = d.memoryWindow(Space::Param);
    return;
  }
  uint32_t offset = d.constant(to ? 0 - window : window, true);
  AluKey k;
  k.op = Alu::Add;
  k.type = Type::U64;
  Rec &r = d.emitAlu(k);
  r.o[0] = dst, r.o[1] = a, r.o[2] = offset;
}

const Rec *isspacepOp(Warp &w, const Rec *r) {
  uint32_t yes = 0;
  const uint64_t *a = place<uint64_t>(w, r->o[1]);
  for (int l = 0; l < 32; ++l) {
    bool inside = a[l] >= r->imm && a[l] < r->imm + r->aux2 * (1ull << 16);
    if (r->aux & 2) // the block's own memory, by its address in the cluster
      inside |= (a[l] - r->imm) >> clusterRankShift == w.cta->rank + 1;
    yes |= inside != (r->aux & 1) ? 1u << l : 0u;
  }
  uint32_t *p = place<uint32_t>(w, r->o[0]);
  *p = (*p & ~w.exec) | (yes & w.exec);
  return r + 1;
}
void isspacep(Decoder &d) {
  int space = d.mods->takeOneOf({"global", "shared", "shared::cta", "local", "shared::cluster"});
  if (space < 0)
    d.fail("expects a state space");
  d.expectOperands(2, 2);
  uint32_t a = d.use(d.operand(1), Type::U64), p = d.defPredicate(d.operand(0));
  Rec &r = d.emit(isspacepOp);
  r.o[0] = p, r.o[1] = a;
  // Global is everything outside the windows of shared, local and parameter memory, which adjoin.
  r.aux = (space == 0 ? 1 : 0) | (space == 1 || space == 2 ? 2 : 0);
  r.imm = space == 3 ? d.memoryWindow(Space::Local) : d.memoryWindow(Space::Shared);
  // The block's own memory is the first part of the window; mapa makes addresses in the rest.
  uint64_t size = space == 3                 ? DeviceMemory::localWindowBytes
                  : space == 1 || space == 2 ? 1ull << clusterRankShift
                                             : DeviceMemory::sharedWindowBytes;
  if (space == 0)
    size += DeviceMemory::localWindowBytes + DeviceMemory::paramWindowBytes;
  r.aux2 = static_cast<uint32_t>(size >> 16);
}

} // namespace

void integerAddSub(Decoder &d, bool add, Type type, bool cc) {
  if (cc) {
    AluKey k;
    uint32_t a = d.use(d.operand(1), type), b = d.use(d.operand(2), type),
             dst = d.def(d.operand(0), type);
    k.op = add ? Alu::AddCC : Alu::SubCC;
    k.type = bitsOf(type) == 64 ? Type::U64 : Type::U32;
    Rec &r = d.emitAlu(k);
    r.o[0] = dst, r.o[1] = a, r.o[2] = b, r.o[4] = d.carryPredicate();
    r.aux = 1;
    return;
  }
  AluKey k;
  k.op = add ? Alu::Add : Alu::Sub;
  k.type = type;
  k.sat = d.mods->take("sat");
  emitUniform(d, k, 2);
}
void integerMul(Decoder &d, bool add, Type type) {
  if (add && d.mods->take("cc")) {
    bool hi = d.mods->take("hi");
    if (!hi && !d.mods->take("lo"))
      d.fail("expects .lo or .hi");
    AluKey k;
    k.op = hi ? Alu::MadHiCC : Alu::MadLoCC;
    k.type = Type::U32;
    if (bitsOf(type) != 32)
      d.fail("carry chains of mad are supported for 32 bits only");
    uint32_t a = d.use(d.operand(1), type), b = d.use(d.operand(2), type),
             c = d.use(d.operand(3), type);
    uint32_t dst = d.def(d.operand(0), type);
    Rec &r = d.emitAlu(k);
    r.o[0] = dst, r.o[1] = a, r.o[2] = b, r.o[3] = c, r.o[4] = d.carryPredicate();
    r.aux = 1;
    return;
  }
  integerMultiply(d, add, type);
}

void addAluOpcodes(std::unordered_map<std::string, DecodeFn> &t) {
  t["rem"] = uniform<Alu::Rem, 2>;
  t["sad"] = uniform<Alu::Sad, 3>;
  t["mul24"] = [](Decoder &d) {
    if (!d.mods->take("lo"))
      d.fail("only mul24.lo is supported");
    uniform<Alu::Mul24, 2>(d);
  };
  t["mad24"] = [](Decoder &d) {
    if (!d.mods->take("lo"))
      d.fail("only mad24.lo is supported");
    uniform<Alu::Mad24, 3>(d);
  };
  t["and"] = logic<Alu::And, 2>;
  t["or"] = logic<Alu::Or, 2>;
  t["xor"] = logic<Alu::Xor, 2>;
  t["not"] = logic<Alu::Not, 1>;
  t["cnot"] = uniform<Alu::Cnot, 1>;
  t["brev"] = uniform<Alu::Brev, 1>;
  t["lop3"] = lop3;
  t["shl"] = shift<Alu::Shl>;
  t["shr"] = shift<Alu::Shr>;
  t["shf"] = funnelShift;
  t["bfe"] = t["bfi"] = bitField;
  t["clz"] = countBits<Alu::Clz>;
  t["popc"] = countBits<Alu::Popc>;
  t["bfind"] = countBits<Alu::Bfind>;
  t["prmt"] = prmt;
  t["addc"] = addc;
  t["subc"] = subc;
  t["madc"] = madc;
  t["dp4a"] = t["dp2a"] = dotProduct;
  t["bmsk"] = bitWidth<Alu::BmskWrap, Alu::BmskClamp>;
  t["szext"] = bitWidth<Alu::SzextWrap, Alu::SzextClamp>;
  t["mov"] = mov;
  t["selp"] = selp;
  t["setp"] = setp;
  t["set"] = set;
  t["cvt"] = cvt;
  t["cvta"] = cvta;
  t["isspacep"] = isspacep;
}

} // namespace attnc::emu
