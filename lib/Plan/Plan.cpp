// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Choice of tiles for a softmax stage, and what a planned variant says about itself.
#include "attnc/Plan/Plan.h"
#include "attnc/Analysis/Compilable.h"
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

std::string attnc::precisionOf(attn::VariantOp variant) {
  std::string precision = "f32";
  variant.walk([&](attn::AttendOp attend) {
    if (attend.getPrecision() == attn::Precision::TF32)
      precision = "tf32";
  });
  return precision;
}

/// Bytes of shared memory of the schedule: the query tile and `stages` key and value tiles, with
/// one 16-byte chunk of padding in each row.
static int64_t sharedBytes(const KernelPlan &plan) {
  int64_t bytes = plan.elementBytes();
  int64_t d = llvm::alignTo(plan.headDim, 16), e = llvm::alignTo(plan.vHeadDim, 16);
  int64_t pad = plan.dtype == "f32" ? 128 : 16;
  return plan.tileQ * (d * bytes + pad) + plan.stages * plan.tileKV * ((d + e) * bytes + 2 * pad);
}

/// Tiles for mma.sync. What binds is registers: a warp holds 16 rows of the output and of the
/// scores in accumulators (16 * (e + tileKV) * 4 bytes / 32 lanes), and the query's fragments. One
/// row tile to a warp leaves room for score and mask code at every head dim; two (tileQ = 128)
/// would use each key fragment twice, but takes all 255 registers at head dim 64. Where these tiles
/// do not fit in shared memory, key tiles shrink first (the query tile is what a key is reused by),
/// then the query tile and with it the block.
static void chooseForGPU(KernelPlan &plan) {
  int64_t d = llvm::alignTo(std::max(plan.headDim, plan.vHeadDim), 16);
  bool wide = plan.dtype == "f32";
  plan.stages = 2;
  plan.tileQ = 64;
  plan.tileKV = wide || d > 128 ? 32 : 64;
  while (sharedBytes(plan) > plan.target.sharedMemoryLimit && plan.tileQ > 16) {
    if (plan.tileKV > 16)
      plan.tileKV /= 2;
    else
      plan.tileQ /= 2;
  }
  plan.numWarps = plan.tileQ / 16;
}

/// Tiles for the host: the score tile and the packed key tile should stay in L1/L2.
static void chooseForHost(KernelPlan &plan) {
  plan.tileQ = 64;
  plan.tileKV = 64;
  plan.stages = 1;
  plan.numWarps = 1;
}

mlir::Type Problem::elementType(mlir::MLIRContext *context) const {
  if (dtype == "f32")
    return mlir::Float32Type::get(context);
  return dtype == "f16" ? mlir::Type(mlir::Float16Type::get(context))
                        : mlir::Type(mlir::BFloat16Type::get(context));
}

/// The operand dtype of a variant that is specialised; empty for another.
static std::string fixedDType(attn::VariantOp variant) {
  for (auto attend : variant.getBody().getOps<attn::AttendOp>()) {
    mlir::Type type = attend.getQuery().getType().getElementType();
    return type.isF32() ? "f32" : type.isF16() ? "f16" : type.isBF16() ? "bf16" : "";
  }
  // Without an attention, nothing that is planned depends on it.
  return fixedExtent(variant, "d") ? "f32" : "";
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
    if (dim < 8 || dim > 256 || dim % 8 != 0)
      return createStringError(
          formatv("unsupported {0} {1}: expected a multiple of 8 from 8 to 256", what, dim));
  return problem;
}

/// Tiles come from the planner, from options, or from a schedule that a person edited.
static llvm::Error checkPlan(const KernelPlan &plan) {
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
  if (plan.target.kind == Target::Kind::NVPTX && sharedBytes(plan) > plan.target.sharedMemoryLimit)
    return createStringError(formatv(
        "the tiles need {0} bytes of shared memory, {1} has {2}: use fewer stages or smaller "
        "tiles",
        sharedBytes(plan), plan.target.name, plan.target.sharedMemoryLimit));
  return llvm::Error::success();
}

llvm::Expected<KernelPlan> attnc::planVariant(attn::VariantOp variant,
                                              const CompileOptions &options) {
  if (std::optional<Uncompilable> found = findUncompilable(variant))
    return createStringError(found->located());
  llvm::Expected<Problem> problem = problemOf(variant, options);
  if (!problem)
    return problem.takeError();
  KernelPlan plan;
  static_cast<Problem &>(plan) = *problem;
  plan.target = options.target;
  plan.vectorBytes = options.vectorBytes;
  plan.precision = precisionOf(variant);
  if (plan.target.kind == Target::Kind::Host)
    chooseForHost(plan);
  else
    chooseForGPU(plan);
  if (options.tileQ)
    plan.tileQ = options.tileQ;
  if (options.tileKV)
    plan.tileKV = options.tileKV;
  if (options.stages)
    plan.stages = options.stages;
  if (options.numWarps)
    plan.numWarps = options.numWarps;
  if (llvm::Error error = checkPlan(plan))
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
  if (llvm::Error error = checkPlan(plan))
    return std::move(error);
  return plan;
}
