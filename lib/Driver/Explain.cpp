// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attnc explain: what the compiler decided for a spec, and why.
#include "Diagnostics.h"
#include "Execute.h"
#include "ExplainProgram.h"
#include "ExplainStages.h"
#include "Options.h"
#include "attnc/Analysis/KeyRanges.h"
#include "attnc/Pipelines/LaunchRecord.h"
#include "attnc/Transforms/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/MathExtras.h"
#include <set>

using namespace attnc;
using namespace attnc::driver;
using llvm::formatv;

namespace {

/// Key tiles that the query tiles of one head visit.
struct TileCounts {
  int64_t full = 0, partial = 0, empty = 0;
  bool known = true;
  std::string unknown; ///< why they are not
};

} // namespace

namespace {

/// Values of launch-time scalars as the options bind them. Tensor contents are not known here.
class UniformValues {
public:
  explicit UniformValues(const Options &options) : options(options) {}

  /// An i32, or an i1 as 0 or 1; nothing if it is not the same for all programs or not known.
  /// Computes operands first, each once, without recursion: they can be deep and are shared.
  std::optional<int64_t> get(mlir::Value root) {
    llvm::SmallVector<mlir::Value> open{root};
    while (!open.empty()) {
      mlir::Value value = open.back();
      bool isReady = known.contains(value);
      if (!isReady) {
        isReady = true;
        if (mlir::Operation *op = value.getDefiningOp())
          for (mlir::Value operand : op->getOperands())
            if (!mlir::isa<attn::AttnTensorType>(operand.getType()) && !known.contains(operand)) {
              open.push_back(operand);
              isReady = false;
            }
        if (isReady)
          known[value] = compute(value);
      }
      if (isReady)
        open.pop_back();
    }
    return known.lookup(root);
  }

  /// Adds what keeps `root` from being known: tensors that it reads, `b`, `h`, sizes that tensors
  /// bring.
  void explain(mlir::Value root, std::set<std::string> &reasons) {
    llvm::SmallVector<mlir::Value> open{root};
    llvm::DenseSet<mlir::Value> seen;
    while (!open.empty()) {
      mlir::Value value = open.pop_back_val();
      if (!seen.insert(value).second || get(value))
        continue;
      mlir::Operation *op = value.getDefiningOp();
      if (auto argument = mlir::dyn_cast<mlir::BlockArgument>(value))
        reasons.insert(argument.getArgNumber() == 0 ? "`b`" : "`h`");
      else if (auto size = mlir::dyn_cast<attn::SizeOp>(op))
        reasons.insert(("the size of `" + size.getSpace() + "`").str());
      else if (auto read = mlir::dyn_cast<attn::ReadOp>(op);
               read && read.getTensor().getDefiningOp<attn::InputOp>())
        reasons.insert(("the tensor `" + read.getTensor().getDefiningOp<attn::InputOp>().getName() +
                        "`, which is bound at launch")
                           .str());
      else if (op->getNumOperands() == 0)
        reasons.insert("a parameter that is no int");
      else
        for (mlir::Value operand : op->getOperands())
          if (!mlir::isa<attn::AttnTensorType>(operand.getType()))
            open.push_back(operand);
    }
  }

private:
  std::optional<int64_t> compute(mlir::Value value);

  const Options &options;
  llvm::DenseMap<mlir::Value, std::optional<int64_t>> known;
};

} // namespace

