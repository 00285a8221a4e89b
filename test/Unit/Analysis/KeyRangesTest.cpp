// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Key ranges against brute force: masks of the gallery and random masks, on random lengths, tiles,
// parameters and tensor contents. For each tile of rows and each key,
//
//   a key that some row attends to lies inside `may` of some range;
//   a key inside `must` of some range is attended to by every row;
//   where the analysis calls itself exact, `may` of a one-row tile holds only keys that the row
//   attends to (gallery, positive and moderate parameters: a divisor that is not positive, or a sum
//   that wraps, makes it visit every key).
//
// The mask is evaluated by a small interpreter of its own, in 32-bit arithmetic that wraps.
#include "attnc/Analysis/KeyRanges.h"
#include "attnc/Frontend/Frontend.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/MLIRContext.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MemoryBuffer.h"
#include "gtest/gtest.h"
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

using namespace mlir;
using namespace attnc;

namespace {

constexpr int64_t kBatch = 2, kHeads = 4, kGroups = 2, kHeadDim = 64;

/// What a mask is evaluated at.
struct Point {
  int64_t b = 0, h = 0, row = 0, kv = 0;
};

/// Launch-time values of one trial.
struct Launch {
  int64_t queries = 0, keys = 0;
  uint32_t salt = 0; ///< tensor contents
  std::map<std::string, int64_t> params;
};

class Interpreter {
public:
  Interpreter(attn::AttendOp attend, const Launch &launch) : attend(attend), launch(launch) {}

  int64_t evaluate(Value value, const Point &at) {
    if (auto argument = dyn_cast<BlockArgument>(value)) {
      const int64_t coordinates[] = {at.b, at.h, at.row, at.kv};
      return coordinates[argument.getArgNumber()];
    }
    Operation *op = value.getDefiningOp();
    if (auto read = dyn_cast<attn::ReadOp>(op))
      return evaluateRead(read, at);
    SmallVector<int64_t> x;
    for (Value operand : op->getOperands())
      x.push_back(evaluate(operand, at));
    return llvm::TypeSwitch<Operation *, int64_t>(op)
        .Case<arith::ConstantOp>([](auto o) {
          auto number = cast<IntegerAttr>(o.getValue());
          return number.getType().isInteger(1) ? int64_t(number.getValue().isOne())
                                               : number.getInt();
        })
        .Case<attn::ParamOp>([&](auto o) {
          auto bound = launch.params.find(o.getName().str());
          return bound != launch.params.end() ? bound->second
                                              : cast<IntegerAttr>(o.getDefaultValue()).getInt();
        })
        .Case<attn::SizeOp>([&](auto o) { return sizeOf(o.getSpace()); })
        .Case<attn::PositionOp>([&](auto o) {
          return o.getAlign() == attn::Align::BottomRight ? x[0] + launch.keys - launch.queries
                                                          : x[0];
        })
        .Case<arith::AddIOp>([&](auto) { return wrap(x[0] + x[1]); })
        .Case<arith::SubIOp>([&](auto) { return wrap(x[0] - x[1]); })
        .Case<arith::MulIOp>([&](auto) { return wrap(x[0] * x[1]); })
        .Case<arith::FloorDivSIOp>([&](auto) {
          int64_t quotient = x[0] / x[1];
          return wrap(quotient - (x[0] % x[1] != 0 && (x[0] < 0) != (x[1] < 0)));
        })
        .Case<arith::MinSIOp>([&](auto) { return std::min(x[0], x[1]); })
        .Case<arith::MaxSIOp>([&](auto) { return std::max(x[0], x[1]); })
        .Case<math::AbsIOp>([&](auto) { return wrap(std::abs(x[0])); })
        .Case<arith::SelectOp>([&](auto) { return x[0] ? x[1] : x[2]; })
        .Case<arith::AndIOp>([&](auto) { return x[0] & x[1]; })
        .Case<arith::OrIOp>([&](auto) { return x[0] | x[1]; })
        .Case<arith::XOrIOp>([&](auto) { return x[0] ^ x[1]; })
        .Case<arith::ShLIOp>([&](auto) { return wrap(x[0] * (int64_t(1) << x[1])); })
        .Case<arith::ShRSIOp>([&](auto) { return x[0] >> x[1]; })
        .Case<arith::CmpIOp>([&](auto o) {
          APInt a(64, x[0], true), b(64, x[1], true);
          return int64_t(arith::applyCmpPredicate(o.getPredicate(), a, b));
        })
        .Default([](Operation *other) {
          ADD_FAILURE() << "no rule for " << other->getName().getStringRef().str();
          return int64_t(0);
        });
  }

private:
  static int64_t wrap(int64_t value) { return static_cast<int32_t>(static_cast<uint32_t>(value)); }

