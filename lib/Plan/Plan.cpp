// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Choice of tiles, for attention stages above all, and what a planned variant says about itself.
#include "attnc/Plan/Plan.h"
#include "attnc/Analysis/Compilable.h"
#include "attnc/Analysis/KeyRanges.h"
#include "mlir/IR/Builders.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MathExtras.h"

using namespace attnc;
using llvm::createStringError;
using llvm::formatv;

llvm::Expected<Target> Target::parse(llvm::StringRef name) {
  struct Known {
    const char *name;
    int cc;
    int64_t shared;
  };
  // Shared memory per block: CUDA C++ Programming Guide, "Technical Specifications per Compute
  // Capability", maximum amount of shared memory per thread block.
  static constexpr Known known[] = {{"sm_80", 80, 163 * 1024},  {"sm_86", 86, 99 * 1024},
                                    {"sm_89", 89, 99 * 1024},   {"sm_90", 90, 227 * 1024},
                                    {"sm_90a", 90, 227 * 1024}, {"sm_100a", 100, 227 * 1024},
                                    {"sm_120a", 120, 99 * 1024}};
  Target target;
  if (name == "host")
    return target;
  for (const Known &k : known)
    if (name == k.name) {
      target.kind = Kind::NVPTX;
      target.name = name.str();
      target.computeCapability = k.cc;
      target.sharedMemoryLimit = k.shared;
      return target;
    }
  return createStringError(formatv(
      "unknown target `{0}`: expected host, sm_80, sm_86, sm_89, sm_90a, sm_100a or sm_120a",
      name));
}

std::string attnc::checkChunk(int64_t chunk) {
  if (chunk < 0 || chunk > 4096)
    return "expected a number from 0 to 4096";
  if (chunk > 16 && chunk % 16 != 0)
    return "expected a multiple of 16, or less than that";
  return "";
}

std::string attnc::precisionOf(attn::VariantOp variant) {
  std::string precision = "f32";
  variant.walk([&](attn::AttendOp attend) {
    if (attend.getPrecision() == attn::Precision::TF32)
      precision = "tf32";
  });
  return precision;
}

namespace {
/// What the operands of the attention stages of a variant have at most.
struct Operands {
  int64_t d = 0, e = 0;  ///< columns of queries and keys, and of values, padded; 0: no such stage
  int64_t bytes = 2;     ///< of an element
  bool hasRanges = true; ///< masks that ranges of keys say
  bool beginOrEnd = true, beginAndEnd = true; ///< ranges at the same key for all rows
  bool hasScoresOfKeys = false;               ///< score code that reads tensors at keys

  int64_t most() const { return std::max(d, e); }
  bool isWide() const { return bytes == 4; }
};
} // namespace

/// Whether score code reads tensors at its key: a load, and an address, for each score.
static bool readsAtKeys(attn::AttendOp attend) {
  if (attend.getScore().empty())
    return false;
  mlir::Block &score = attend.getScore().front();
  llvm::SmallPtrSet<mlir::Value, 16> ofKey{score.getArguments().back()};
  for (mlir::Operation &op : score) {
    if (op.getNumRegions() != 0)
      return true;
    if (!llvm::any_of(op.getOperands(), [&](mlir::Value v) { return ofKey.contains(v); }))
      continue;
    if (mlir::isa<attn::ReadOp>(op))
      return true;
    ofKey.insert(op.result_begin(), op.result_end());
  }
  return false;
}

