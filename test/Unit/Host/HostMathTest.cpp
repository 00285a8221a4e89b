// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Elementary functions of map regions, on vectors of every width, against the C library in double.
#include "HostHarness.h"
#include "gtest/gtest.h"
#include <cfloat>
#include <cstring>

using namespace attnc;
using namespace attnc::testing;

namespace {

/// A kernel that applies `body` (which defines %y from %x and %c, the element and a copy of it) to
/// 16x32 tiles.
std::string mapKernel(const std::string &body) {
  return substitute(R"(
module {
  tile.kernel @apply(%X: !tile.view<2xf32, unit> {tile.binding = "tensor:X", tile.axes = ["q", "32"]},
                     %Y: !tile.view<2xf32, unit> {tile.binding = "tensor:Y", tile.axes = ["q", "32"], tile.output},
                     %n: i32 {tile.binding = "size:q"})
      attributes {grid_spaces = ["q", "q", "q"], grid_tiles = array<i64: 16, 1048576, 1048576>, num_warps = 4 : i32} {
    %c0 = arith.constant 0 : i32
    %c16 = arith.constant 16 : i32
    %pid = tile.program_id 0
    %row = arith.muli %pid, %c16 : i32
    %t = tile.load %X[] rows 0 from %row to %n cols 32 : !tile.view<2xf32, unit> -> !tile.tile<16x32xf32>
    %u = tile.map(%t) at(%row, %c0) {
    ^bb0(%x: f32, %i: i32, %j: i32):
      $BODY
      tile.yield %y : f32
    } : (!tile.tile<16x32xf32>) -> !tile.tile<16x32xf32>
    tile.store %u, %Y[] rows 0 from %row to %n cols 32 : !tile.tile<16x32xf32>, !tile.view<2xf32, unit>
    tile.return
  }
})",
                    {{"BODY", body}});
}

/// The same of %x and %x2, the elements of two tensors.
std::string mapKernel2(const std::string &body) {
  return substitute(R"(
module {
  tile.kernel @apply(%X: !tile.view<2xf32, unit> {tile.binding = "tensor:X", tile.axes = ["q", "32"]},
                     %X2: !tile.view<2xf32, unit> {tile.binding = "tensor:X2", tile.axes = ["q", "32"]},
                     %Y: !tile.view<2xf32, unit> {tile.binding = "tensor:Y", tile.axes = ["q", "32"], tile.output},
                     %n: i32 {tile.binding = "size:q"})
      attributes {grid_spaces = ["q", "q", "q"], grid_tiles = array<i64: 16, 1048576, 1048576>, num_warps = 4 : i32} {
    %c0 = arith.constant 0 : i32
    %c16 = arith.constant 16 : i32
    %pid = tile.program_id 0
    %row = arith.muli %pid, %c16 : i32
    %t = tile.load %X[] rows 0 from %row to %n cols 32 : !tile.view<2xf32, unit> -> !tile.tile<16x32xf32>
    %t2 = tile.load %X2[] rows 0 from %row to %n cols 32 : !tile.view<2xf32, unit> -> !tile.tile<16x32xf32>
    %u = tile.map(%t, %t2) at(%row, %c0) {
    ^bb0(%x: f32, %x2: f32, %i: i32, %j: i32):
      $BODY
      tile.yield %y : f32
    } : (!tile.tile<16x32xf32>, !tile.tile<16x32xf32>) -> !tile.tile<16x32xf32>
    tile.store %u, %Y[] rows 0 from %row to %n cols 32 : !tile.tile<16x32xf32>, !tile.view<2xf32, unit>
    tile.return
  }
})",
                    {{"BODY", body}});
}

/// `second` is empty for a function of one number.
std::vector<float> apply(const std::string &body, std::vector<float> values, HostISA isa,
                         std::vector<float> second = {}) {
  HostCompileOptions options;
  options.isa = isa;
  options.verify = true;
  CompiledHost compiled = compileText(second.empty() ? mapKernel(body) : mapKernel2(body), options);
  EXPECT_TRUE(compiled.kernel) << compiled.error;
  if (!compiled.kernel)
    return {};
  size_t count = values.size();
  values.resize((count + 31) / 32 * 32);
  std::vector<float> result(values.size());
  TensorView x, y;
  x.shape = y.shape = {int64_t(values.size() / 32), 32};
  x.strides = y.strides = {32, 1};
  x.data = values.data();
  y.data = result.data();
  LaunchInputs inputs{{{"X", x}, {"Y", y}}, {}};
  if (!second.empty()) {
    second.resize(values.size());
    x.data = second.data();
    inputs.tensors["X2"] = x;
  }
  HostLauncher launcher(1);
  EXPECT_EQ(launcher.launch(compiled.object.program, {compiled.kernel}, inputs).message(), "");
  result.resize(count);
  return result;
}

