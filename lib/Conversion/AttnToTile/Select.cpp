// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attn.select: a program decides for a tile of rows which entries are kept.
//
// What a row keeps is said by a threshold: all entries above a key, and of those that have it the
// first few. It is found by searches of one kind, each of which builds a number bit by bit and asks
// at each bit a question whose answer is yes up to some number and no behind it:
//
//   top       the largest key with `count` entries at or above it                   32 walks
//   cover     the largest key such that the entries at or above it do not all fit   31 walks
//             how many of the entries with that key fit                             none
//   ties      the largest index such that not too many of them are before it        31 walks
//
// where a walk goes over the entries of all rows of the tile. Walks count, which is exact, or sum
// ranks that are not negative, in one order for all of them: leaving terms out never makes such a
// sum larger, so that the answers are monotone.
//
// Ranks of cover. With P_i the sum of the first i ranks, largest first, and the limit L = amount *
// sum, `cover_inclusive` keeps as many as there are i from 0 on with P_i < L, and
// `cover_exclusive` as there are from 1 on with P_i <= L. P rises as long as ranks are positive and
// falls behind, so that the first i at which that fails, if there is any, is among the positive
// ones; but if none is positive, P_1 is the largest, and decides for all. Sums are compared with L
// in f64, in which the product is exact.
#include "Lowerings.h"
#include "SelectRows.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace attnc;
using arith::CmpFPredicate;
using arith::CmpIPredicate;

namespace {

/// What rows keep: entries above `key`, and the first `ties` of those that have it. i32 vectors.
struct Threshold {
  Value key, ties;
};

class Selection {
public:
  Selection(SelectRows &rows, attn::SelectOp select)
      : rows(rows), select(select), b(rows.tiles.builder), loc(rows.tiles.loc), i32(b.getI32Type()),
        isExclusive(select.getRule() == attn::Selection::CoverExclusive),
        comparesRanks(rows.tiles.context.plan.target.kind == Target::Kind::Host) {}

  void emit(ArrayRef<Destination> destinations) {
    bool isTop = select.getRule() == attn::Selection::Top;
    findFacts();
    Threshold threshold;
    if (isTop) {
      threshold = top(limited(rows.read(select.getAmount())));
    } else {
      threshold = cover();
      if (select.getAtLeast() || select.getAtMost())
        threshold = top(limited(countOf(threshold)));
    }
    Value end = endOfTies(threshold);
    rows.store(
        {threshold.key, end},
        [&](const RankEntry &entry, ValueRange row) {
          Value isAbove = compare(CmpIPredicate::sgt, entry.key, row[0]);
          Value isBefore = compare(CmpIPredicate::slt, entry.index, row[1]);
          return rows.tiles.either(isAbove, rows.tiles.both(isTie(entry, row[0]), isBefore));
        },
        destinations);
  }

private:
  using Question = function_ref<Value(Value candidate)>;

  void findFacts();
  Value limited(Value count);
  Threshold top(Value count);
  Threshold cover();
  Value fittingTies(Value key, Value above, Value ties);
  Value endOfTies(Threshold threshold);
  Value countOf(Threshold threshold);
  /// The least rank (f32, a vector) whose key is `key` or comes behind it.
  Value rankOf(Value key);
  /// The largest key that `wanted` entries or more come up to, for each row; or any that exactly so
  /// many do, with which the search ends: on average after half of the bits.
  Value keyOfTop(Value wanted);
  /// The largest number (i32), from `from` on with the lower `bits` bits of it 0, whose question is
  /// answered with yes (i1, a vector), for each row.
  Value largest(int64_t from, int64_t bits, Question isYes);
  /// Whether entries whose ranks add up to `sum` (f32, in the region of a map) are all kept, for
  /// the amount and the sum of the row.
  Value fits(Value sum, Value amount, Value total);

  Value compare(CmpIPredicate predicate, Value x, Value y) {
    return arith::CmpIOp::create(b, loc, predicate, x, y);
  }
  /// What entries are compared with to know whether their keys are at least `key`, for isAtLeast:
  /// ranks, which are there, on the host; keys on a GPU, where comparisons take numbers below the
  /// smallest normal one for 0.
  Value leastOf(Value key) { return comparesRanks ? rankOf(key) : key; }
  std::function<Value(const RankEntry &, ValueRange)> isAtLeast = [this](const RankEntry &entry,
                                                                         ValueRange row) -> Value {
    if (comparesRanks)
      return rows.tiles.compare(CmpFPredicate::OGE, entry.rank, row[0]);
    return compare(CmpIPredicate::sge, entry.key, row[0]);
  };
  RowFold count(std::function<Value(const RankEntry &, ValueRange)> condition) {
    return {tile::ReduceKind::Sum, b.getI32IntegerAttr(0),
            [this, condition](const RankEntry &entry, ValueRange row) -> Value {
              return arith::ExtUIOp::create(b, loc, i32, condition(entry, row));
            }};
  }
  /// The sum of the ranks for which a condition holds.
  RowFold sum(std::function<Value(const RankEntry &, ValueRange)> condition) {
    return {tile::ReduceKind::Sum, b.getF32FloatAttr(0),
            [this, condition](const RankEntry &entry, ValueRange row) -> Value {
              return rows.tiles.select(condition(entry, row), entry.rank, rows.tiles.f32(0));
            }};
  }
  Value isLive(const RankEntry &entry) {
    return compare(CmpIPredicate::ne, entry.key, rows.integer(INT32_MIN));
  }