static Operands operandsOf(attn::VariantOp variant, const Problem &problem) {
  Operands operands;
  auto columns = [&](mlir::Value tensor) {
    auto type = mlir::cast<attn::AttnTensorType>(tensor.getType());
    if (type.hasOperandElementType() ? problem.elementBytes() == 4 : type.getElementType().isF32())
      operands.bytes = 4;
    if (type.getRank() == 0)
      return int64_t(0);
    llvm::StringRef name = type.getAxisName(type.getRank() - 1);
    int64_t size = name.empty()  ? type.getAxisSize(type.getRank() - 1)
                   : name == "d" ? problem.headDim
                   : name == "e" ? problem.vHeadDim
                                 : fixedExtent(variant, name).value_or(0);
    return static_cast<int64_t>(llvm::alignTo(size, 16));
  };
  variant.walk([&](attn::AttendOp attend) {
    operands.d = std::max(operands.d, columns(attend.getQuery()));
    operands.e = std::max(operands.e, columns(attend.getValue()));
    operands.hasScoresOfKeys |= readsAtKeys(attend);
    KeyRanges keys = computeKeyRanges(attend);
    operands.hasRanges &= hasFusedForm(attend) && keys.exact;
    for (const KeyRange &range : keys.ranges) {
      operands.beginOrEnd &= !range.mayLo->hasRow || !range.mayHi->hasRow;
      operands.beginAndEnd &= !range.mayLo->hasRow && !range.mayHi->hasRow;
    }
  });
  return operands;
}

/// Whether warpgroups multiply: tiles of 64 rows for each four warps.
static bool usesWarpgroups(const KernelPlan &plan, const Operands &operands) {
  return plan.target.hasWarpgroupProducts() && !operands.isWide() && plan.numWarps % 4 == 0 &&
         plan.tileQ == 16 * plan.numWarps;
}

/// Bytes of shared memory of the schedule: the query tile and `stages` key and value tiles, with
/// one 16-byte chunk of padding in each row; or one value tile more, without padding
/// (tile-delay-products).
static int64_t sharedBytes(const KernelPlan &plan, const Operands &operands) {
  if (operands.most() == 0)
    return 0;
  constexpr int64_t kBarriers = 256; // of rings (tile-specialize-warps)
  if (usesWarpgroups(plan, operands))
    return kBarriers + 2 * (plan.tileQ * operands.d +
                            plan.tileKV * (plan.stages * (operands.d + operands.e) + operands.e));
  int64_t pad = operands.isWide() ? 128 : 16;
  return plan.tileQ * (operands.d * operands.bytes + pad) +
         plan.stages * plan.tileKV * ((operands.d + operands.e) * operands.bytes + 2 * pad);
}

/// Tiles for mma.sync. What binds is registers: a warp holds 16 rows of the output and of the
/// scores in accumulators (16 * (e + tileKV) * 4 bytes / 32 lanes), and the query's fragments. One
/// row tile to a warp leaves room for score and mask code at every head dim; two (tileQ = 128)
/// would use each key fragment twice, but takes all 255 registers at head dim 64. Where these tiles
/// do not fit in shared memory, key tiles shrink first (the query tile is what a key is reused by),
/// then the query tile and with it the block.
static void chooseForGPU(KernelPlan &plan, const Operands &operands) {
  plan.stages = 2;
  plan.tileQ = 64;
  plan.tileKV = operands.isWide() || operands.most() > 128 ? 32 : 64;
  while (sharedBytes(plan, operands) > plan.target.sharedMemoryLimit && plan.tileQ > 16) {
    if (plan.tileKV > 16)
      plan.tileKV /= 2;
    else
      plan.tileQ /= 2;
  }
  plan.numWarps = plan.tileQ / 16;
}

/// Tiles for warpgroups: two of them share keys and values, which are read from global memory half
/// as often as by one, and more would have fewer registers than the output and the scores take (64
/// rows * (e + tileKV) * 4 bytes / 128 threads, and half of the scores again as weights). Where a
/// mask visits listed tiles or is looked at everywhere, small tiles hide less of what is visible.
static void chooseForWarpgroups(KernelPlan &plan, const Operands &operands) {
  if (operands.most() == 0 || !operands.hasRanges)
    return;
  KernelPlan large = plan;
  large.tileQ = 128;
  large.numWarps = 8;
  large.tileKV = operands.most() <= 128 && !operands.hasScoresOfKeys ? 128 : 64;
  if (sharedBytes(large, operands) <= plan.target.sharedMemoryLimit && operands.most() <= 256)
    plan = large;
}