std::optional<int64_t> UniformValues::compute(mlir::Value value) {
  using namespace mlir;
  Operation *op = value.getDefiningOp();
  IntegerAttr constant;
  if (!op)
    return std::nullopt; // b or h: not the same for all programs
  if (matchPattern(value, m_Constant(&constant)))
    return constant.getType().isInteger(1) ? int64_t(constant.getValue().isOne())
                                           : constant.getInt();
  if (auto param = dyn_cast<attn::ParamOp>(op)) {
    auto bound = options.params.find(param.getName().str());
    if (bound != options.params.end())
      return static_cast<int64_t>(bound->second);
    if (auto number = dyn_cast<IntegerAttr>(param.getDefaultValue()))
      return number.getInt();
    return std::nullopt;
  }
  if (auto size = dyn_cast<attn::SizeOp>(op)) {
    const std::map<llvm::StringRef, int64_t> sizes = {{"b", options.batch},
                                                      {"h", options.heads},
                                                      {"g", options.effectiveKVHeads()},
                                                      {"q", options.qLen},
                                                      {"kv", options.effectiveKVLen()},
                                                      {"d", options.headDim},
                                                      {"e", options.effectiveVHeadDim()}};
    auto it = sizes.find(size.getSpace());
    return it == sizes.end() ? std::nullopt : std::optional<int64_t>(it->second);
  }
  SmallVector<int64_t> x;
  for (Value operand : op->getOperands()) {
    std::optional<int64_t> bound = known.lookup(operand);
    if (!bound)
      return std::nullopt;
    x.push_back(*bound);
  }
  using Result = std::optional<int64_t>;
  // Ints of a spec wrap around at 32 bits.
  auto wrap = [](int64_t v) { return Result(static_cast<int32_t>(static_cast<uint32_t>(v))); };
  return llvm::TypeSwitch<Operation *, Result>(op)
      .Case([&](arith::AddIOp) { return wrap(x[0] + x[1]); })
      .Case([&](arith::SubIOp) { return wrap(x[0] - x[1]); })
      .Case([&](arith::MulIOp) { return wrap(x[0] * x[1]); })
      .Case([&](arith::FloorDivSIOp) {
        return x[1] == 0 ? Result(0) : wrap(llvm::divideFloorSigned(x[0], x[1]));
      })
      .Case([&](mlir::math::AbsIOp) { return wrap(std::abs(x[0])); })
      .Case([&](arith::MinSIOp) { return Result(std::min(x[0], x[1])); })
      .Case([&](arith::MaxSIOp) { return Result(std::max(x[0], x[1])); })
      .Case([&](arith::AndIOp) { return Result(x[0] & x[1]); })
      .Case([&](arith::OrIOp) { return Result(x[0] | x[1]); })
      .Case([&](arith::XOrIOp) { return Result(x[0] ^ x[1]); })
      .Case([&](arith::ShLIOp) { return wrap(x[0] * (int64_t(1) << (x[1] & 31))); })
      .Case([&](arith::ShRSIOp) { return Result(x[0] >> (x[1] & 31)); })
      .Case([&](arith::SelectOp) { return Result(x[0] ? x[1] : x[2]); })
      .Case([&](arith::CmpIOp cmp) {
        APInt a(64, x[0], true), b(64, x[1], true);
        return Result(arith::applyCmpPredicate(cmp.getPredicate(), a, b));
      })
      .Default([](Operation *) { return Result(); });
}

static TileCounts countTiles(const KeyRanges &ranges, const KernelPlan &plan,
                             const Options &options) {
  TileCounts counts;
  UniformValues uniforms(options);
  llvm::SmallVector<RowExpr::Ref> bounds;
  for (const KeyRange &range : ranges.ranges)
    bounds.append({range.mayLo, range.mayHi, range.mustLo, range.mustHi});
  std::set<std::string> reasons;
  forEachNode(bounds, [&](RowExpr::Ref e) {
    if (e->uniform && !uniforms.get(e->uniform))
      uniforms.explain(e->uniform, reasons);
  });
  counts.known = reasons.empty();
  counts.unknown = "differs with " + llvm::join(reasons, ", ");
  if (!counts.known)
    return counts;
  int64_t queries = options.qLen, keys = options.effectiveKVLen();
  int64_t tiles = llvm::divideCeil(keys, plan.tileKV);
  // Each tile is looked at: enough for a million queries and keys, not for the largest lengths
  // there are.
  constexpr int64_t most = int64_t(1) << 28;
  if (tiles > most || tiles * int64_t(llvm::divideCeil(queries, plan.tileQ)) > most) {
    counts.known = false;
    counts.unknown = "of more tiles than are counted";
    return counts;
  }
  auto value = [&](mlir::Value v) { return *uniforms.get(v); };
  for (int64_t first = 0; first < queries; first += plan.tileQ) {
    int64_t last = std::min(first + plan.tileQ, queries) - 1;
    RowExprValues values(first, last, queries, keys, value);
    auto bound = [&](RowExpr::Ref e) { return std::clamp<int64_t>(values.evaluate(e), 0, keys); };
    std::vector<char> kind(tiles, 0); // 0 empty, 1 partial, 2 full
    for (const KeyRange &range : ranges.ranges) {
      int64_t lo = bound(range.mayLo), hi = bound(range.mayHi);
      for (int64_t t = lo / plan.tileKV; lo < hi && t < int64_t(llvm::divideCeil(hi, plan.tileKV));
           ++t)
        kind[t] = std::max<char>(kind[t], 1);
      if (!range.hasMust())
        continue;
      int64_t from = llvm::divideCeil(bound(range.mustLo), plan.tileKV);
      for (int64_t t = from; t < bound(range.mustHi) / plan.tileKV; ++t)
        kind[t] = 2;
    }
    for (char k : kind)
      ++(k == 2 ? counts.full : k == 1 ? counts.partial : counts.empty);
  }
  return counts;
}

