// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// See FormOracle.h. This file is compiled with -frounding-math, because it sets the rounding mode
// of the host.
#include "FormOracle.h"

#include <algorithm>
#include <cfenv>
#include <cmath>

namespace attnc::emu::test {

const std::vector<FormType> &formTypes() {
  constexpr FloatFormat f64{11, 52};
  static const std::vector<FormType> list = {{"b8", 'b', 8},
                                             {"b16", 'b', 16},
                                             {"b32", 'b', 32},
                                             {"b64", 'b', 64},
                                             {"u8", 'u', 8},
                                             {"u16", 'u', 16},
                                             {"u32", 'u', 32},
                                             {"u64", 'u', 64},
                                             {"s8", 's', 8},
                                             {"s16", 's', 16},
                                             {"s32", 's', 32},
                                             {"s64", 's', 64},
                                             {"u16x2", 'u', 16, 2},
                                             {"s16x2", 's', 16, 2},
                                             {"f16", 'f', 16, 1, half},
                                             {"f16x2", 'f', 16, 2, half},
                                             {"bf16", 'f', 16, 1, bfloat},
                                             {"bf16x2", 'f', 16, 2, bfloat},
                                             {"f32", 'f', 32, 1, single},
                                             {"f64", 'f', 64, 1, f64},
                                             {"tf32", 'o', 32},
                                             {"e4m3x2", 'o', 16},
                                             {"e5m2x2", 'o', 16}};
  return list;
}

namespace {

using Wide = __int128;
using UWide = unsigned __int128;

uint64_t maskOf(int bits) { return bits == 64 ? ~0ull : (1ull << bits) - 1; }

Wide integerOf(const FormType &t, uint64_t x) {
  x &= maskOf(t.bits);
  return t.kind == 's' && (x >> (t.bits - 1) & 1) ? Wide(x) - (Wide(1) << t.bits) : Wide(x);
}

Wide clampTo(const FormType &t, Wide v) {
  Wide lo = t.kind == 's' ? -(Wide(1) << (t.bits - 1)) : 0,
       hi = (Wide(1) << (t.kind == 's' ? t.bits - 1 : t.bits)) - 1;
  return std::min(std::max(v, lo), hi);
}

//===-- Integers ---------------------------------------------------------------------------------//

uint64_t divide(const FormType &t, Wide a, Wide b, bool remainder) {
  return b == 0 ? 0 : uint64_t(remainder ? a % b : a / b) & maskOf(t.bits);
}

FormOracle integerOracle(const std::string &op, const FormType &t, const FormFlags &f) {
  const int n = t.bits;
  const uint64_t mask = maskOf(n);
  auto binary = [&](std::function<Wide(Wide, Wide)> g) -> FormOracle {
    return [=](uint64_t a, uint64_t b, uint64_t) {
      return uint64_t(g(integerOf(t, a), integerOf(t, b))) & mask;
    };
  };
  auto unary = [&](std::function<uint64_t(uint64_t)> g) -> FormOracle {
    return [=](uint64_t a, uint64_t, uint64_t) { return g(a & mask); };
  };
  bool arithmetic = t.kind != 'b', bitwise = t.kind == 'b';
  if (arithmetic && (op == "add" || op == "sub")) {
    bool add = op == "add", sat = f.sat;
    return binary([=](Wide a, Wide b) {
      Wide r = add ? a + b : a - b;
      return sat ? clampTo(t, r) : r;
    });
  }
  if (arithmetic && (op == "min" || op == "max")) {
    bool isMin = op == "min", relu = f.relu;
    return binary([=](Wide a, Wide b) {
      Wide r = isMin ? std::min(a, b) : std::max(a, b);
      return relu ? std::max<Wide>(r, 0) : r;
    });
  }
  if (arithmetic && (op == "div" || op == "rem")) {
    bool rem = op == "rem";
    return [=](uint64_t a, uint64_t b, uint64_t) {
      return divide(t, integerOf(t, a), integerOf(t, b | 1), rem); // the form sets the lowest bit
    };
  }
  if (arithmetic && (op == "mul" || op == "mad") && !f.part.empty()) {
    bool mad = op == "mad", sat = f.sat;
    std::string part = f.part;
    int result = part == "wide" ? 2 * n : n;
    return [=](uint64_t a, uint64_t b, uint64_t c) {
      FormType wide = t;
      wide.bits = result;
      Wide product = integerOf(t, a) * integerOf(t, b);
      // For unsigned 64 bits the product needs all 128 bits; the shift must not copy its top bit.
      Wide r = part == "hi" ? (t.kind == 's' ? product >> n : Wide(UWide(product) >> n)) : product;
      if (part == "hi")
        r = integerOf(t, uint64_t(r));
      Wide sum = r + (mad ? integerOf(wide, c) : 0);
      return uint64_t(sat ? clampTo(t, sum) : sum) & maskOf(result);
    };
  }
  if (arithmetic && (op == "mul24" || op == "mad24")) {
    bool mad = op == "mad24", hi = f.part == "hi", sat = f.sat;
    FormType t24 = t;
    t24.bits = 24;
    return [=](uint64_t a, uint64_t b, uint64_t c) {
      Wide product = integerOf(t24, a) * integerOf(t24, b); // 48 bits
      FormType t32 = t;
      Wide r = integerOf(t32, uint64_t(hi ? product >> 16 : product));
      Wide sum = r + (mad ? integerOf(t, c) : 0);
      return uint64_t(sat ? clampTo(t, sum) : sum) & mask;
    };
  }
  if (arithmetic && op == "sad")
    return [=](uint64_t a, uint64_t b, uint64_t c) {
      Wide d = integerOf(t, a) - integerOf(t, b);
      return uint64_t(integerOf(t, c) + (d < 0 ? -d : d)) & mask;
    };
  if (t.kind == 's' && (op == "neg" || op == "abs")) {
    bool abs = op == "abs";
    return unary([=](uint64_t a) {
      Wide x = integerOf(t, a);
      return uint64_t(abs && x >= 0 ? x : -x) & mask;
    });
  }
  if (bitwise && op == "and")
    return binary([](Wide a, Wide b) { return a & b; });
  if (bitwise && op == "or")
    return binary([](Wide a, Wide b) { return a | b; });
  if (bitwise && op == "xor")
    return binary([](Wide a, Wide b) { return a ^ b; });
  if (bitwise && op == "not")
    return unary([=](uint64_t a) { return ~a & mask; });
  if (bitwise && op == "cnot")
    return unary([](uint64_t a) { return uint64_t(a == 0); });
  if (bitwise && op == "popc")
    return unary([](uint64_t a) {
      uint64_t c = 0;
      for (; a; a >>= 1)
        c += a & 1;
      return c;
    });
  if (bitwise && op == "clz")
    return unary([=](uint64_t a) {
      uint64_t c = uint64_t(n);
      for (; a; a >>= 1)
        --c;
      return c;
    });
  if (bitwise && op == "brev")
    return unary([=](uint64_t a) {
      uint64_t d = 0;
      for (int i = 0; i < n; ++i)
        d |= (a >> i & 1) << (n - 1 - i);
      return d;
    });
  if (arithmetic && op == "bfind") {
    bool shift = f.part == "shiftamt";
    return unary([=](uint64_t a) -> uint64_t {
      if (t.kind == 's' && (a >> (n - 1) & 1))
        a = ~a & mask;
      for (int i = n - 1; i >= 0; --i)
        if (a >> i & 1)
          return uint64_t(shift ? n - 1 - i : i);
      return 0xffffffff;
    });
  }
  if (bitwise && op == "shl")
    return [=](uint64_t a, uint64_t b, uint64_t) {
      return uint32_t(b) >= uint32_t(n) ? 0 : (a << uint32_t(b)) & mask;
    };
  if (op == "shr")
    return [=](uint64_t a, uint64_t b, uint64_t) {
      return uint64_t(integerOf(t, a) >> std::min<uint32_t>(uint32_t(b), uint32_t(n))) & mask;
    };
  if (arithmetic && op == "bfe")
    return [=](uint64_t a, uint64_t b, uint64_t c) {
      int pos = b & 0xff, len = c & 0xff;
      bool sign = t.kind == 's' && len && (a >> std::min(pos + len - 1, n - 1) & 1);
      uint64_t d = 0;
      for (int i = 0; i < n; ++i)
        d |= uint64_t(i < len && pos + i < n ? a >> (pos + i) & 1 : sign) << i;
      return d;
    };
  if (bitwise && op == "bfi") // the form gives 5 as the length
    return [=](uint64_t a, uint64_t b, uint64_t c) {
      uint64_t d = b & mask;
      for (uint64_t i = 0; i < 5 && (c & 0xff) + i < uint64_t(n); ++i)
        d = (d & ~(1ull << ((c & 0xff) + i))) | (a >> i & 1) << ((c & 0xff) + i);
      return d;
    };
  return nullptr;
}

//===-- Floats -----------------------------------------------------------------------------------//

int hostRounding(const std::string &r) {
  return r == "rz" || r == "rzi"   ? FE_TOWARDZERO
         : r == "rm" || r == "rmi" ? FE_DOWNWARD
         : r == "rp" || r == "rpi" ? FE_UPWARD
                                   : FE_TONEAREST;
}

Round quadRounding(const std::string &r) {
  return r == "rz"    ? Round::Zero
         : r == "rm"  ? Round::Down
         : r == "rp"  ? Round::Up
         : r == "rna" ? Round::NearestAway
                      : Round::Nearest;
}

/// An operation of the host's IEEE unit in a rounding mode.
template <class T> T onHost(const std::string &op, T va, T vb, T vc, int mode) {
  volatile T a = va, b = vb, c = vc, r = 0;
  int before = fegetround();
  fesetround(mode);
  if (op == "add")
    r = a + b;
  else if (op == "sub")
    r = a - b;
  else if (op == "mul")
    r = a * b;
  else if (op == "div")
    r = a / b;
  else if (op == "rcp")
    r = T(1) / a;
  else if (op == "sqrt")
    r = std::sqrt(T(a));
  else
    r = std::fma(T(a), T(b), T(c));
  fesetround(before);
  return r;
}

bool isHostOp(const std::string &op) {
  for (const char *o : {"add", "sub", "mul", "div", "rcp", "sqrt", "fma", "mad"})
    if (op == o)
      return true;
  return false;
}

std::function<double(double)> elementaryFunction(const std::string &op) {
  using D = double;
  if (op == "ex2")
    return [](D x) { return std::exp2(x); };
  if (op == "lg2")
    return [](D x) { return std::log2(x); };
  if (op == "sin")
    return [](D x) { return std::sin(x); };
  if (op == "cos")
    return [](D x) { return std::cos(x); };
  if (op == "tanh")
    return [](D x) { return std::tanh(x); };
  if (op == "rcp")
    return [](D x) { return 1 / x; };
  if (op == "rsqrt")
    return [](D x) { return 1 / std::sqrt(x); };
  if (op == "sqrt")
    return [](D x) { return std::sqrt(x); };
  return nullptr;
}

/// Bit patterns of one float part, as classes.
struct Part {
  const FormType &t;
  uint64_t sign() const { return 1ull << (t.bits - 1); }
  uint64_t infinity() const { return ((1ull << t.format.exponent) - 1) << t.format.fraction; }
  uint64_t one() const { return uint64_t(t.format.bias()) << t.format.fraction; }
  bool isNan(uint64_t x) const { return (x & (sign() - 1)) > infinity(); }
  uint64_t nan() const { return sign() - 1; }
  uint64_t flush(uint64_t x) const { return x & infinity() ? x : x & sign(); }
  double value(uint64_t x) const {
    if (t.bits == 64)
      return asDouble(x);
    if (t.bits == 32)
      return asFloat(x);
    Value v = valueOf(x, t.format);
    double m = v.nan ? NAN : v.inf ? INFINITY : double(v.magnitude);
    return v.negative ? -m : m;
  }
  uint64_t fromDouble(double d, Round mode) const {
    if (t.bits == 64)
      return bits<uint64_t>(d);
    if (std::isnan(d))
      return nan();
    if (std::isinf(d))
      return infinity() | (d < 0 ? sign() : 0);
    return roundTo(Quad(d), t.format, mode, std::signbit(d));
  }
};

/// add, sub, mul, fma of a 16-bit format: exact in quadruple precision, then rounded once.
uint64_t narrowOp(const Part &p, const std::string &op, uint64_t a, uint64_t b, uint64_t c) {
  double x = p.value(a), y = p.value(b), z = p.value(c);
  double guide = onHost<double>(op, x, y, z, FE_TONEAREST);
  if (std::isnan(guide) || std::isinf(x) || std::isinf(y) || std::isinf(z))
    return p.fromDouble(guide, Round::Nearest);
  Quad q = op == "add"   ? sticky(Quad(x), Quad(y))
           : op == "sub" ? sticky(Quad(x), -Quad(y))
           : op == "mul" ? Quad(x) * Quad(y)
                         : sticky(Quad(x) * Quad(y), Quad(z));
  return roundTo(q, p.t.format, Round::Nearest, q == 0 && std::signbit(guide));
}

uint64_t extreme(const Part &p, bool isMin, const FormFlags &f, uint64_t a, uint64_t b) {
  uint64_t sign = (a ^ b) & p.sign();
  if (f.xorsign)
    a &= ~p.sign(), b &= ~p.sign();
  uint64_t r;
  if (p.isNan(a) || p.isNan(b)) {
    r = (f.nan || (p.isNan(a) && p.isNan(b))) ? p.nan() : p.isNan(a) ? b : a;
  } else {
    double x = p.value(a), y = p.value(b);
    r = x == y ? (isMin ? a | b : a & b) : (x < y) == isMin ? a : b;
  }
  return f.xorsign && !p.isNan(r) ? (r & ~p.sign()) | sign : r;
}

uint64_t floatPart(const Part &p, const std::string &op, const FormFlags &f, uint64_t a, uint64_t b,
                   uint64_t c) {
  if (f.ftz)
    a = p.flush(a), b = p.flush(b), c = p.flush(c);
  uint64_t r;
  if (op == "neg") {
    r = a ^ p.sign();
  } else if (op == "abs") {
    r = a & ~p.sign();
  } else if (op == "min" || op == "max") {
    r = extreme(p, op == "min", f, a, b);
  } else if (f.rounding == "approx" || f.rounding == "full") {
    auto g = elementaryFunction(op);
    r = p.fromDouble(op == "div" ? p.value(a) / p.value(b) : g(p.value(a)), Round::Nearest);
  } else if (p.t.bits == 64) {
    r = bits<uint64_t>(onHost(op, asDouble(a), asDouble(b), asDouble(c), hostRounding(f.rounding)));
  } else if (p.t.bits == 32) {
    r = bits<uint32_t>(onHost(op, asFloat(a), asFloat(b), asFloat(c), hostRounding(f.rounding)));
  } else {
    r = narrowOp(p, op, a, b, c);
  }
  if (f.ftz && !p.isNan(r))
    r = p.flush(r);
  if (f.sat) // a NaN becomes +0
    r = p.isNan(r) || (r & p.sign()) ? 0 : std::min(r, p.one());
  if (f.relu && !p.isNan(r) && (r & p.sign()))
    r = 0;
  return r;
}

} // namespace

FormOracle arithmeticOracle(const std::string &op, const FormType &t, const FormFlags &f) {
  if (t.kind == 's' || t.kind == 'u' || t.kind == 'b') {
    FormOracle each = integerOracle(op, t, f);
    if (!each || t.parts == 1)
      return each;
    return [=](uint64_t a, uint64_t b, uint64_t c) {
      return each(a, b, c) | each(a >> 16, b >> 16, c >> 16) << 16;
    };
  }
  if (t.kind != 'f')
    return nullptr;
  bool approximate = f.rounding == "approx" || f.rounding == "full";
  bool known = op == "neg" || op == "abs" || op == "min" || op == "max" || op == "div" ||
               (approximate && elementaryFunction(op)) || (!approximate && isHostOp(op));
  if (op == "copysign")
    return [t](uint64_t a, uint64_t b, uint64_t) {
      uint64_t sign = Part{t}.sign();
      return (a & sign) | (b & (sign - 1));
    };
  if (!known)
    return nullptr;
  return [=](uint64_t a, uint64_t b, uint64_t c) {
    uint64_t r = 0;
    for (int i = 0; i < t.parts; ++i) {
      auto part = [&](uint64_t x) { return x >> (t.bits * i) & maskOf(t.bits); };
      r |= floatPart(Part{t}, op, f, part(a), part(b), part(c)) << (t.bits * i);
    }
    return r;
  };
}

FormOracle comparisonOracle(const FormType &t, const FormFlags &f) {
  if (t.parts == 2) { // one predicate for each half
    FormType one = t;
    one.parts = 1;
    FormOracle half = comparisonOracle(one, f);
    return [=](uint64_t a, uint64_t b, uint64_t c) {
      return half(a & 0xffff, b & 0xffff, c) | half(a >> 16, b >> 16, c) << 1;
    };
  }
  static const char *names[] = {"eq",  "ne",  "lt",  "le",  "gt",  "ge", "equ", "neu", "ltu",
                                "leu", "gtu", "geu", "num", "nan", "lo", "ls",  "hi",  "hs"};
  static const int meaning[] = {0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5, 6, 7, 2, 3, 4, 5};
  int index = 0;
  while (index < 18 && f.comparison != names[index])
    ++index;
  if (index == 18 || t.parts > 1 || t.kind == 'o' || t.bits < 16)
    return nullptr;
  bool isFloat = t.kind == 'f', unorderedTrue = index >= 6 && index <= 11;
  // Integers know only the ordered names, unsigned ones lo..hs besides; bits only eq and ne.
  if (!isFloat && ((index >= 6 && index <= 13) || (index >= 14 && t.kind != 'u') ||
                   (t.kind == 'b' && index > 1)))
    return nullptr;
  if (isFloat && index >= 14)
    return nullptr;
  int what = meaning[index];
  return [=](uint64_t a, uint64_t b, uint64_t c) -> uint64_t {
    bool r;
    if (isFloat) {
      Part p{t};
      uint64_t fa = a & maskOf(t.bits), fb = b & maskOf(t.bits);
      if (f.ftz)
        fa = p.flush(fa), fb = p.flush(fb);
      double x = p.value(fa), y = p.value(fb);
      bool un = p.isNan(fa) || p.isNan(fb);
      bool table[] = {x == y, x != y && !un, x<y, x <= y, x> y, x >= y, !un, un};
      r = table[what] || (un && unorderedTrue);
    } else {
      Wide x = integerOf(t, a), y = integerOf(t, b);
      bool table[] = {x == y, x != y, x<y, x <= y, x> y, x >= y};
      r = table[what];
    }
    bool other = c & 1; // the form makes the third operand of its lowest bit
    return f.boolean == "and"   ? r && other
           : f.boolean == "or"  ? r || other
           : f.boolean == "xor" ? r != other
                                : r;
  };
}

namespace {

bool isIntegerRounding(const std::string &r) { return r.size() == 3 && r[2] == 'i'; }

/// Rounds a value to an integer; the host's modes again.
double toIntegral(double x, const std::string &rounding) {
  volatile double v = x;
  int before = fegetround();
  fesetround(hostRounding(rounding));
  double r = std::nearbyint(v);
  fesetround(before);
  return r;
}

uint64_t floatToInteger(const FormType &to, const FormType &from, const FormFlags &f, uint64_t a) {
  Part p{from};
  a &= maskOf(from.bits);
  if (f.ftz)
    a = p.flush(a);
  if (p.isNan(a)) // the manual's table: zero, but for 64-bit types on either side the top bit
    return from.bits == 64 || to.bits == 64 ? 1ull << (to.bits - 1) : 0;
  double r = toIntegral(p.value(a), f.rounding);
  double limit = std::ldexp(1.0, 100);
  Wide v = r >= limit ? Wide(1) << 100 : r <= -limit ? -(Wide(1) << 100) : Wide(r);
  return uint64_t(clampTo(to, v));
}

uint64_t toFloat(const FormType &to, const FormFlags &f, Quad exact, bool negativeZero) {
  if (to.bits == 64) {
    // Only integers come here: the host converts them in the mode asked for.
    return roundTo(exact, to.format, quadRounding(f.rounding), negativeZero);
  }
  return roundTo(exact, to.format, quadRounding(f.rounding), negativeZero, f.satfinite);
}

uint64_t floatToFloat(const FormType &to, const FormType &from, const FormFlags &f, uint64_t a) {
  Part in{from}, out{to};
  a &= maskOf(from.bits);
  bool flushIn = f.ftz && from.bits == 32, flushOut = f.ftz && to.bits == 32;
  if (flushIn)
    a = in.flush(a);
  double x = in.value(a);
  uint64_t r;
  if (in.isNan(a))
    r = out.nan();
  else if (isIntegerRounding(f.rounding))
    r = out.fromDouble(std::copysign(toIntegral(x, f.rounding), x), Round::Nearest);
  else if (std::isinf(x))
    r = f.satfinite ? (out.infinity() - 1) | (x < 0 ? out.sign() : 0)
                    : out.infinity() | (x < 0 ? out.sign() : 0);
  else if (to.bits == 64)
    r = bits<uint64_t>(x);
  else
    r = toFloat(to, f, Quad(x), std::signbit(x));
  if (flushOut && !out.isNan(r))
    r = out.flush(r);
  if (f.sat)
    r = out.isNan(r) || (r & out.sign()) ? 0 : std::min(r, out.one());
  if (f.relu && !out.isNan(r) && (r & out.sign()))
    r = 0;
  return r;
}

} // namespace

FormOracle conversionOracle(const FormType &to, const FormType &from, const FormFlags &f) {
  auto isInteger = [](const FormType &t) { return t.kind == 's' || t.kind == 'u'; };
  static const FormType f32 = [] {
    for (const FormType &t : formTypes())
      if (t.name == "f32")
        return t;
    return FormType{};
  }();
  if (isInteger(to) && isInteger(from))
    return [=](uint64_t a, uint64_t, uint64_t) {
      Wide v = integerOf(from, a);
      if (f.sat)
        v = clampTo(to, v);
      else
        v = integerOf(to, uint64_t(v));
      return uint64_t(v) & maskOf(to.bits < 16 ? 16 : to.bits); // extended to the register
    };
  if (isInteger(to) && from.kind == 'f' && from.parts == 1)
    return [=](uint64_t a, uint64_t, uint64_t) {
      FormType t = to;
      Wide v = integerOf(t, floatToInteger(to, from, f, a));
      return uint64_t(v) & maskOf(to.bits < 16 ? 16 : to.bits);
    };
  if (to.kind == 'f' && to.parts == 1 && isInteger(from))
    return [=](uint64_t a, uint64_t, uint64_t) {
      uint64_t r = toFloat(to, f, Quad(integerOf(from, a)), false);
      return f.sat ? (r >> (to.bits - 1) ? 0 : std::min(r, Part{to}.one())) : r;
    };
  if (to.kind == 'f' && to.parts == 1 && from.kind == 'f' && from.parts == 1)
    return [=](uint64_t a, uint64_t, uint64_t) { return floatToFloat(to, from, f, a); };
  if (to.kind == 'f' && to.parts == 2 && from.name == "f32")
    return [=](uint64_t a, uint64_t b, uint64_t) { // a goes to the upper half
      FormType one = to;
      one.parts = 1;
      return floatToFloat(one, from, f, a) << 16 | floatToFloat(one, from, f, b);
    };
  if (to.name == "tf32" && from.name == "f32")
    return [=](uint64_t a, uint64_t, uint64_t) -> uint64_t {
      float x = asFloat(a);
      if (std::isnan(x))
        return 0x7fffffff;
      if (f.relu && std::signbit(x))
        return 0;
      if (std::isinf(x))
        return f.satfinite ? (a & 0x80000000) | 0x7f7fe000 : uint32_t(a);
      uint64_t r = roundTo(Quad(x), tfloat, quadRounding(f.rounding), std::signbit(x), f.satfinite)
                   << 13;
      return r;
    };
  const bool toE4 = to.name == "e4m3x2", toE5 = to.name == "e5m2x2";
  if (toE4 || toE5) {
    const FloatFormat small = toE4 ? fp8e4m3 : fp8e5m2;
    auto one = [=](double x, bool nan) -> uint64_t {
      if (nan)
        return 0x7f;
      if (f.relu && std::signbit(x))
        return 0;
      double finite = std::isinf(x) ? std::copysign(1e30, x) : x;
      return roundTo(Quad(finite), small, Round::Nearest, std::signbit(x), true);
    };
    if (from.name == "f32")
      return [=](uint64_t a, uint64_t b, uint64_t) {
        return one(asFloat(a), std::isnan(asFloat(a))) << 8 |
               one(asFloat(b), std::isnan(asFloat(b)));
      };
    if (from.name == "f16x2")
      return [=](uint64_t a, uint64_t, uint64_t) {
        FormType h = from;
        h.parts = 1;
        Part p{h};
        uint64_t lo = a & 0xffff, hi = a >> 16 & 0xffff;
        return one(p.value(hi), p.isNan(hi)) << 8 | one(p.value(lo), p.isNan(lo));
      };
    return nullptr;
  }
  if (to.name == "f16x2" && (from.name == "e4m3x2" || from.name == "e5m2x2")) {
    const FloatFormat small = from.name == "e4m3x2" ? fp8e4m3 : fp8e5m2;
    return [=](uint64_t a, uint64_t, uint64_t) {
      uint64_t out = 0;
      for (int i = 0; i < 2; ++i) {
        Value x = valueOf(a >> 8 * i & 0xff, small);
        uint64_t r = x.nan   ? 0x7fff
                     : x.inf ? (x.negative ? 0xfc00 : 0x7c00)
                             : roundTo(x.signedValue(), half, Round::Nearest, x.negative);
        if (f.relu && !x.nan && x.negative)
          r = 0;
        out |= r << 16 * i;
      }
      return out;
    };
  }
  return nullptr;
}

double toleranceOf(const std::string &op, const FormType &t, const FormFlags &f) {
  if (f.rounding != "approx" && f.rounding != "full")
    return 0;
  // Bounds of the manual, or tighter; the emulator computes in double precision.
  if (t.bits == 64)
    return 1 << 24; // rcp.approx.ftz.f64 and rsqrt have 20 bits of a single
  return op == "ex2" || op == "div" ? 2 : 1;
}

bool sameResult(const FormType &t, uint64_t got, uint64_t want, double ulps) {
  if (t.kind != 'f')
    return got == want;
  for (int i = 0; i < t.parts; ++i) {
    Part p{t};
    uint64_t g = got >> (t.bits * i) & maskOf(t.bits), w = want >> (t.bits * i) & maskOf(t.bits);
    if (g == w || (p.isNan(g) && p.isNan(w)))
      continue;
    if (ulps == 0 || p.isNan(g) || p.isNan(w) || ((g ^ w) & p.sign()))
      return false;
    uint64_t distance = g > w ? g - w : w - g;
    if (double(distance) > ulps)
      return false;
  }
  return true;
}

} // namespace attnc::emu::test