  /// Whether an entry that can be kept has the key.
  Value isTie(const RankEntry &entry, Value key) {
    return rows.tiles.both(compare(CmpIPredicate::eq, entry.key, key), isLive(entry));
  }

  SelectRows &rows;
  attn::SelectOp select;
  OpBuilder &b;
  Location loc;
  Type i32;
  bool isExclusive, comparesRanks;
  // One value for each row.
  Value live;     ///< how many entries can be kept
  Value amount;   ///< of cover
  Value total;    ///< of the ranks that can be kept
  Value positive; ///< how many of them are above 0
  Value highest;  ///< rank
};

} // namespace

void Selection::findFacts() {
  auto live = [this](const RankEntry &entry, ValueRange) { return isLive(entry); };
  SmallVector<RowFold> folds{count(live)};
  if (select.getRule() != attn::Selection::Top) {
    folds.push_back(sum(live));
    folds.push_back(count([this](const RankEntry &entry, ValueRange) {
      return compare(CmpIPredicate::sgt, entry.key, rows.integer(0));
    }));
    double lowest = -std::numeric_limits<double>::infinity();
    folds.push_back({tile::ReduceKind::Max, b.getF32FloatAttr(lowest),
                     [](const RankEntry &entry, ValueRange) { return entry.rank; }});
  }
  SmallVector<Value> facts = rows.fold({}, folds);
  this->live = facts[0];
  if (facts.size() == 1)
    return;
  amount = rows.read(select.getAmount());
  total = facts[1];
  positive = facts[2];
  highest = facts[3];
}

/// `count` within the limits of the selection and of the row.
Value Selection::limited(Value count) {
  SmallVector<Value> inputs{count, live};
  for (Value limit : {select.getAtLeast(), select.getAtMost()})
    if (limit)
      inputs.push_back(rows.read(limit));
  return rows.map(i32, inputs, [&](ValueRange a) -> Value {
    Value n = a[0];
    if (select.getAtLeast())
      n = arith::MaxSIOp::create(b, loc, n, a[2]);
    if (select.getAtMost())
      n = arith::MinSIOp::create(b, loc, n, a.back());
    n = arith::MaxSIOp::create(b, loc, n, rows.integer(0));
    return arith::MinSIOp::create(b, loc, n, a[1]);
  });
}

Value Selection::largest(int64_t from, int64_t bits, Question isYes) {
  Value init = rows.fill(b.getI32IntegerAttr(static_cast<int32_t>(from)));
  auto loop =
      scf::ForOp::create(b, loc, rows.integer(0), rows.integer(bits), rows.integer(1), init);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  Value shift = arith::SubIOp::create(b, loc, rows.integer(bits - 1), loop.getInductionVar());
  Value bit = arith::ShLIOp::create(b, loc, rows.integer(1), shift);
  Value found = loop.getRegionIterArg(0);
  Value candidate = rows.map(i32, found, [&](ValueRange a) -> Value {
    return arith::AddIOp::create(b, loc, a[0], bit); // the highest bit of the least i32 makes it 0
  });
  Value next = rows.map(i32, {isYes(candidate), candidate, found},
                        [&](ValueRange a) { return rows.tiles.select(a[0], a[1], a[2]); });
  scf::YieldOp::create(b, loc, next);
  return loop.getResult(0);
}

Value Selection::rankOf(Value key) {
  return rows.map(b.getF32Type(), key, [&](ValueRange a) -> Value {
    Value isNegative = compare(CmpIPredicate::slt, a[0], rows.integer(0));
    Value negated = arith::SubIOp::create(b, loc, rows.integer(INT32_MIN), a[0]);
    Value bits = rows.tiles.select(isNegative, negated, a[0]);
    Value rank = arith::BitcastOp::create(b, loc, b.getF32Type(), bits);
    // Below the keys of numbers; beyond them is NaN, which nothing is at least.
    Value lowest = rows.tiles.f32(-std::numeric_limits<float>::max());
    Value isBelow = compare(CmpIPredicate::slt, a[0], rows.integer(-0x7f7fffff));
    return rows.tiles.select(isBelow, lowest, rank);
  });
}

