// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attn-split-keys: where queries are few, the keys of an attention are shared out.
//
//   out_p, lse_p, largest_p = attend(Q, K, V) over the keys of part p            parts = 0: nothing
//   top     = max(largest_p for p)
//   w_p     = exp((largest_p - top) unit + lse_p)
//   out     = sum(w_p out_p for p) / sum(w_p for p)
//   lse     = top unit + ln(sum(w_p for p))
//   result  = parts > 0 ? this : attend(Q, K, V)
//
// A part is a fixed number of keys, counted from key 0. So what is added to what, and in which
// order, depends neither on the machine nor on how many queries there are.
#include "FormulaBuilder.h"
#include "attnc/Analysis/Compilable.h"
#include "attnc/Plan/Plan.h"
#include "attnc/Transforms/Passes.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/IRMapping.h"
#include <cfloat>
#include <cmath>

using namespace mlir;

namespace attnc {
#define GEN_PASS_DEF_ATTNSPLITKEYS
#include "attnc/Transforms/Passes.h.inc"

namespace {

/// Keys of a part. Each leaves an output row in f32 for each query, which with four heads to a
/// group and 16-bit keys is a sixty-fourth of what is read of keys and values.
constexpr int64_t kPartKeys = 256;
/// With fewer thread blocks than this a GPU is not full, and reading keys several times costs
/// little: they come from its cache.
constexpr int64_t kFullMachine = 128, kTimesFromCache = 4;

/// Numbers of a launch.
class Launch {
public:
  explicit Launch(FormulaBuilder &b) : b(b), one(b.integer(1)) {}

  /// How many parts there are: 0 where the queries are too many, or the keys too few.
  Value parts(StringRef keySpace, int64_t tileQ);

private:
  Value size(StringRef space) { return attn::SizeOp::create(b, b.getI32Type(), space); }
  Value atMost(Value x, Value y) { return b.compare(arith::CmpIPredicate::sle, x, y); }
  Value ceilDiv(Value x, int64_t y) { return arith::CeilDivSIOp::create(b, x, b.integer(y)); }

  FormulaBuilder &b;
  Value one;
};

class SplitAttention {
public:
  SplitAttention(attn::AttendOp attend, const KernelPlan &plan)
      : attend(attend), plan(plan), b(attend) {}

  void run();

private:
  using Indices = SmallVector<Value>;

  std::string freeName();
  attn::AttendOp attendParts();
  void mergeParts(attn::AttendOp parts);
  /// Formulas of one row of the merged attention.
  struct Row {
    Value top, sum;
    std::function<Value(Value part)> weight;
  };
  Value sinkAt(ValueRange row);
  Row rowOf(attn::AttendOp parts, ValueRange row);
  void choose(Value whole, Value merged);
  Value overParts(attn::Reduction kind, function_ref<Value(Value part)> term) {
    return b.reduce(kind, {space}, [&](Value part) { return Term{term(part), {}}; });
  }
  static Indices with(ValueRange row, Value part) {
    Indices indices(row);
    indices.push_back(part);
    return indices;
  }

