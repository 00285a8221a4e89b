// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Floating-point arithmetic, comparisons and conversions against the quad-precision oracle; see
// InstructionTest.h.
#include "InstructionTest.h"

namespace attnc::emu::test {

/// Wraps an exact quad computation on two or three singles; special values by IEEE rules.
static Oracle singleOp(std::function<Quad(Quad, Quad, Quad)> exact,
                       std::function<float(float, float, float)> ieee, Round mode, bool ftz = false,
                       bool sat = false, bool isSum = false) {
  return [=](uint64_t a, uint64_t b, uint64_t c) -> uint64_t {
    auto flush = [&](uint64_t x) {
      return ftz && !(x & 0x7f800000) ? x & 0x80000000 : x & 0xffffffff;
    };
    a = flush(a), b = flush(b), c = flush(c);
    // The IEEE result tells the class (NaN, infinity, zero and its sign); the quad one the value.
    float guide = ieee(asFloat(a), asFloat(b), asFloat(c));
    uint64_t r;
    bool anySpecial = std::isnan(asFloat(a)) || std::isinf(asFloat(a)) || std::isnan(asFloat(b)) ||
                      std::isinf(asFloat(b)) || std::isnan(asFloat(c)) || std::isinf(asFloat(c));
    if (std::isnan(guide))
      r = 0x7fffffff;
    else if (anySpecial || (std::isinf(guide) && exact(1, 0, 1) != exact(1, 0, 1)))
      r = bits<uint32_t>(guide);
    else {
      Quad x = exact(asFloat(a), asFloat(b), asFloat(c));
      if (x != x || x - x != 0)
        r = bits<uint32_t>(guide);
      else
        r = roundTo(x, single, mode, x == 0 ? std::signbit(guide) : false);
      // A sum that cancels is -0 when rounding down, unless both terms were +0.
      bool bothPlusZero =
          (asFloat(a) == 0 || asFloat(b) == 0) && !((a ^ b) >> 31 & 1) && (c & 0xffffffff) == 0;
      if (isSum && x == 0 && mode == Round::Down && !bothPlusZero)
        r = 0x80000000;
    }
    r = flush(r);
    if (sat)
      r = asFloat(r) > 0 ? (asFloat(r) < 1 ? r : 0x3f800000) : 0;
    return r;
  };
}

TEST_F(Instructions, SinglePrecision) {
  std::vector<Instruction> v;
  struct Mode {
    const char *name;
    Round round;
  };
  for (Mode m : {Mode{"rn", Round::Nearest}, Mode{"rz", Round::Zero}, Mode{"rm", Round::Down},
                 Mode{"rp", Round::Up}}) {
    for (bool ftz : {false, true})
      for (bool sat : {false, true}) {
        std::string s = std::string(".") + m.name + (ftz ? ".ftz" : "") + (sat ? ".sat" : "") +
                        ".f32 $d, $a, $b";
        v.push_back({"mul" + s + ";", "www",
                     singleOp([](Quad a, Quad b, Quad) { return a * b; },
                              [](float a, float b, float) { return a * b; }, m.round, ftz, sat)});
        v.push_back({"fma" + s + ", $c;", "wwww",
                     singleOp([](Quad a, Quad b, Quad c) { return sticky(a * b, c); },
                              [](float a, float b, float c) { return std::fma(a, b, c); }, m.round,
                              ftz, sat, true)});
      }
    std::string s = std::string(".") + m.name + ".f32 $d, $a, $b;";
    v.push_back({"div" + s, "www",
                 singleOp([](Quad a, Quad b, Quad) { return a / b; },
                          [](float a, float b, float) { return a / b; }, m.round)});
    v.push_back({std::string("rcp.") + m.name + ".f32 $d, $a;", "ww",
                 singleOp([](Quad a, Quad, Quad) { return 1 / a; },
                          [](float a, float, float) { return 1 / a; }, m.round)});
  }
  v.push_back({"add.rn.f32 $d, $a, $b;", "www",
               singleOp([](Quad a, Quad b, Quad) { return sticky(a, b); },
                        [](float a, float b, float) { return a + b; }, Round::Nearest)});
  v.push_back({"sub.ftz.f32 $d, $a, $b;", "www",
               singleOp([](Quad a, Quad b, Quad) { return sticky(a, -b); },
                        [](float a, float b, float) { return a - b; }, Round::Nearest, true)});
  v.push_back({"add.rp.f32 $d, $a, $b;", "www",
               singleOp([](Quad a, Quad b, Quad) { return sticky(a, b); },
                        [](float a, float b, float) { return a + b; }, Round::Up)});
  auto extreme = [](bool isMin, bool nanWins) -> Oracle {
    return [=](uint64_t ua, uint64_t ub, uint64_t) -> uint64_t {
      float a = asFloat(ua), b = asFloat(ub);
      if (std::isnan(a) && std::isnan(b))
        return 0x7fffffff;
      if (std::isnan(a) || std::isnan(b))
        return nanWins ? 0x7fffffff : std::isnan(a) ? uint32_t(ub) : uint32_t(ua);
      if (a == 0 && b == 0)
        return isMin ? uint32_t(ua | ub) : uint32_t(ua & ub);
      return (a < b) == isMin ? uint32_t(ua) : uint32_t(ub);
    };
  };
  v.push_back({"min.f32 $d, $a, $b;", "www", extreme(true, false)});
  v.push_back({"max.f32 $d, $a, $b;", "www", extreme(false, false)});
  v.push_back({"max.NaN.f32 $d, $a, $b;", "www", extreme(false, true)});
  v.push_back({"copysign.f32 $d, $a, $b;", "www", [](uint64_t a, uint64_t b, uint64_t) -> uint64_t {
                 return (a & 0x80000000) | (b & 0x7fffffff);
               }});
  static const char *cmps[] = {"eq",  "ne",  "lt",  "le",  "gt",  "ge",  "equ",
                               "neu", "ltu", "leu", "gtu", "geu", "num", "nan"};
  for (int i = 0; i < 14; ++i)
    v.push_back({std::string("setp.") + cmps[i] + ".f32 $d, $a, $b;", "pww",
                 [i](uint64_t ua, uint64_t ub, uint64_t) -> uint64_t {
                   float a = asFloat(ua), b = asFloat(ub);
                   bool un = std::isnan(a) || std::isnan(b);
                   bool base[] = {a == b, a != b && !un, a<b, a <= b, a> b, a >= b};
                   return i < 6 ? base[i] : i < 12 ? base[i - 6] || un : i == 12 ? !un : un;
                 }});
  static const char *props[] = {"finite",     "infinite", "number",
                                "notanumber", "normal",   "subnormal"};
  for (int i = 0; i < 6; ++i)
    v.push_back({std::string("testp.") + props[i] + ".f32 $d, $a;", "pw",
                 [i](uint64_t a, uint64_t, uint64_t) -> uint64_t {
                   int c = std::fpclassify(asFloat(a));
                   bool r[] = {c != FP_NAN && c != FP_INFINITE,
                               c == FP_INFINITE,
                               c != FP_NAN,
                               c == FP_NAN,
                               c == FP_NORMAL,
                               c == FP_SUBNORMAL};
                   return r[i];
                 }});
  check(v);
}

TEST_F(Instructions, ApproximateFunctions) {
  auto f = [](double (*g)(double)) -> Oracle {
    return [g](uint64_t a, uint64_t, uint64_t) -> uint64_t {
      return bits<uint32_t>(float(g(asFloat(a))));
    };
  };
  std::vector<Instruction> v = {
      {"ex2.approx.f32 $d, $a;", "ww", f([](double x) { return std::exp2(x); }), 2},
      {"lg2.approx.f32 $d, $a;", "ww", f([](double x) { return std::log2(x); }), 1},
      {"rcp.approx.f32 $d, $a;", "ww", f([](double x) { return 1 / x; }), 1},
      {"rsqrt.approx.f32 $d, $a;", "ww", f([](double x) { return 1 / std::sqrt(x); }), 1},
      {"sqrt.approx.f32 $d, $a;", "ww", f([](double x) { return std::sqrt(x); }), 1},
      {"sqrt.rn.f32 $d, $a;", "ww", f([](double x) { return std::sqrt(x); }), 1e-9},
      {"tanh.approx.f32 $d, $a;", "ww", f([](double x) { return std::tanh(x); }), 1},
      {"sin.approx.f32 $d, $a;", "ww", f([](double x) { return std::sin(x); }), 1},
      {"cos.approx.f32 $d, $a;", "ww", f([](double x) { return std::cos(x); }), 1},
      {"div.full.f32 $d, $a, $b;", "www",
       [](uint64_t a, uint64_t b, uint64_t) -> uint64_t {
         return bits<uint32_t>(asFloat(a) / asFloat(b));
       },
       2}};
  check(v);
}

TEST_F(Instructions, DoublePrecision) {
  auto g = [](double (*h)(double, double, double)) -> Oracle {
    return [h](uint64_t a, uint64_t b, uint64_t c) -> uint64_t {
      return bits<uint64_t>(h(asDouble(a), asDouble(b), asDouble(c)));
    };
  };
  // NaN payloads of doubles are not specified; make every NaN the same before comparing.
  std::string nan = " testp.notanumber.f64 %p1, $d; selp.b64 $d, -1, $d, %p1;";
  auto canon = [](Oracle o) -> Oracle {
    return [o](uint64_t a, uint64_t b, uint64_t c) {
      uint64_t r = o(a, b, c);
      return std::isnan(asDouble(r)) ? ~0ull : r;
    };
  };
  check({{"add.rn.f64 $d, $a, $b;" + nan, "ddd",
          canon(g([](double a, double b, double) { return a + b; }))},
         {"mul.rn.f64 $d, $a, $b;" + nan, "ddd",
          canon(g([](double a, double b, double) { return a * b; }))},
         {"fma.rn.f64 $d, $a, $b, $c;" + nan, "dddd",
          canon(g([](double a, double b, double c) { return std::fma(a, b, c); }))},
         {"div.rn.f64 $d, $a, $b;" + nan, "ddd",
          canon(g([](double a, double b, double) { return a / b; }))},
         {"sqrt.rn.f64 $d, $a;" + nan, "dd",
          canon(g([](double a, double, double) { return std::sqrt(a); }))}});
}

/// 16-bit formats, one or two to a register.
static Oracle narrow(const FloatFormat &f, bool packed, std::function<Quad(Quad, Quad, Quad)> exact,
                     bool hasC = false) {
  return [=](uint64_t a, uint64_t b, uint64_t c) -> uint64_t {
    uint64_t out = 0;
    for (int h = 0; h < (packed ? 2 : 1); ++h) {
      Value x = valueOf(a >> 16 * h & 0xffff, f), y = valueOf(b >> 16 * h & 0xffff, f),
            z = hasC ? valueOf(c >> 16 * h & 0xffff, f) : Value();
      auto host = [](const Value &q) {
        return q.nan   ? NAN
               : q.inf ? (q.negative ? -INFINITY : INFINITY)
                       : double(q.signedValue()) * (q.magnitude == 0 && q.negative ? -1 : 1);
      };
      auto real = [&](const Value &q) {
        double d = host(q);
        return q.magnitude == 0 && q.negative && !q.nan && !q.inf ? -0.0 : d;
      };
      double guide = double(exact(real(x), real(y), hasC ? real(z) : 0.0));
      uint64_t r;
      if (std::isnan(guide))
        r = 0x7fff;
      else if (x.inf || y.inf || z.inf)
        r = (guide < 0 ? 1u << 15 : 0) | ((1u << f.exponent) - 1) << f.fraction;
      else {
        Quad q = exact(x.signedValue(), y.signedValue(), z.signedValue());
        bool negativeZero = q == 0 && std::signbit(guide);
        r = roundTo(q, f, Round::Nearest, negativeZero);
      }
      out |= r << 16 * h;
    }
    return out;
  };
}

TEST_F(Instructions, HalfPrecision) {
  std::vector<Instruction> v;
  auto add = [](Quad a, Quad b, Quad) { return sticky(a, b); };
  auto sub = [](Quad a, Quad b, Quad) { return sticky(a, -b); };
  auto mul = [](Quad a, Quad b, Quad) { return a * b; };
  auto fma = [](Quad a, Quad b, Quad c) { return sticky(a * b, c); };
  v.push_back({"add.f16 $d, $a, $b;", "hhh", narrow(half, false, add)});
  v.push_back({"sub.f16 $d, $a, $b;", "hhh", narrow(half, false, sub)});
  v.push_back({"mul.f16 $d, $a, $b;", "hhh", narrow(half, false, mul)});
  v.push_back({"fma.rn.f16 $d, $a, $b, $c;", "hhhh", narrow(half, false, fma, true)});
  v.push_back({"add.f16x2 $d, $a, $b;", "www", narrow(half, true, add)});
  v.push_back({"mul.f16x2 $d, $a, $b;", "www", narrow(half, true, mul)});
  v.push_back({"fma.rn.f16x2 $d, $a, $b, $c;", "wwww", narrow(half, true, fma, true)});
  v.push_back({"fma.rn.bf16x2 $d, $a, $b, $c;", "wwww", narrow(bfloat, true, fma, true)});
  v.push_back({"fma.rn.bf16 $d, $a, $b, $c;", "hhhh", narrow(bfloat, false, fma, true)});
  for (bool isMin : {true, false})
    for (bool isHalf : {true, false})
      v.push_back(
          {std::string(isMin ? "min" : "max") + (isHalf ? ".f16x2" : ".bf16x2") + " $d, $a, $b;",
           "www", [=](uint64_t a, uint64_t b, uint64_t) -> uint64_t {
             uint64_t out = 0;
             for (int h = 0; h < 2; ++h) {
               uint64_t xb = a >> 16 * h & 0xffff, yb = b >> 16 * h & 0xffff, r;
               Value x = valueOf(xb, isHalf ? half : bfloat),
                     y = valueOf(yb, isHalf ? half : bfloat);
               auto key = [](const Value &q) {
                 return q.inf ? (q.negative ? Quad(-1e300) : Quad(1e300)) : q.signedValue();
               };
               if (x.nan || y.nan)
                 r = x.nan && y.nan ? 0x7fff : x.nan ? yb : xb;
               else if (key(x) == key(y))
                 r = isMin ? xb | yb : xb & yb;
               else
                 r = (key(x) < key(y)) == isMin ? xb : yb;
               out |= r << 16 * h;
             }
             return out;
           }});
  check(v);
}

/// The double nearest to an exact value, for classifying; conversions from singles.
static uint64_t convertSingle(uint64_t a, const FloatFormat &f, Round mode, bool satfinite = false,
                              uint64_t nan = 0x7fff) {
  float x = asFloat(a);
  if (std::isnan(x))
    return nan;
  if (std::isinf(x))
    return satfinite ? roundTo(x > 0 ? Quad(1e30) : Quad(-1e30), f, mode, false, true)
                     : (x < 0 ? 1ull << (f.exponent + f.fraction) : 0) | ((1ull << f.exponent) - 1)
                                                                             << f.fraction;
  return roundTo(x, f, mode, std::signbit(x), satfinite);
}

TEST_F(Instructions, Conversions) {
  std::vector<Instruction> v;
  auto one = [&](const char *text, const char *w, std::function<uint64_t(uint64_t)> f) {
    v.push_back({text, w, [f](uint64_t a, uint64_t, uint64_t) { return f(a); }});
  };
  one("cvt.rn.f16.f32 $d, $a;", "hw",
      [](uint64_t a) { return convertSingle(a, half, Round::Nearest); });
  one("cvt.rz.f16.f32 $d, $a;", "hw",
      [](uint64_t a) { return convertSingle(a, half, Round::Zero); });
  one("cvt.rn.bf16.f32 $d, $a;", "hw",
      [](uint64_t a) { return convertSingle(a, bfloat, Round::Nearest); });
  one("cvt.rz.bf16.f32 $d, $a;", "hw",
      [](uint64_t a) { return convertSingle(a, bfloat, Round::Zero); });
  one("cvt.rna.tf32.f32 $d, $a;", "ww", [](uint64_t a) {
    return std::isnan(asFloat(a)) ? 0x7fffffffull
                                  : convertSingle(a, tfloat, Round::NearestAway) << 13;
  });
  auto widen = [](uint64_t a, const FloatFormat &f) -> uint64_t {
    Value x = valueOf(a & 0xffff, f);
    if (x.nan)
      return 0x7fffffff;
    return bits<uint32_t>((x.inf ? INFINITY : float(x.magnitude)) * (x.negative ? -1.0f : 1.0f));
  };
  one("cvt.f32.f16 $d, $a;", "wh", [=](uint64_t a) { return widen(a, half); });
  one("cvt.f32.bf16 $d, $a;", "wh", [=](uint64_t a) { return widen(a, bfloat); });
  for (bool isHalf : {true, false})
    for (bool relu : {false, true})
      v.push_back({std::string("cvt.rn") + (relu ? ".relu" : "") + (isHalf ? ".f16x2" : ".bf16x2") +
                       ".f32 $d, $a, $b;",
                   "www", [=](uint64_t a, uint64_t b, uint64_t) {
                     auto clean = [&](uint64_t x) {
                       return relu && !std::isnan(asFloat(x)) && std::signbit(asFloat(x)) ? 0 : x;
                     };
                     const FloatFormat &f = isHalf ? half : bfloat;
                     return convertSingle(clean(a), f, Round::Nearest) << 16 |
                            convertSingle(clean(b), f, Round::Nearest);
                   }});
  // Float to integer: round, clamp, NaN to zero (or the most negative value for 64 bits).
  struct ToInt {
    const char *type;
    int width;
    bool sign;
  };
  struct Mode {
    const char *name;
    Round r;
  };
  for (ToInt t : {ToInt{"s32", 32, true}, ToInt{"u32", 32, false}, ToInt{"s64", 64, true},
                  ToInt{"u64", 64, false}})
    for (Mode m : {Mode{"rzi", Round::Zero}, Mode{"rni", Round::Nearest}, Mode{"rmi", Round::Down},
                   Mode{"rpi", Round::Up}})
      v.push_back({std::string("cvt.") + m.name + "." + t.type + ".f32 $d, $a;",
                   t.width == 64 ? "dw" : "ww", [=](uint64_t a, uint64_t, uint64_t) -> uint64_t {
                     float x = asFloat(a);
                     if (std::isnan(x))
                       return t.width == 64 ? 1ull << 63 : 0;
                     double r = m.r == Round::Zero      ? std::trunc(x)
                                : m.r == Round::Nearest ? std::nearbyint(double(x))
                                : m.r == Round::Down    ? std::floor(x)
                                                        : std::ceil(x);
                     Quad lo = t.sign ? -power(t.width - 1) : Quad(0),
                          hi = (t.sign ? power(t.width - 1) : power(t.width)) - 1;
                     Quad q = r < -1e30 ? Quad(-1e30) : r > 1e30 ? Quad(1e30) : Quad(r);
                     q = q < lo ? lo : q > hi ? hi : q;
                     uint64_t u = q < 0 ? 0 - uint64_t(-q) : uint64_t(q);
                     return t.width == 64 ? u : u & 0xffffffff;
                   }});
  one("cvt.rn.f32.s32 $d, $a;", "ww",
      [](uint64_t a) { return roundTo(Quad(int32_t(a)), single, Round::Nearest); });
  one("cvt.rz.f32.u32 $d, $a;", "ww",
      [](uint64_t a) { return roundTo(Quad(uint32_t(a)), single, Round::Zero); });
  one("cvt.rn.f32.s64 $d, $a;", "wd",
      [](uint64_t a) { return roundTo(Quad(int64_t(a)), single, Round::Nearest); });
  one("cvt.rp.f32.u64 $d, $a;", "wd",
      [](uint64_t a) { return roundTo(Quad(a), single, Round::Up); });
  one("cvt.rn.f64.u64 $d, $a;", "dd", [](uint64_t a) { return bits<uint64_t>(double(a)); });
  one("cvt.rn.f16.s32 $d, $a;", "hw",
      [](uint64_t a) { return roundTo(Quad(int32_t(a)), half, Round::Nearest); });
  one("cvt.rn.f32.f64 $d, $a;", "wd", [](uint64_t a) -> uint64_t {
    float f = float(asDouble(a));
    return std::isnan(f) ? 0x7fffffff : bits<uint32_t>(f);
  });
  one("cvt.f64.f32 $d, $a; testp.notanumber.f64 %p1, $d; selp.b64 $d, 0, $d, %p1;", "dw",
      [](uint64_t a) -> uint64_t {
        float f = asFloat(a);
        return std::isnan(f) ? 0 : bits<uint64_t>(double(f));
      });
  one("cvt.sat.f32.f32 $d, $a;", "ww", [](uint64_t a) -> uint64_t {
    float f = asFloat(a);
    return bits<uint32_t>(f > 0 ? (f < 1 ? f : 1.0f) : 0.0f);
  });
  one("cvt.rni.f32.f32 $d, $a;", "ww", [](uint64_t a) -> uint64_t {
    float f = std::nearbyint(asFloat(a));
    return std::isnan(f) ? 0x7fffffff : bits<uint32_t>(f);
  });
  one("cvt.u64.u32 $d, $a;", "dw", [](uint64_t a) { return a; });
  one("cvt.s64.s32 $d, $a;", "dw", [](uint64_t a) { return uint64_t(int64_t(int32_t(a))); });
  one("cvt.s32.s8 $d, $a;", "ww",
      [](uint64_t a) -> uint64_t { return uint32_t(int32_t(int8_t(a))); });
  one("cvt.u32.u16 $d, $a;", "wh", [](uint64_t a) { return a; });
  one("cvt.s32.s16 $d, $a;", "wh",
      [](uint64_t a) -> uint64_t { return uint32_t(int32_t(int16_t(a))); });
  one("cvt.sat.s8.s32 $d, $a;", "ww", [](uint64_t a) -> uint64_t {
    int32_t x = int32_t(a);
    return uint32_t(x > 127 ? 127 : x < -128 ? -128 : x);
  });
  one("cvt.sat.u8.s32 $d, $a;", "ww", [](uint64_t a) -> uint64_t {
    int32_t x = int32_t(a);
    return uint32_t(x > 255 ? 255 : x < 0 ? 0 : x);
  });
  one("cvt.sat.s32.s64 $d, $a;", "wd", [](uint64_t a) -> uint64_t {
    int64_t x = int64_t(a);
    return uint32_t(x > INT32_MAX ? INT32_MAX : x < INT32_MIN ? INT32_MIN : x);
  });
  check(v);
}

class Sm89Instructions : public Instructions {
protected:
  Sm89Instructions() : Instructions("sm_89") {}
};

TEST_F(Sm89Instructions, Fp8Conversions) {
  std::vector<Instruction> v;
  for (bool e4 : {true, false}) {
    const FloatFormat &f = e4 ? fp8e4m3 : fp8e5m2;
    std::string name = e4 ? "e4m3x2" : "e5m2x2";
    v.push_back({"cvt.rn.satfinite." + name + ".f32 $d, $a, $b;", "hww",
                 [=](uint64_t a, uint64_t b, uint64_t) {
                   return convertSingle(a, f, Round::Nearest, true, 0x7f) << 8 |
                          convertSingle(b, f, Round::Nearest, true, 0x7f);
                 }});
    v.push_back({"cvt.rn.f16x2." + name + " $d, $a;", "wh", [=](uint64_t a, uint64_t, uint64_t) {
                   uint64_t out = 0;
                   for (int i = 0; i < 2; ++i) {
                     Value x = valueOf(a >> 8 * i & 0xff, f);
                     out |= (x.nan   ? 0x7fff
                             : x.inf ? (x.negative ? 0xfc00 : 0x7c00)
                                     : roundTo(x.signedValue(), half, Round::Nearest, x.negative))
                            << 16 * i;
                   }
                   return out;
                 }});
  }
  check(v, "8.1");
}

class Sm90Instructions : public Instructions {
protected:
  Sm90Instructions() : Instructions("sm_90") {}
};

TEST_F(Sm90Instructions, Bfloat) {
  auto add = [](Quad a, Quad b, Quad) { return sticky(a, b); };
  auto mul = [](Quad a, Quad b, Quad) { return a * b; };
  check({{"add.bf16x2 $d, $a, $b;", "www", narrow(bfloat, true, add)},
         {"mul.bf16 $d, $a, $b;", "hhh", narrow(bfloat, false, mul)}});
}

} // namespace attnc::emu::test