static std::string rangeText(const KeyRange &range, bool hasLists) {
  std::string text = "[" + range.mayLo->str() + ", " + range.mayHi->str() + ")";
  if (range.hasMust())
    text += ", all rows attend to [" + range.mustLo->str() + ", " + range.mustHi->str() + ")";
  else if (!hasLists)
    text += ", nothing guaranteed: every visited tile evaluates the mask";
  return text;
}

static std::string precisionText(const KernelPlan &plan) {
  if (plan.dtype != "f32")
    return plan.dtype + " products, f32 accumulation";
  if (plan.target.kind == Target::Kind::Host)
    return "f32 throughout";
  return plan.precision == "tf32" ? "tf32 products (asked for by the spec), f32 accumulation"
                                  : "f32 by three tf32 products, f32 accumulation";
}

/// Why the scale is or is not folded into the exponential.
static std::string scaleText(attn::AttendOp attend) {
  if (attend.getScale())
    return "multiplied into the scores: the spec writes it, so its sign is not known";
  if (!attend.getScore().empty())
    return "multiplied into the scores: the score statement sees them";
  if (!attend.getSink().empty())
    return "multiplied into the scores: the sink is compared with them";
  return "folded into the exponential: one fused multiply-add and one exp2 for each score";
}

/// The attention of a variant that is nothing else, over Q, K and V; null for another variant.
static attn::AttendOp onlyAttention(attn::VariantOp variant) {
  attn::AttendOp only;
  for (mlir::Operation &op : variant.getBody().front()) {
    if (llvm::none_of(op.getResultTypes(), llvm::IsaPred<attn::AttnTensorType>) ||
        mlir::isa<attn::InputOp>(op))
      continue;
    auto attend = mlir::dyn_cast<attn::AttendOp>(op);
    if (only || !attend || !attend.isPlain())
      return {};
    only = attend;
  }
  return only;
}

/// The program that a variant becomes. The error says, with its place, what has no code.
static llvm::Expected<Program> programOf(const Options &options, Spec &spec,
                                         const CompileOptions &compile) {
  Diagnostics diagnostics(options.spec, &spec.context());
  mlir::OwningOpRef<mlir::ModuleOp> module = spec.cloneVariant();
  CompileRequest request;
  request.options = compile;
  request.to = launchPhase(compile.target.kind);
  llvm::Expected<CompileResult> result = runPhases(*module, request);
  if (!result)
    return diagnostics.explain(result.takeError());
  mlir::FailureOr<LaunchRecord> launch = extractLaunchRecord(*module, compile.target);
  if (mlir::failed(launch))
    return diagnostics.explain(llvm::createStringError("it has no program"));
  return std::move(launch->program);
}