  int64_t sizeOf(llvm::StringRef space) {
    return space == "b"    ? kBatch
           : space == "h"  ? kHeads
           : space == "g"  ? kGroups
           : space == "q"  ? launch.queries
           : space == "kv" ? launch.keys
                           : kHeadDim;
  }

  /// Contents are a hash of the clamped indices: small ints with repetitions, or 0 and 1.
  int64_t evaluateRead(attn::ReadOp read, const Point &at) {
    attn::AttnTensorType type = read.getTensor().getType();
    uint32_t hash = launch.salt;
    for (auto [axis, index] : llvm::enumerate(read.getIndices())) {
      llvm::StringRef space = type.getAxisName(axis);
      int64_t size = space.empty() ? type.getAxisSize(axis) : sizeOf(space);
      if (size == 0)
        return 0;
      int64_t i = std::clamp<int64_t>(evaluate(index, at), 0, size - 1);
      hash = (hash ^ static_cast<uint32_t>(i)) * 2654435761u;
      hash ^= hash >> 15;
    }
    return read.getType().isInteger(1) ? int64_t(hash & 1) : int64_t(hash % 40) - 8;
  }

  attn::AttendOp attend;
  const Launch &launch;
};

struct ParsedMask {
  std::unique_ptr<MLIRContext> context;
  OwningOpRef<ModuleOp> module;
  attn::AttendOp attend;
};

ParsedMask parse(const std::string &text) {
  ParsedMask result;
  DialectRegistry registry;
  registry.insert<attn::AttnDialect, arith::ArithDialect, math::MathDialect>();
  result.context = std::make_unique<MLIRContext>(registry, MLIRContext::Threading::DISABLED);
  result.context->loadAllAvailableDialects();
  llvm::SourceMgr sources;
  sources.AddNewSourceBuffer(llvm::MemoryBuffer::getMemBufferCopy(text, "test.attn"),
                             llvm::SMLoc());
  frontend::SpecDiagnosticPrinter printer(sources, result.context.get());
  result.module = frontend::parseSpec(sources, result.context.get());
  if (result.module)
    result.module->walk([&](attn::AttendOp attend) { result.attend = attend; });
  return result;
}

struct Counts {
  int64_t cases = 0, full = 0, empty = 0;
};

/// Checks all tiles of one launch.
void check(ParsedMask &mask, const KeyRanges &ranges, const Launch &launch, int64_t tileQ,
           const Point &program, const std::string &what, bool checkExact, Counts &counts) {
  Interpreter interpreter(mask.attend, launch);
  auto uniform = [&](Value value) { return interpreter.evaluate(value, program); };
  auto visible = [&](int64_t row, int64_t kv) {
    if (mask.attend.getMask().empty())
      return true;
    Value condition = mask.attend.getMask().front().getTerminator()->getOperand(0);
    return interpreter.evaluate(condition, {program.b, program.h, row, kv}) != 0;
  };
  for (int64_t first = 0; first < launch.queries; first += tileQ) {
    int64_t last = std::min(first + tileQ, launch.queries) - 1;
    RowExprValues values(first, last, launch.queries, launch.keys, uniform);
    auto bound = [&](RowExpr::Ref e) {
      return std::clamp<int64_t>(values.evaluate(e), 0, launch.keys);
    };
    std::vector<char> may(launch.keys, 0), must(launch.keys, 0);
    for (const KeyRange &range : ranges.ranges) {
      for (int64_t kv = bound(range.mayLo), end = bound(range.mayHi); kv < end; ++kv)
        may[kv] = 1;
      if (range.hasMust())
        for (int64_t kv = bound(range.mustLo), end = bound(range.mustHi); kv < end; ++kv)
          must[kv] = 1;
    }
    for (int64_t kv = 0; kv < launch.keys; ++kv) {
      bool some = false, all = true;
      for (int64_t row = first; row <= last; ++row) {
        bool here = visible(row, kv);
        some |= here;
        all &= here;
      }
      ++counts.cases;
      counts.full += must[kv];
      counts.empty += !may[kv];
      std::string where =
          llvm::formatv("rows {0}..{1}, key {2} of {3}, {4} queries, b {5}, h {6}\n", first, last,
                        kv, launch.keys, launch.queries, program.b, program.h);
      ASSERT_TRUE(!some || may[kv]) << "a visible key is not visited: " << where << what;
      ASSERT_TRUE(!must[kv] || all) << "a hidden key counts as FULL: " << where << what;
      if (checkExact && ranges.exact && first == last)
        ASSERT_TRUE(some || !may[kv]) << "`exact`, but a hidden key is visited: " << where << what;
    }
  }
}

class KeyRangesTest : public testing::Test {
protected:
  std::mt19937 random{7};
  Counts counts;
  int64_t pick(std::initializer_list<int64_t> values) {
    return values.begin()[random() % values.size()];
  }