/// Tiles for the host: the score tile and the packed key tile should stay in L1/L2. Where all rows
/// see the same keys, more rows share a packed key tile, and of long rows of values more keys share
/// an update of the output. Elsewhere large tiles visit more of what a row does not see; a matrix
/// unit makes up for it where ranges have one end for all rows, but for a few hundred of them.
static void chooseForHost(KernelPlan &plan, const Operands &operands, bool hasMatrixUnit) {
  bool large =
      operands.most() != 0 && operands.hasRanges &&
      (operands.beginAndEnd || (operands.beginOrEnd && hasMatrixUnit && plan.dtype == "bf16"));
  plan.tileQ = large ? 128 : 64;
  plan.tileKV = large && operands.most() > 64 ? 128 : 64;
  plan.stages = 1;
  plan.numWarps = 1;
}

mlir::Type Problem::elementType(mlir::MLIRContext *context) const {
  if (dtype == "f32")
    return mlir::Float32Type::get(context);
  return dtype == "f16" ? mlir::Type(mlir::Float16Type::get(context))
                        : mlir::Type(mlir::BFloat16Type::get(context));
}

static std::string dtypeText(mlir::Type type) {
  return type.isF32() ? "f32" : type.isF16() ? "f16" : type.isBF16() ? "bf16" : "";
}

/// The operand dtype of a variant that is specialised; empty for another.
static std::string fixedDType(attn::VariantOp variant) {
  if (auto type = variant->getAttrOfType<mlir::TypeAttr>(operandDTypeAttr))
    return dtypeText(type.getValue());
  if (!fixedExtent(variant, "d"))
    return {};
  // One that somebody wrote by hand: what its queries have. Without an attention, nothing that is
  // planned depends on it.
  for (auto attend : variant.getBody().getOps<attn::AttendOp>())
    return dtypeText(attend.getQuery().getType().getElementType());
  return "f32";
}

llvm::Expected<Problem> attnc::problemOf(attn::VariantOp variant, const CompileOptions &options) {
  Problem problem;
  std::string fixed = fixedDType(variant);
  problem.dtype = fixed.empty() ? options.dtype : fixed;
  problem.headDim = fixedExtent(variant, "d").value_or(options.headDim);
  problem.vHeadDim =
      fixedExtent(variant, "e").value_or(options.vHeadDim ? options.vHeadDim : problem.headDim);
  if (problem.dtype != "f32" && problem.dtype != "f16" && problem.dtype != "bf16")
    return createStringError(
        formatv("unsupported dtype `{0}`: expected f32, f16 or bf16", problem.dtype));
  for (auto [what, dim] :
       {std::pair("head dim", problem.headDim), {"value head dim", problem.vHeadDim}})
    if (dim < 1 || dim > maxHeadDim)
      return createStringError(
          formatv("unsupported {0} {1}: expected 1 to {2}", what, dim, maxHeadDim));
  return problem;
}