  attn::AttendOp attend;
  const KernelPlan &plan;
  FormulaBuilder b;
  std::string space;
  double unit = 1;
};

} // namespace

/// Tiles of rows are heads that share keys: these are read once for each query and tile of heads.
/// The other kernel reads them for each head and tile of queries.
Value Launch::parts(StringRef keySpace, int64_t tileQ) {
  Value queries = size("q"), keys = size(keySpace);
  Value heads = arith::FloorDivSIOp::create(b, size("h"),
                                            arith::MaxSIOp::create(b, size("g"), one).getResult());
  Value rowTiles = ceilDiv(queries, tileQ);
  Value own = b.mul(queries, ceilDiv(heads, kRowsOfHeads));
  Value others = b.mul(heads, rowTiles);
  Value blocks = b.mul(b.mul(size("b"), size("h")), rowTiles);
  Value isFull = atMost(b.integer(kFullMachine), blocks);
  Value most = b.select(isFull, others, b.mul(others, b.integer(kTimesFromCache)));
  Value isLong = b.compare(arith::CmpIPredicate::slt, b.integer(kPartKeys), keys);
  return b.select(b.both(isLong, atMost(own, most)), ceilDiv(keys, kPartKeys), b.integer(0));
}

std::string SplitAttention::freeName() {
  std::string base = attend.getKeySpace().str() + "_part", name = base;
  for (unsigned i = 2; attn::findSpace(attend, name); ++i)
    name = base + std::to_string(i);
  return name;
}

/// The same attention for each part, without a sink.
attn::AttendOp SplitAttention::attendParts() {
  SmallVector<Attribute> rows(attend.getQuery().getType().getAxes().drop_back());
  rows.push_back(b.getStringAttr(space));
  SmallVector<Attribute> outAxes(rows);
  outAxes.push_back(attend.getOut().getType().getAxes().back());
  auto rowType = attn::AttnTensorType::get(b.getContext(), rows, b.getF32Type());
  auto outType = attn::AttnTensorType::get(b.getContext(), outAxes, b.getF32Type());
  auto keys = attn::PartsAttr::get(b.getContext(), b.getStringAttr(space), kPartKeys,
                                   b.getF64FloatAttr(unit));
  auto parts = attn::AttendOp::create(b, outType, rowType, Type(), rowType, attend.getQuery(),
                                      attend.getKey(), attend.getValue(), attend.getScale(),
                                      /*set=*/Value(), /*tile=*/Value(), /*weight_group=*/Value(),
                                      /*visits=*/Value(), attend.getPrecisionAttr(), StringAttr(),
                                      attn::FormatAttr(), FloatAttr(), keys, IntegerAttr());
  for (auto [from, to] : {std::pair(&attend.getScore(), &parts.getScore()),
                          std::pair(&attend.getMask(), &parts.getMask())}) {
    IRMapping mapping;
    from->cloneInto(to, mapping);
  }
  return parts;
}

/// The sink of a row of the attention.
Value SplitAttention::sinkAt(ValueRange row) {
  Block &body = attend.getSink().front();
  IRMapping mapping;
  mapping.map(body.getArguments(), row);
  for (Operation &op : body.without_terminator())
    b.clone(op, mapping);
  return mapping.lookupOrDefault(body.getTerminator()->getOperand(0));
}

/// What the parts of `row` come to. The sink is a part without a value.
///
/// Nothing is compared, so that there is nothing to decide: `top` is finite where no part has a
/// key, which gives weights of 0 there, and a row with a key, or a sink, has one weight of at
/// least 1.
SplitAttention::Row SplitAttention::rowOf(attn::AttendOp parts, ValueRange row) {
  Value sink = attend.getSink().empty() ? Value() : sinkAt(row);
  Row result;
  result.top = overParts(attn::Reduction::Max,
                         [&](Value part) { return b.read(parts.getLargest(), with(row, part)); });
  result.top = arith::MaximumFOp::create(b, result.top, b.real(-FLT_MAX));
  if (sink)
    result.top = arith::MaximumFOp::create(b, result.top, sink);
  result.weight = [this, parts, row, top = result.top](Value part) mutable -> Value {
    Indices at = with(row, part);
    Value difference = b.mul(b.sub(b.read(parts.getLargest(), at), top), b.real(unit));
    return math::ExpOp::create(b, b.add(difference, b.read(parts.getLse(), at)));
  };
  result.sum = overParts(attn::Reduction::Sum, result.weight);
  if (sink) {
    // A sink of inf is the top one, and its distance no number: 0.
    Value distance = arith::MinNumFOp::create(b, b.sub(sink, result.top), b.real(0));
    result.sum = b.add(result.sum, math::ExpOp::create(b, distance));
  }
  return result;
}

void SplitAttention::mergeParts(attn::AttendOp parts) {
  choose(attend.getOut(), b.compute(attend.getOut().getType(), [&](ValueRange indices) {
    Row row = rowOf(parts, indices.drop_back());
    Value total = overParts(attn::Reduction::Sum, [&](Value part) {
      Indices at = with(indices.drop_back(), part);
      return b.mul(row.weight(part), b.read(parts.getOut(), with(at, indices.back())));
    });
    return b.div(total, arith::MaximumFOp::create(b, row.sum, b.real(FLT_MIN)));
  }));
  if (attend.getLse().use_empty())
    return;
  choose(attend.getLse(), b.compute(attend.getLse().getType(), [&](ValueRange indices) -> Value {
    Row row = rowOf(parts, indices);
    return b.add(b.mul(row.top, b.real(unit)), math::LogOp::create(b, row.sum));
  }));
}

void SplitAttention::choose(Value whole, Value merged) {
  auto choice = attn::ChooseOp::create(b, whole.getType(), b.getStringAttr(space), merged, whole);
  whole.replaceAllUsesExcept(choice.getResult(), choice);
}

void SplitAttention::run() {
  // Where the scale is part of the exponential's factor, products are what is compared.
  bool isPlain = !attend.getScale() && attend.getScore().empty() && attend.getSink().empty();
  if (isPlain) // a constant of the formulas, which are f32
    unit = static_cast<float>(1.0 / std::sqrt(static_cast<double>(plan.headDim)));
  space = freeName();
  // Behind the attention: it stays the first kernel.
  b.setInsertionPointAfter(attend);
  Value parts = Launch(b).parts(attend.getKeySpace(), plan.tileQ);
  attn::SpaceOp::create(b, b.getStringAttr(space), StringAttr(), parts, Value(), UnitAttr(),
                        b.getUnitAttr());
  mergeParts(attendParts());
}

/// Whether an attention can have parts, and has none yet. Keys that a mask gives to some heads only
/// are other keys for each.
static bool canSplit(attn::AttendOp attend, const KernelPlan &plan) {
  bool isUsed = false, isChosen = attend.getPartsAttr() != nullptr;
  for (Operation *user : attend->getUsers()) {
    isUsed = true;
    isChosen |= isa<attn::ChooseOp>(user);
  }
  return plan.target.kind == Target::Kind::NVPTX && kPartKeys % plan.tileKV == 0 && isUsed &&
         !isChosen && hasFusedForm(attend) && !maskLooksAtHead(attend);
}

namespace {
struct AttnSplitKeys : impl::AttnSplitKeysBase<AttnSplitKeys> {
  void runOnOperation() override {
    for (auto variant : getOperation().getBody()->getOps<attn::VariantOp>()) {
      llvm::Expected<KernelPlan> plan = planOf(variant);
      if (!plan) {
        variant.emitOpError() << llvm::toString(plan.takeError());
        return signalPassFailure();
      }
      for (auto attend : llvm::make_early_inc_range(variant.getBody().getOps<attn::AttendOp>()))
        if (canSplit(attend, *plan)) {
          SplitAttention(attend, *plan).run();
          ++numSplit;
        }
    }
  }
};

} // namespace
} // namespace attnc