  void tryLaunches(const std::string &text, int trials, llvm::ArrayRef<std::string> params,
                   bool checkExact = false) {
    ParsedMask mask = parse(text);
    ASSERT_TRUE(mask.attend) << text;
    for (unsigned maxRanges : {4u, 1u, 2u}) {
      KeyRanges ranges = computeKeyRanges(mask.attend, maxRanges);
      ASSERT_GE(ranges.ranges.size(), 1u);
      ASSERT_LE(ranges.ranges.size(), maxRanges);
      for (int i = 0; i < trials; ++i) {
        Launch launch;
        launch.queries = 1 + random() % 24;
        launch.keys = random() % 40;
        launch.salt = random();
        std::string what = text;
        bool positive = true;
        for (const std::string &param : params) {
          launch.params[param] = pick({-9, -1, 0, 1, 2, 3, 5, 8, 17, 100, 100000});
          if (random() % 8 == 0) // where arithmetic wraps
            launch.params[param] = pick({INT32_MIN, INT32_MIN + 1, INT32_MIN + 30, -(1 << 30),
                                         1 << 30, INT32_MAX - 30, INT32_MAX - 1, INT32_MAX});
          positive &= launch.params[param] > 0 && launch.params[param] <= 100000;
          what += llvm::formatv("{0} = {1}\n", param, launch.params[param]);
        }
        Point program;
        program.b = random() % kBatch;
        program.h = random() % kHeads;
        check(mask, ranges, launch, pick({1, 1, 2, 4, 7, 16}), program, what,
              checkExact && positive, counts);
        if (HasFatalFailure())
          return;
      }
    }
  }
};

/// Text of a random mask: ints over the coordinates, compared and combined.
class MaskWriter {
public:
  explicit MaskWriter(std::mt19937 &random) : random(random) {}

  std::string spec() {
    return std::string("attention random(n: int = 3, m: int = -2) {\n  align ") +
           one({"bottom_right", "top_left"}) +
           "\n  input per_head: i32[h], u: i32[b, kv], w: i32[q], c: bool[b, h]\n  mask " +
           condition(3) + "\n}\n";
  }

private:
  std::string one(std::initializer_list<const char *> values) {
    return values.begin()[random() % values.size()];
  }
  int chance() { return random() % 100; }