/// Tiles come from the planner, from options, or from a schedule that a person edited.
static llvm::Error checkPlan(attn::VariantOp variant, const KernelPlan &plan) {
  if (plan.vectorBytes < plan.elementBytes() || plan.vectorBytes > 16 ||
      !llvm::isPowerOf2_32(plan.vectorBytes))
    return createStringError(
        formatv("unsupported row alignment of {0} bytes: expected a power of two from {1}, the "
                "size of an element, to 16",
                plan.vectorBytes, plan.elementBytes()));
  if (std::string problem = tile::ScheduleAttr::problemOf(
          plan.target.name, plan.tileQ, plan.tileKV, plan.stages, plan.numWarps, plan.vectorBytes);
      !problem.empty())
    return createStringError(problem);
  Operands operands = operandsOf(variant, plan);
  int64_t bytes = sharedBytes(plan, operands);
  KernelPlan least = plan;
  least.tileQ = least.tileKV = 16;
  least.stages = 2;
  if (int64_t leastBytes = sharedBytes(least, operands);
      plan.target.kind == Target::Kind::NVPTX && leastBytes > plan.target.sharedMemoryLimit)
    return createStringError(
        formatv("head dims {0} and {1} in {2} do not fit on {3}: the smallest tiles need {4} bytes "
                "of shared memory, a thread block has {5}",
                operands.d, operands.e, operands.isWide() ? "f32" : plan.dtype, plan.target.name,
                leastBytes, plan.target.sharedMemoryLimit));
  if (plan.target.kind == Target::Kind::NVPTX && bytes > plan.target.sharedMemoryLimit)
    return createStringError(formatv(
        "the tiles need {0} bytes of shared memory, {1} has {2}: use fewer stages or smaller "
        "tiles",
        bytes, plan.target.name, plan.target.sharedMemoryLimit));
  return llvm::Error::success();
}

llvm::Expected<KernelPlan> attnc::planVariant(attn::VariantOp variant,
                                              const CompileOptions &options) {
  llvm::Expected<Problem> problem = problemOf(variant, options);
  if (!problem)
    return problem.takeError();
  KernelPlan plan;
  static_cast<Problem &>(plan) = *problem;
  plan.target = options.target;
  plan.vectorBytes = options.vectorBytes;
  plan.precision = precisionOf(variant);
  if (plan.target.kind == Target::Kind::Host)
    chooseForHost(plan, operandsOf(variant, plan), options.hasMatrixUnit);
  else
    chooseForGPU(plan, operandsOf(variant, plan));
  if (plan.target.hasWarpgroupProducts() && !operandsOf(variant, plan).isWide())
    chooseForWarpgroups(plan, operandsOf(variant, plan));
  if (options.tileQ)
    plan.tileQ = options.tileQ;
  if (options.tileKV)
    plan.tileKV = options.tileKV;
  if (options.stages)
    plan.stages = options.stages;
  if (options.numWarps)
    plan.numWarps = options.numWarps;
  if (llvm::Error error = checkPlan(variant, plan))
    return std::move(error);
  return plan;
}

tile::ScheduleAttr KernelPlan::schedule(mlir::MLIRContext *context) const {
  return tile::ScheduleAttr::get(context, target.name, tileQ, tileKV, stages, numWarps, vectorBytes,
                                 precision == "tf32" ? tile::Precision::TF32
                                                     : tile::Precision::F32);
}

llvm::Expected<KernelPlan> attnc::planOf(attn::VariantOp variant) {
  auto schedule = variant->getAttrOfType<tile::ScheduleAttr>(tile::ScheduleAttr::attrName);
  if (!schedule)
    return createStringError("has no schedule: run attn-plan first");
  if (fixedDType(variant).empty() || !fixedExtent(variant, "d") || !fixedExtent(variant, "e"))
    return createStringError("is not specialised: run attn-specialize first");
  llvm::Expected<Problem> problem = problemOf(variant, {});
  if (!problem)
    return problem.takeError();
  llvm::Expected<Target> target = Target::parse(schedule.getTarget());
  if (!target)
    return target.takeError();
  KernelPlan plan;
  static_cast<Problem &>(plan) = *problem;
  plan.target = *target;
  plan.tileQ = schedule.getTileQ();
  plan.tileKV = schedule.getTileKv();
  plan.stages = schedule.getStages();
  plan.numWarps = schedule.getWarps();
  plan.vectorBytes = static_cast<int32_t>(schedule.getVectorBytes());
  plan.precision = tile::stringifyPrecision(schedule.getPrecision()).str();
  if (llvm::Error error = checkPlan(variant, plan))
    return std::move(error);
  return plan;
}