Value Selection::keyOfTop(Value wanted) {
  Value least = rows.fill(b.getI32IntegerAttr(INT32_MIN));
  Value all = rows.fill(b.getBoolAttr(true));
  SmallVector<Value> init{rows.integer(INT32_MIN), least, all};
  auto loop = scf::WhileOp::create(
      b, loc, ValueRange(init).getTypes(), init,
      [&](OpBuilder &, Location, ValueRange carried) {
        Value some = tile::AnyOp::create(b, loc, b.getI1Type(), carried[2]);
        Value isLeft = compare(CmpIPredicate::ne, carried[0], rows.integer(0));
        scf::ConditionOp::create(b, loc, rows.tiles.both(isLeft, some), carried);
      },
      [&](OpBuilder &, Location, ValueRange carried) {
        Value bit = carried[0], found = carried[1];
        Value candidate = rows.map(i32, found, [&](ValueRange a) -> Value {
          return arith::AddIOp::create(b, loc, a[0], bit); // the highest bit makes the least i32 0
        });
        Value number = rows.fold(leastOf(candidate), count(isAtLeast)).front();
        Value next = rows.map(i32, {number, wanted, candidate, found}, [&](ValueRange a) {
          return rows.tiles.select(compare(CmpIPredicate::sge, a[0], a[1]), a[2], a[3]);
        });
        Value open = rows.map(b.getI1Type(), {number, wanted, carried[2]}, [&](ValueRange a) {
          return rows.tiles.both(compare(CmpIPredicate::ne, a[0], a[1]), a[2]);
        });
        Value half = arith::ShRUIOp::create(b, loc, bit, rows.integer(1));
        scf::YieldOp::create(b, loc, ValueRange{half, next, open});
      });
  return loop.getResult(1);
}

Threshold Selection::top(Value wanted) {
  auto isAbove = [this](const RankEntry &entry, ValueRange row) {
    return compare(CmpIPredicate::sgt, entry.key, row[0]);
  };
  Value key = keyOfTop(wanted);
  Value above = rows.fold(key, count(isAbove)).front();
  Value ties = rows.map(i32, {wanted, above}, [&](ValueRange a) -> Value {
    return arith::SubIOp::create(b, loc, a[0], a[1]);
  });
  return {key, ties};
}

Value Selection::fits(Value sum, Value amount, Value total) {
  auto wide = [&](Value x) { return arith::ExtFOp::create(b, loc, b.getF64Type(), x).getResult(); };
  Value limit = arith::MulFOp::create(b, loc, wide(amount), wide(total));
  CmpFPredicate predicate = isExclusive ? CmpFPredicate::OLE : CmpFPredicate::OLT;
  if (sum.getType().isF32())
    sum = wide(sum);
  return rows.tiles.compare(predicate, sum, limit);
}

/// How many of the `ties` entries that have `key`, a positive one, fit behind those above it, whose
/// ranks add up to `above`.
Value Selection::fittingTies(Value key, Value above, Value ties) {
  return largest(0, 31, [&](Value candidate) {
    return rows.map(b.getI1Type(), {candidate, key, above, ties, amount, total}, [&](ValueRange a) {
      // What is compared is the sum before the last of them, or behind it. 0 of an infinite rank
      // are nothing.
      Value number = a[0];
      if (!isExclusive)
        number = arith::SubIOp::create(b, loc, number, rows.integer(1));
      Type f64 = b.getF64Type();
      Value times = arith::SIToFPOp::create(b, loc, f64, number);
      Value rank = arith::BitcastOp::create(b, loc, b.getF32Type(), a[1]);
      Value before = arith::ExtFOp::create(b, loc, f64, a[2]);
      Value part = arith::MulFOp::create(b, loc, times, arith::ExtFOp::create(b, loc, f64, rank));
      Value sum = arith::AddFOp::create(b, loc, before, part);
      Value isNone = compare(CmpIPredicate::eq, number, rows.integer(0));
      sum = rows.tiles.select(isNone, before, sum);
      Value areThere = compare(CmpIPredicate::sle, a[0], a[3]);
      return rows.tiles.both(areThere, fits(sum, a[4], a[5]));
    });
  });
}

