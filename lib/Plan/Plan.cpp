// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Choice of tiles for a softmax stage, and the plan's attribute form.
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
  int64_t bytes = plan.dtype == "f32" ? 4 : 2;
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

/// What is compiled for, whoever says it.
static llvm::Error checkProblem(const KernelPlan &plan) {
  if (plan.dtype != "f32" && plan.dtype != "f16" && plan.dtype != "bf16")
    return createStringError(
        formatv("unsupported dtype `{0}`: expected f32, f16 or bf16", plan.dtype));
  for (auto [what, dim] : {std::pair("head dim", plan.headDim), {"value head dim", plan.vHeadDim}})
    if (dim < 8 || dim > 256 || dim % 8 != 0)
      return createStringError(
          formatv("unsupported {0} {1}: expected a multiple of 8 from 8 to 256", what, dim));
  int32_t elementBytes = plan.dtype == "f32" ? 4 : 2;
  if (plan.vectorBytes < elementBytes || plan.vectorBytes > 16 ||
      !llvm::isPowerOf2_32(plan.vectorBytes))
    return createStringError(
        formatv("unsupported row alignment of {0} bytes: expected a power of two from {1}, the "
                "size of an element, to 16",
                plan.vectorBytes, elementBytes));
  if (plan.precision != "f32" && plan.precision != "tf32")
    return createStringError(
        formatv("unknown precision `{0}`: expected f32 or tf32", plan.precision));
  return llvm::Error::success();
}

/// Tiles come from the planner, from options, or from a plan that a person edited.
static llvm::Error checkTiles(const KernelPlan &plan) {
  // Tiles are straight-line code: larger ones take minutes to compile.
  constexpr int64_t largest = 4096;
  for (auto [what, rows] : {std::pair("a query tile", plan.tileQ), {"a key tile", plan.tileKV}})
    if (rows < 1 || rows > largest)
      return createStringError(formatv("{0} of {1} rows: expected 1 to {2}", what, rows, largest));
  if (plan.target.kind != Target::Kind::NVPTX)
    return llvm::Error::success();
  if (plan.numWarps < 1 || plan.numWarps > 32)
    return createStringError(
        formatv("a thread block of {0} warps: expected 1 to 32", plan.numWarps));
  if (plan.stages < 2 || plan.stages > 16)
    return createStringError(formatv("{0} pipeline stages: expected 2 to 16", plan.stages));
  if (plan.tileQ % (16 * plan.numWarps) != 0 || !llvm::isPowerOf2_64(plan.tileQ) ||
      plan.tileKV % 16 != 0)
    return createStringError(
        formatv("a query tile of {0} rows does not fit {1} warps: expected a "
                "power of two that is a multiple of 16 rows for each warp, and "
                "a key tile that is a multiple of 16",
                plan.tileQ, plan.numWarps));
  if (sharedBytes(plan) > plan.target.sharedMemoryLimit)
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
  KernelPlan plan;
  plan.target = options.target;
  plan.dtype = options.dtype;
  plan.headDim = options.headDim;
  plan.vHeadDim = options.vHeadDim ? options.vHeadDim : options.headDim;
  plan.vectorBytes = options.vectorBytes;
  plan.constParams = options.constParams;
  plan.precision = precisionOf(variant);
  if (llvm::Error error = checkProblem(plan))
    return std::move(error);
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
  if (llvm::Error error = checkTiles(plan))
    return std::move(error);
  return plan;
}

mlir::DictionaryAttr KernelPlan::toAttr(mlir::MLIRContext *context) const {
  mlir::Builder b(context);
  llvm::SmallVector<mlir::NamedAttribute> params;
  for (auto &[name, value] : constParams)
    params.push_back(b.getNamedAttr(name, b.getF64FloatAttr(value)));
  return b.getDictionaryAttr({b.getNamedAttr("target", b.getStringAttr(target.name)),
                              b.getNamedAttr("dtype", b.getStringAttr(dtype)),
                              b.getNamedAttr("head_dim", b.getI64IntegerAttr(headDim)),
                              b.getNamedAttr("v_head_dim", b.getI64IntegerAttr(vHeadDim)),
                              b.getNamedAttr("tile_q", b.getI64IntegerAttr(tileQ)),
                              b.getNamedAttr("tile_kv", b.getI64IntegerAttr(tileKV)),
                              b.getNamedAttr("stages", b.getI64IntegerAttr(stages)),
                              b.getNamedAttr("num_warps", b.getI64IntegerAttr(numWarps)),
                              b.getNamedAttr("vector_bytes", b.getI64IntegerAttr(vectorBytes)),
                              b.getNamedAttr("precision", b.getStringAttr(precision)),
                              b.getNamedAttr("const_params", b.getDictionaryAttr(params))});
}

llvm::Expected<KernelPlan> KernelPlan::fromAttr(mlir::DictionaryAttr attr) {
  KernelPlan plan;
  std::string missing;
  auto text = [&](llvm::StringRef key) -> std::string {
    if (auto value = attr.getAs<mlir::StringAttr>(key))
      return value.getValue().str();
    missing = key.str();
    return {};
  };
  auto number = [&](llvm::StringRef key) -> int64_t {
    if (auto value = attr.getAs<mlir::IntegerAttr>(key))
      return value.getInt();
    missing = key.str();
    return 0;
  };
  std::string targetName = text("target");
  plan.dtype = text("dtype");
  plan.headDim = number("head_dim");
  plan.vHeadDim = number("v_head_dim");
  plan.tileQ = number("tile_q");
  plan.tileKV = number("tile_kv");
  plan.stages = number("stages");
  plan.numWarps = number("num_warps");
  plan.vectorBytes = number("vector_bytes");
  plan.precision = text("precision");
  if (auto params = attr.getAs<mlir::DictionaryAttr>("const_params"))
    for (mlir::NamedAttribute entry : params)
      if (auto value = mlir::dyn_cast<mlir::FloatAttr>(entry.getValue()))
        plan.constParams[entry.getName().str()] = value.getValueAsDouble();
  if (!missing.empty())
    return createStringError(formatv("the plan lacks `{0}`", missing));
  llvm::Expected<Target> target = Target::parse(targetName);
  if (!target)
    return target.takeError();
  plan.target = *target;
  if (llvm::Error error = checkProblem(plan))
    return std::move(error);
  if (llvm::Error error = checkTiles(plan))
    return std::move(error);
  return plan;
}