/// Whether attentions of the program go by lists of tiles (attn-list-tiles).
static llvm::Expected<bool> hasLists(Spec &spec, const CompileOptions &compile) {
  auto module = formKernels(spec, compile);
  if (!module)
    return module.takeError();
  return (*module)
      ->walk([](attn::AttendOp attend) {
        return attend.getVisits() ? mlir::WalkResult::interrupt() : mlir::WalkResult::advance();
      })
      .wasInterrupted();
}

/// A spec of several stages: what each is, and the kernels that they become.
static llvm::Error explainSeveral(const Options &options, Spec &spec,
                                  const CompileOptions &compile) {
  llvm::Expected<BoundSpec> bound = sizeSpec(options, spec);
  if (!bound)
    return bound.takeError();
  llvm::Expected<Program> program = programOf(options, spec, compile);
  if (options.json) {
    if (!program)
      return program.takeError();
    llvm::Expected<llvm::json::Object> object = describeProgram(*program, *bound);
    if (!object)
      return object.takeError();
    object->insert({"spec", spec.variant().getSymName()});
    object->insert({"target", compile.target.name});
    llvm::outs() << formatv("{0:2}\n", llvm::json::Value(std::move(*object)));
    return llvm::Error::success();
  }
  explainStages(spec.variant());
  llvm::outs() << formatv("target    {0}\n", compile.target.name);
  if (program)
    return explainProgram(*program, *bound, compile.target.kind == Target::Kind::NVPTX);
  llvm::outs() << formatv("code      {0}\n", llvm::toString(program.takeError()));
  return llvm::Error::success();
}

namespace {
/// One attention stage and the kernel that it becomes.
struct Explained {
  Spec &spec;
  attn::AttendOp attend;
  const Target &target;
  KernelPlan plan;
  KeyRanges ranges;
  TileCounts counts;
  Program program;
  bool hasLists; ///< of the tiles of the ranges, those that are visited are listed

  int64_t sharedBytes() const {
    int64_t most = 0;
    for (const KernelLaunch &launch : program.launches)
      most = std::max(most, launch.sharedBytes);
    return most;
  }
};
} // namespace

static llvm::Error printAsJson(Explained &of, BoundSpec &bound) {
  llvm::json::Array rangeArray;
  for (const KeyRange &range : of.ranges.ranges)
    rangeArray.push_back(rangeText(range, of.hasLists));
  llvm::Expected<llvm::json::Object> described = describeProgram(of.program, bound);
  if (!described)
    return described.takeError();
  llvm::json::Object &object = *described;
  object["spec"] = of.spec.variant().getSymName();
  object["target"] = of.target.name;
  object["tile_q"] = of.plan.tileQ;
  object["tile_kv"] = of.plan.tileKV;
  object["stages"] = of.plan.stages;
  object["warps"] = of.plan.numWarps;
  object["shared_bytes"] = of.sharedBytes();
  object["precision"] = precisionText(of.plan);
  object["scale"] = scaleText(of.attend);
  object["key_ranges"] = std::move(rangeArray);
  object["lists"] = of.hasLists;
  if (of.counts.known)
    object["tiles"] = llvm::json::Object{
        {"full", of.counts.full}, {"partial", of.counts.partial}, {"empty", of.counts.empty}};
  llvm::outs() << formatv("{0:2}\n", llvm::json::Value(std::move(object)));
  return llvm::Error::success();
}

static void printLine(llvm::StringRef what, const llvm::Twine &text) {
  llvm::outs() << formatv("{0,-12} {1}\n", what, text.str());
}