Threshold Selection::cover() {
  auto isAbove = [this](const RankEntry &entry, ValueRange row) {
    return compare(CmpIPredicate::sgt, entry.key, row[0]);
  };
  auto isEqual = [this](const RankEntry &entry, ValueRange row) { return isTie(entry, row[0]); };
  // 0 if all fit: keys of positive ranks are above it.
  Value isTrue = arith::ConstantIntOp::create(b, loc, 1, 1);
  Value key = largest(0, 31, [&](Value candidate) {
    Value mass = rows.fold(leastOf(candidate), sum(isAtLeast)).front();
    return rows.map(b.getI1Type(), {mass, amount, total}, [&](ValueRange a) -> Value {
      return arith::XOrIOp::create(b, loc, fits(a[0], a[1], a[2]), isTrue);
    });
  });
  SmallVector<Value> found = rows.fold(key, {sum(isAbove), count(isEqual)});
  Value ties = fittingTies(key, found[0], found[1]);
  auto choose = [&](Value own, int64_t ofAll, int64_t ofNone) {
    return rows.map(i32, {own, key, positive, highest, amount, total}, [&](ValueRange a) -> Value {
      Value doAllFit = compare(CmpIPredicate::eq, a[1], rows.integer(0));
      Value result = rows.tiles.select(doAllFit, rows.integer(ofAll), a[0]);
      if (!isExclusive)
        return result;
      Value isNonePositive = compare(CmpIPredicate::eq, a[2], rows.integer(0));
      Value doesFirstFit = fits(a[3], a[4], a[5]);
      Value allOrNone = rows.tiles.select(doesFirstFit, rows.integer(ofAll), rows.integer(ofNone));
      return rows.tiles.select(isNonePositive, allOrNone, result);
    });
  };
  return {choose(key, INT32_MIN, INT32_MAX), choose(ties, 0, 0)};
}

Value Selection::countOf(Threshold threshold) {
  auto isAbove = [this](const RankEntry &entry, ValueRange row) {
    return compare(CmpIPredicate::sgt, entry.key, row[0]);
  };
  Value above = rows.fold(threshold.key, count(isAbove)).front();
  return rows.map(i32, {above, threshold.ties},
                  [&](ValueRange a) -> Value { return arith::AddIOp::create(b, loc, a[0], a[1]); });
}

/// The index from which on entries that have the key are not kept, for each row: searched only
/// where some row has more of them than it keeps.
Value Selection::endOfTies(Threshold threshold) {
  auto isEqual = [this](const RankEntry &entry, ValueRange row) { return isTie(entry, row[0]); };
  auto isEqualBefore = [this](const RankEntry &entry, ValueRange row) {
    return rows.tiles.both(isTie(entry, row[0]), compare(CmpIPredicate::slt, entry.index, row[1]));
  };
  Value equal = rows.fold(threshold.key, count(isEqual)).front();
  Value hasMore = rows.map(b.getI1Type(), {equal, threshold.ties},
                           [&](ValueRange a) { return compare(CmpIPredicate::sgt, a[0], a[1]); });
  Value some = tile::AnyOp::create(b, loc, b.getI1Type(), hasMore);
  auto branch = scf::IfOp::create(b, loc, equal.getType(), some, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  Value end = largest(0, 31, [&](Value candidate) {
    Value number = rows.fold({threshold.key, candidate}, count(isEqualBefore)).front();
    return rows.map(b.getI1Type(), {number, threshold.ties},
                    [&](ValueRange a) { return compare(CmpIPredicate::sle, a[0], a[1]); });
  });
  scf::YieldOp::create(b, loc, end);
  b.setInsertionPointToStart(branch.elseBlock());
  scf::YieldOp::create(b, loc, rows.fill(b.getI32IntegerAttr(INT32_MAX)));
  return branch.getResult(0);
}

Nest attnc::rowsOf(attn::SelectOp select, const Target &target) {
  SelectAxes axes(select);
  return Nest(axes.rowType(), axes.rowTiles(target));
}

LogicalResult attnc::emitSelect(KernelContext &context, attn::SelectOp select,
                                const NestPoint &point, ArrayRef<Destination> destinations) {
  FailureOr<SelectRows> rows = SelectRows::at(context, select, point);
  if (failed(rows))
    return failure();
  Selection(*rows, select).emit(destinations);
  return success();
}

//===-- The kernel ----------------------------------------------------------------------------===//

namespace {

class SelectLowering : public NestLowering {
public:
  SelectLowering(attn::SelectOp select, const Target &target)
      : NestLowering(select, rowsOf(select, target)), select(select) {}

  int64_t warps() override { return 1; }

private:
  LogicalResult emitAt(Evaluator &evaluator, Scope &, const NestPoint &point) override {
    return emitSelect(evaluator.context, select, point,
                      Destination{evaluator.context.views.lookup(select.getResult()), {}});
  }

  attn::SelectOp select;
};

} // namespace

std::unique_ptr<StageLowering> attnc::lowerSelect(Operation *op, const KernelPlan &plan) {
  return std::make_unique<SelectLowering>(cast<attn::SelectOp>(op), plan.target);
}