  std::string bits(const std::string &x) {
    return one({"(~", "("}) + x +
           one({" >> 1)", " >> 2)", " >> 31)", " << 1)", " << 3)", " << 30)", " >> n)", " << m)",
                " & 6)", " & -4)", " | 5)", " ^ m)"});
  }
  /// An int that does not depend on kv.
  std::string row(int depth) {
    int c = chance();
    if (depth == 0 || c < 35)
      return one({"q", "q", "q", "h", "b", "n", "m", "0", "1", "3", "8", "per_head[h]", "size(kv)",
                  "size(q)", "w[q]"});
    if (c < 65)
      return "(" + row(depth - 1) + one({" + ", " - "}) + row(depth - 1) + ")";
    if (c < 75)
      return "(" + row(depth - 1) + " * " +
             one({"2", "-1", "3", "n", "m", "65536", row(1).c_str()}) + ")";
    if (c < 78)
      return "abs(" + row(depth - 1) + ")";
    if (c < 81)
      return bits(row(depth - 1));
    if (c < 88)
      return "(" + row(depth - 1) + one({" / ", " / ", " % "}) +
             one({"2", "4", "5", "-3", "n", "per_head[h]"}) + ")";
    return one({"min(", "max("}) + row(depth - 1) + ", " + row(depth - 1) + ")";
  }
  /// An int that depends on kv.
  std::string key(int depth) {
    int c = chance();
    if (depth == 0 || c < 30)
      return "kv";
    if (c < 50)
      return "(" + key(depth - 1) + one({" + ", " - "}) + row(depth - 1) + ")";
    if (c < 60)
      return "(" + row(depth - 1) + " - " + key(depth - 1) + ")";
    if (c < 68)
      return "(" + key(depth - 1) + " * " + one({"2", "-1", "3", "-2", "1073741824", "n"}) + ")";
    if (c < 72)
      return bits(key(depth - 1));
    if (c < 79)
      return "(" + key(depth - 1) + " / " + one({"2", "4", "7", "-3", "n", "per_head[h]"}) + ")";
    if (c < 82)
      return "(" + key(depth - 1) + " % " + one({"2", "4", "n"}) + ")";
    if (c < 90)
      return "abs(" + key(depth - 1) + ")";
    if (c < 97)
      return one({"min(", "max("}) + key(depth - 1) + ", " + row(depth - 1) + ")";
    return "u[b, kv]";
  }
  std::string condition(int depth) {
    int c = chance();
    if (depth > 0 && c < 30)
      return "(" + condition(depth - 1) + " and " + condition(depth - 1) + ")";
    if (depth > 0 && c < 55)
      return "(" + condition(depth - 1) + " or " + condition(depth - 1) + ")";
    if (depth > 0 && c < 65)
      return "(not " + condition(depth - 1) + ")";
    if (c < 69)
      return one({"c[b, h]", "true", "false", "n < 3"});
    std::string op = one({" <= ", " < ", " >= ", " > ", " == ", " != ", " <= ", " >= "});
    if (c < 74)
      return "(" + row(2) + op + row(2) + ")";
    return chance() < 50 ? "(" + key(2) + op + row(2) + ")" : "(" + row(2) + op + key(2) + ")";
  }
  std::mt19937 &random;
};

TEST_F(KeyRangesTest, Gallery) {
  int specs = 0;
  for (const auto &entry : std::filesystem::directory_iterator(ATTNC_SPECS)) {
    if (entry.is_directory())
      continue; // specs that are more than one attention stage
    std::ifstream in(entry.path());
    std::stringstream text;
    text << in.rdbuf();
    ParsedMask mask = parse(text.str());
    ASSERT_TRUE(mask.attend);
    std::vector<std::string> params;
    mask.module->walk([&](attn::ParamOp param) {
      if (param.getType().isInteger(32))
        params.push_back(param.getName().str());
    });
    tryLaunches(text.str(), 60, params, /*checkExact=*/true);
    if (HasFatalFailure())
      return;
    ++specs;
  }
  EXPECT_GE(specs, 14);
  EXPECT_GT(counts.full, 0);
  EXPECT_GT(counts.empty, 0);
}

TEST_F(KeyRangesTest, RandomMasks) {
  MaskWriter writer(random);
  for (int i = 0; i < 1500; ++i) {
    tryLaunches(writer.spec(), 4, {"n", "m"});
    if (HasFatalFailure())
      return;
  }
  // The comparison means something only if tiles are skipped and tiles are full.
  EXPECT_GT(counts.full, counts.cases / 50);
  EXPECT_GT(counts.empty, counts.cases / 20);
}

/// The closed forms that KeyRanges.h promises.
TEST_F(KeyRangesTest, ClosedForms) {
  auto formOf = [&](const std::string &mask) {
    ParsedMask parsed =
        parse("attention form(w: int = 4) {\n align top_left\n mask " + mask + "\n}\n");
    EXPECT_TRUE(parsed.attend);
    std::string text;
    for (const KeyRange &r : computeKeyRanges(parsed.attend).ranges)
      text += "[" + r.mayLo->str() + ", " + r.mayHi->str() + ") " +
              (r.hasMust() ? "[" + r.mustLo->str() + ", " + r.mustHi->str() + ")"
                           : std::string("none")) +
              " ";
    return text;
  };
  EXPECT_EQ(formOf("kv % 2 == 0"), "[0, size(kv)) none ");
  EXPECT_EQ(formOf("kv & 1 == 0"), "[0, size(kv)) none ");
  EXPECT_EQ(formOf("kv >> 4 <= 2"), "[0, 48) [0, 48) ");
  EXPECT_EQ(formOf("kv >> 4 == 2"), "[32, 48) [32, 48) ");
  EXPECT_EQ(formOf("kv << 2 < 10"), formOf("kv * 4 < 10"));
  EXPECT_EQ(formOf("kv >> 4 <= q >> 4"), formOf("kv / 16 <= q / 16"));
  EXPECT_EQ(formOf("kv < (w & 6 | w << 3)"),
            "[0, ((w & 6) | (w << 3))) [0, ((w & 6) | (w << 3))) ");
  EXPECT_EQ(formOf("kv < 1 << w"), "[0, (1 << w)) [0, (1 << w)) ");
  EXPECT_EQ(formOf("kv < size(kv) >> w"), "[0, (size(kv) >> w)) [0, (size(kv) >> w)) ");
  EXPECT_EQ(formOf("kv < (if w > 3 then w else 9)"),
            "[0, (if (w > 3) then w else 9)) [0, (if (w > 3) then w else 9)) ");
  EXPECT_EQ(formOf("kv < 5 or kv >= 9"), "[0, 5) [0, 5) [9, size(kv)) [9, size(kv)) ");
  EXPECT_EQ(formOf("false"), "[0, 0) [0, 0) ");
  EXPECT_EQ(formOf("true"), "[0, size(kv)) [0, size(kv)) ");
  EXPECT_EQ(formOf("not (kv > 7)"), "[0, 8) [0, 8) ");
  EXPECT_EQ(formOf("kv != 3 and kv <= 5"), "[0, 3) [0, 3) [4, 6) [4, 6) ");
}

/// Where sizes alone say that nothing wraps, bounds have no condition; elsewhere they have the one
/// that is needed, and none more.
TEST_F(KeyRangesTest, ConditionsOfBounds) {
  auto upperOf = [&](const std::string &mask) {
    ParsedMask parsed =
        parse("attention form(w: int = 4) {\n align bottom_right\n mask " + mask + "\n}\n");
    EXPECT_TRUE(parsed.attend);
    return computeKeyRanges(parsed.attend).ranges.front().mayHi->str();
  };
  EXPECT_EQ(upperOf("kv - q < w"), "(w + (last + (size(kv) - size(q))))");
  EXPECT_EQ(upperOf("abs(q - kv) <= 65535"), "((last + (size(kv) - size(q))) + 65536)");
  EXPECT_EQ(upperOf("kv + 65000 <= 70000"), "5001");
  EXPECT_EQ(upperOf("kv / w <= 3"), "(if w > 0 then (((3 * w) + (w - 1)) + 1) else size(kv))");
  EXPECT_EQ(upperOf("kv <= q + w"),
            "(if (size(kv) + w) <= 2147483648 and ((size(kv) - size(q)) + w) >= -2147483648 then "
            "((w + (last + (size(kv) - size(q)))) + 1) else size(kv))");
  EXPECT_EQ(upperOf("kv + 70000 <= 80000"), "(if size(kv) <= 2147413648 then 10001 else size(kv))");
}

/// Masks that had taken time exponential in their size (shared values, nested functions, chains of
/// exclusions), or that are long. Bounds stay small, and so does all that is derived on the way.
TEST_F(KeyRangesTest, Budgets) {
  auto repeat = [](int times, const std::string &prefix, const std::string &middle,
                   const std::string &suffix) {
    std::string text = middle;
    for (int i = 0; i < times; ++i)
      text = prefix + text + suffix;
    return text;
  };
  auto lets = [](int count, const char *first, const char *next) {
    std::string text = llvm::formatv("let a0 = {0}\n", first);
    for (int i = 1; i <= count; ++i)
      text += llvm::formatv("let a{0} = {1}\n", i,
                            llvm::formatv(next, llvm::formatv("a{0}", i - 1).str()).str());
    return text;
  };
  std::string exclusions = "kv <= q";
  for (int i = 0; i < 150; ++i)
    exclusions += llvm::formatv(" and kv != q - {0}", 2 * i + 1);
  std::string parameters = "kv <= q";
  for (int i = 0; i < 150; ++i)
    parameters += llvm::formatv(" and kv != n * {0} and kv < q + m * {1}", 2 * i + 3, i + 2);
  const std::string bodies[] = {
      "mask " + repeat(60, "abs(", "kv - q", " - n)") + " <= 5",
      "mask " + exclusions,
      "mask " + parameters,
      "mask not (" + exclusions + ")",
      lets(60, "kv - q", "min({0}, {0} + 1)") + "mask a60 <= 0",
      lets(2000, "kv - q", "min({0}, {0} + n)") + "mask a2000 <= 0",
      lets(2000, "q", "{0} * {0} + n") + "mask kv <= a2000",
      lets(2000, "q", "max({0} + n, {0} * m)") + "mask kv <= a2000",
      lets(2000, "q", "{0} / n") + "mask kv <= a2000",
      lets(2000, "kv", "{0} / n + {0} / m") + "mask a2000 <= q",
      lets(2000, "n", "{0} * {0} + m") + "mask kv <= q + a2000",
      lets(2000, "kv <= q", "({0} and kv + n != q) or {0}") + "mask a2000",
  };
  for (const std::string &body : bodies) {
    std::string text =
        "attention deep(n: int = 3, m: int = 2) {\n align top_left\n" + body + "\n}\n";
    ParsedMask mask = parse(text);
    ASSERT_TRUE(mask.attend) << body.substr(0, 200);
    KeyRanges ranges = computeKeyRanges(mask.attend);
    EXPECT_LE(ranges.expressions->size(), 2 * RowExprs::kMaxNodes) << body.substr(0, 200);
    std::vector<RowExpr::Ref> bounds;
    for (const KeyRange &r : ranges.ranges)
      bounds.insert(bounds.end(), {r.mayLo, r.mayHi, r.mustLo, r.mustHi});
    unsigned nodes = 0;
    forEachNode(bounds, [&](RowExpr::Ref) { ++nodes; });
    EXPECT_LE(nodes, 160u) << body.substr(0, 200);
    for (RowExpr::Ref bound : bounds)
      if (bound)
        EXPECT_LE(bound->str().size(), 500u);
  }
}

} // namespace