/// The keys that are visited, and how much of all of them that is.
static void printKeys(const Explained &of, const Options &options) {
  const KernelPlan &plan = of.plan;
  const TileCounts &counts = of.counts;
  printLine("keys", of.ranges.ranges.size() == 1
                        ? "one range for each query tile (first..last are its rows)"
                        : formatv("{0} ranges for each query tile, sorted and clipped at "
                                  "run time (first..last are its rows)",
                                  of.ranges.ranges.size())
                              .str());
  for (const KeyRange &range : of.ranges.ranges)
    printLine("", rangeText(range, of.hasLists));
  if (of.hasLists)
    printLine("lists",
              "of these tiles, those that the mask's tensors leave are listed at launch: FULL ones "
              "first, then PARTIAL ones");
  if (!counts.known)
    return printLine("sparsity", counts.unknown);
  int64_t all = counts.full + counts.partial + counts.empty;
  printLine(
      "sparsity",
      formatv("of {0} key tiles of a head{4}: {1} FULL (no mask code), {2} PARTIAL, {3} EMPTY "
              "(not visited)",
              all, counts.full, counts.partial, counts.empty,
              of.hasLists ? ", by the ranges alone" : "")
          .str());
  double work = 4.0 * (counts.full + counts.partial) * plan.tileQ * plan.tileKV *
                (plan.headDim + plan.vHeadDim) / 2 * options.batch * options.heads;
  printLine("work", formatv("{1}{0:F2} GFLOP in products at this shape", work / 1e9,
                            of.hasLists ? "at most " : "")
                        .str());
}

static void printAsText(Explained &of, const Options &options) {
  const KernelPlan &plan = of.plan;
  bool isPadded = plan.headDim % 16 || plan.vHeadDim % 16;
  printLine("variant", of.spec.variant().getSymName());
  printLine("target", of.target.name);
  printLine(
      "kernel",
      formatv("forward: online softmax over key tiles, grid q/{0} x h x b", plan.tileQ).str());
  printLine("tiles", formatv("{0} query rows x {1} keys, head dim {2} / {3}{4}", plan.tileQ,
                             plan.tileKV, plan.headDim, plan.vHeadDim,
                             isPadded ? " (padded on chip to a multiple of 16)" : "")
                         .str());
  if (of.target.kind == Target::Kind::NVPTX) {
    printLine("block", formatv("{0} warps, {1} bytes of shared memory of {2}", plan.numWarps,
                               of.sharedBytes(), of.target.sharedMemoryLimit)
                           .str());
    printLine("pipeline", formatv("{0} stages of key and value tiles, cp.async by {1} bytes",
                                  plan.stages, plan.vectorBytes)
                              .str());
  }
  printLine("precision", precisionText(plan));
  printLine("scale", scaleText(of.attend));
  printKeys(of, options);
}

llvm::Error driver::runExplain(const Options &options) {
  llvm::Expected<Target> target = Target::parse(options.target.empty() ? "sm_80" : options.target);
  if (!target)
    return target.takeError();
  llvm::Expected<std::unique_ptr<Spec>> opened = openSpec(options);
  if (!opened)
    return opened.takeError();
  Spec &spec = **opened;
  llvm::Expected<CompileOptions> compile = compileOptionsFor(options, spec, *target);
  if (!compile)
    return compile.takeError();
  attn::AttendOp attend = onlyAttention(spec.variant());
  if (!attend)
    return explainSeveral(options, spec, *compile);
  llvm::Expected<KernelPlan> plan = planVariant(spec.variant(), *compile);
  if (!plan)
    return plan.takeError();
  mlir::PassManager simplify(&spec.context()); // as phase `specialized` does
  simplify.addPass(createAttnMergeEquals());
  if (mlir::failed(simplify.run(spec.module())))
    return llvm::createStringError("cannot simplify the spec");
  KeyRanges ranges = computeKeyRanges(attend);
  TileCounts counts = countTiles(ranges, *plan, options);
  llvm::Expected<BoundSpec> bound = sizeSpec(options, spec);
  if (!bound)
    return bound.takeError();
  llvm::Expected<Program> program = programOf(options, spec, *compile);
  if (!program)
    return program.takeError();
  llvm::Expected<bool> lists = hasLists(spec, *compile);
  if (!lists)
    return lists.takeError();
  Explained of{
      spec,  attend, *target, *plan, std::move(ranges), std::move(counts), std::move(*program),
      *lists};
  if (options.json)
    return printAsJson(of, *bound);
  printAsText(of, options);
  return explainProgram(of.program, *bound, target->kind == Target::Kind::NVPTX);
}