std::vector<HostISA> levels() {
  std::vector<HostISA> result;
  for (HostISA isa :
       {HostISA::Generic, HostISA::AVX2, HostISA::AVX512, HostISA::AVX512BF16, HostISA::AMX})
    if (isa <= HostFeatures::native().isa)
      result.push_back(isa);
  return result;
}

struct Function {
  const char *op;
  double (*exact)(double);
  float low, high;
  double bound; ///< relative error
};

double relative(double found, double exact) {
  if (std::isnan(exact))
    return std::isnan(found) ? 0 : INFINITY;
  if (std::isinf(exact) || exact == 0)
    return found == exact ? 0 : INFINITY;
  return std::abs(found - exact) / std::abs(exact);
}

class HostMath : public ::testing::TestWithParam<Function> {};

TEST_P(HostMath, IsAccurate) {
  const Function &function = GetParam();
  std::vector<float> values;
  std::mt19937 engine(3);
  std::uniform_real_distribution<float> wide(function.low, function.high), narrow(-1, 1);
  for (int i = 0; i < 20000; ++i)
    values.push_back(wide(engine));
  for (int i = 0; i < 2000; ++i)
    values.push_back(std::max(function.low, narrow(engine) * 1e-3f));
  for (HostISA isa : levels()) {
    SCOPED_TRACE(stringifyHostISA(isa).str());
    std::string body = std::string("%y = math.") + function.op + " %x : f32";
    std::vector<float> found = apply(body, values, isa);
    ASSERT_EQ(found.size(), values.size());
    double worst = 0;
    float at = 0;
    for (size_t i = 0; i < values.size(); ++i) {
      double error = relative(found[i], function.exact(values[i]));
      if (error > worst)
        worst = error, at = values[i];
    }
    EXPECT_LE(worst, function.bound) << "at " << at;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Functions, HostMath,
    ::testing::Values(Function{"exp2", [](double x) { return std::exp2(x); }, -125, 127, 2e-7},
                      Function{"exp", [](double x) { return std::exp(x); }, -87, 88, 2.5e-7},
                      Function{"log2", [](double x) { return std::log2(x); }, 1e-30f, 100, 4e-7},
                      Function{"log", [](double x) { return std::log(x); }, 1e-30f, 100, 4e-7},
                      Function{"tanh", [](double x) { return std::tanh(x); }, -10, 10, 2.5e-7},
                      Function{"sin", [](double x) { return std::sin(x); }, -3, 3, 2e-7},
                      Function{"cos", [](double x) { return std::cos(x); }, -1.5, 1.5, 2e-7},
                      Function{"sqrt", [](double x) { return std::sqrt(x); }, 0, 1e30f, 6e-8},
                      Function{"rsqrt", [](double x) { return 1 / std::sqrt(x); }, 1e-30f, 1e30f,
                               2e-7},
                      Function{"floor", [](double x) { return std::floor(x); }, -1e5f, 1e5f, 0},
                      Function{"ceil", [](double x) { return std::ceil(x); }, -1e5f, 1e5f, 0}),
    [](const auto &info) { return info.param.op; });

/// `found` is `exact` rounded to f32, but for `bound` of it, and where there is no digit less.
/// Results below it are 0 (HostLauncher.cpp).
constexpr double kLeastNormal = 0x1p-126;

void expectClose(float found, double exact, double bound, const std::string &what) {
  float rounded = static_cast<float>(exact);
  if (std::isnan(exact))
    EXPECT_TRUE(std::isnan(found)) << what << " = " << found;
  else if (std::isinf(rounded) || exact == 0)
    EXPECT_TRUE(found == rounded ||
                (exact != 0 && std::isfinite(exact) && std::abs(found) > 0x1.fffffap127f))
        << what << " = " << found << ", not " << rounded;
  else
    EXPECT_LE(std::abs(found - exact), std::max(bound * std::abs(exact), kLeastNormal)) << what;
  if (!std::isnan(exact) && rounded == 0)
    EXPECT_EQ(std::signbit(found), std::signbit(rounded)) << what;
}

/// Bit patterns of all kinds: the numbers that C's pow says something about, and any others.
std::vector<float> anyNumbers(size_t count, unsigned seed) {
  std::mt19937 engine(seed);
  std::vector<float> values;
  for (size_t i = 0; i < count; ++i) {
    uint32_t bits = engine();
    float value;
    std::memcpy(&value, &bits, 4);
    values.push_back(value);
  }
  return values;
}

TEST(HostMathSpecial, Powers) {
  const float special[] = {
      0.0f,        -0.0f,       1.0f,        -1.0f,       INFINITY,   -INFINITY,   NAN,
      0.5f,        -0.5f,       2.0f,        -2.0f,       3.0f,       -3.0f,       2.5f,
      -2.5f,       1e-40f,      -1e-40f,     0x1p-149f,   FLT_MAX,    -FLT_MAX,    FLT_MIN,
      16777215.0f, 16777216.0f, -8388609.0f, 0.99999994f, 1.0000001f, -1.0000001f, 10000.0f,
      127.0f,      -149.0f,     -150.0f,     128.0f};
  std::vector<float> x, y;
  for (float a : special)
    for (float b : special)
      x.push_back(a), y.push_back(b);
  // Any two numbers: nearly all results are 0, infinite or 1.
  for (float a : anyNumbers(40000, 1))
    x.push_back(a);
  for (float b : anyNumbers(40000, 2))
    y.push_back(b);
  // Bases of any size with exponents that keep results within f32, integral ones among them.
  std::mt19937 engine(3);
  std::uniform_real_distribution<float> unit(-1, 1);
  for (float a : anyNumbers(80000, 4)) {
    float most = 150 / std::max(std::abs(std::log2(std::abs(a))), 1e-7f);
    float b = unit(engine) * std::min(most, 1e9f);
    x.push_back(a);
    y.push_back(engine() % 2 ? b : std::round(b));
  }
  // Bases next to 1.
  for (int i = 0; i < 20000; ++i) {
    x.push_back(1 + unit(engine) * 1e-3f);
    y.push_back(unit(engine) * 1e5f);
  }
  for (HostISA isa : levels()) {
    SCOPED_TRACE(stringifyHostISA(isa).str());
    std::vector<float> found = apply("%y = math.powf %x, %x2 : f32", x, isa, y);
    ASSERT_EQ(found.size(), x.size());
    for (size_t i = 0; i < x.size() && !::testing::Test::HasFailure(); ++i)
      expectClose(found[i], std::pow(double(x[i]), double(y[i])), 2e-7,
                  "pow(" + std::to_string(x[i]) + ", " + std::to_string(y[i]) + ")");
  }
}

TEST(HostMathSpecial, RoundsAnyNumber) {
  std::vector<float> values = anyNumbers(20000, 7);
  std::mt19937 engine(8);
  for (int i = 0; i < 20000; ++i)
    values.push_back(std::uniform_int_distribution<int>(-40, 40)(engine) * 0.25f);
  for (float value : {0.0f, -0.0f, 0.49999997f, 8388607.5f, 8388608.0f, -8388607.5f, 4194304.5f,
                      INFINITY, -INFINITY, NAN, 1e-40f, -1e-40f})
    values.push_back(value);
  for (HostISA isa : levels()) {
    SCOPED_TRACE(stringifyHostISA(isa).str());
    std::vector<float> floors = apply("%y = math.floor %x : f32", values, isa),
                       ceils = apply("%y = math.ceil %x : f32", values, isa),
                       nearest = apply("%y = math.roundeven %x : f32", values, isa);
    for (size_t i = 0; i < values.size() && !::testing::Test::HasFailure(); ++i) {
      std::string what = std::to_string(values[i]);
      expectClose(floors[i], std::floor(values[i]), 0, "floor " + what);
      expectClose(ceils[i], std::ceil(values[i]), 0, "ceil " + what);
      expectClose(nearest[i], std::nearbyint(values[i]), 0, "roundeven " + what);
    }
  }
}

// Positions of a long context times frequencies, beyond what one double of pi / 2 can reduce, and
// beyond what two can.
TEST(HostMathSpecial, SinesOfLargeNumbers) {
  std::vector<float> values{0.0f, 1e-30f, 1.5707964f, 3.1415927f, 1e5f,     -131072.0f,
                            1e9f, 1e12f,  -1e13f,     1e30f,      INFINITY, NAN};
  std::mt19937 engine(5);
  for (float range : {1e3f, 1e6f, 1e9f, 1e12f})
    for (int i = 0; i < 5000; ++i)
      values.push_back(std::uniform_real_distribution<float>(-range, range)(engine));
  // Beyond what two doubles can reduce; 16367173 * 2^72 is next to a multiple of pi / 2.
  values.push_back(0x1.f37d0ap95f);
  for (float value : anyNumbers(20000, 9))
    values.push_back(value);
  for (HostISA isa : levels())
    for (bool cosine : {false, true}) {
      SCOPED_TRACE(stringifyHostISA(isa).str() + (cosine ? " cos" : " sin"));
      std::vector<float> found =
          apply(cosine ? "%y = math.cos %x : f32" : "%y = math.sin %x : f32", values, isa);
      ASSERT_EQ(found.size(), values.size());
      for (size_t i = 0; i < values.size(); ++i) {
        double exact = cosine ? std::cos(double(values[i])) : std::sin(double(values[i]));
        if (std::abs(values[i]) > 0x1p-120f || exact == 0 || cosine) // a denormal has fewer digits
          ASSERT_LE(relative(found[i], exact), 3e-7) << values[i];
      }
    }
}

TEST(HostMathSpecial, Values) {
  const float inf = INFINITY, nan = NAN, denormal = 1e-40f;
  struct Case {
    const char *op;
    float x, y;
  };
  for (HostISA isa : levels()) {
    SCOPED_TRACE(stringifyHostISA(isa).str());
    for (Case c : std::initializer_list<Case>{{"exp2", 0, 1},
                                              {"exp2", -inf, 0},
                                              {"exp2", inf, inf},
                                              {"exp2", nan, nan},
                                              {"exp2", 200, inf},
                                              {"exp2", -200, 0},
                                              {"exp2", -126, 0x1p-126f},
                                              {"exp2", -149, 0},
                                              {"exp2", 127, 0x1p127f},
                                              {"exp2", -1e38f, 0},
                                              {"exp", 0, 1},
                                              {"exp", -inf, 0},
                                              {"exp", inf, inf},
                                              {"exp", nan, nan},
                                              {"exp", 100, inf},
                                              {"exp", -200, 0},
                                              {"log2", 0, -inf},
                                              {"log2", -0.0f, -inf},
                                              {"log2", -1, nan},
                                              {"log2", inf, inf},
                                              {"log2", nan, nan},
                                              {"log2", 1, 0},
                                              {"log2", 8, 3},
                                              {"log2", 0x1p-149f, -149},
                                              {"log", 0, -inf},
                                              {"log", inf, inf},
                                              {"log", 1, 0},
                                              {"tanh", 0, 0},
                                              {"tanh", inf, 1},
                                              {"tanh", -inf, -1},
                                              {"tanh", nan, nan},
                                              {"tanh", denormal, 0}}) {
      std::vector<float> found =
          apply(std::string("%y = math.") + c.op + " %x : f32", std::vector<float>(32, c.x), isa);
      for (float y : found)
        EXPECT_TRUE(y == c.y || (std::isnan(y) && std::isnan(c.y)))
            << c.op << "(" << c.x << ") = " << y;
    }
  }
}

TEST(HostMathSpecial, IntegerDivision) {
  std::vector<float> values;
  for (int a : {0, 1, -1, 7, -7, 8, -8, 1000003, -1000003, INT32_MIN})
    values.push_back(float(a));
  for (HostISA isa : levels()) {
    SCOPED_TRACE(stringifyHostISA(isa).str());
    for (int b : {1, 3, -3, 4, 0, -1, 65536, INT32_MIN}) {
      auto run = [&](const char *op) {
        return apply(substitute("%a = arith.fptosi %x : f32 to i32\n %b = arith.constant $B : i32\n"
                                "%q = arith.$OP %a, %b : i32\n %y = arith.sitofp %q : i32 to f32",
                                {{"B", std::to_string(b)}, {"OP", op}}),
                     values, isa);
      };
      std::vector<float> truncated = run("divsi"), floored = run("floordivsi"), rest = run("remsi");
      for (size_t i = 0; i < values.size(); ++i) {
        // In 64 bits, and then wrapped around: the smallest int by -1.
        auto wrap = [](int64_t v) { return float(int32_t(uint32_t(uint64_t(v)))); };
        int64_t a = int64_t(values[i]), q = b ? a / b : 0;
        EXPECT_EQ(truncated[i], wrap(q)) << a << " / " << b;
        EXPECT_EQ(rest[i], wrap(a - q * b)) << a << " % " << b;
        EXPECT_EQ(floored[i], b ? wrap(int64_t(std::floor(double(a) / b))) : 0) << a << " // " << b;
      }
    }
  }
}

} // namespace
