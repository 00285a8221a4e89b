// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The pipelines, phase by phase, as a table of contents, and the loop that runs them.
#include "attnc/Pipelines/Phases.h"
#include "attnc/Conversion/Passes.h"
#include "attnc/Target/PTX/PTX.h"
#include "attnc/Transforms/Passes.h"
#include "mlir/Conversion/ConvertToLLVM/ToLLVMPass.h"
#include "mlir/Conversion/ReconcileUnrealizedCasts/ReconcileUnrealizedCasts.h"
#include "mlir/Conversion/SCFToControlFlow/SCFToControlFlow.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Transforms/Passes.h"
#include <chrono>

using namespace mlir;
using namespace attnc;

static constexpr PhaseInfo kPhases[] = {
    {Phase::Attn, "attn", "what the variant means: attn dialect"},
    {Phase::Specialized, "specialized", "the same, for a dtype, dims and constants"},
    {Phase::Kernels, "kernels", "the same, with the schedule of each kernel chosen"},
    {Phase::Tile, "tile", "kernels on tile values, shared by host and GPU"},
    {Phase::Scheduled, "scheduled", "kernels with shared memory, asynchronous copies and layouts"},
    {Phase::NVVM, "nvvm", "code of one thread: NVVM, arith, math, scf"},
    {Phase::LLVM, "llvm", "LLVM dialect only"},
    {Phase::PTX, "ptx", "PTX text"},
};

llvm::ArrayRef<PhaseInfo> attnc::allPhases() { return kPhases; }

std::optional<Phase> attnc::parsePhase(llvm::StringRef name) {
  for (const PhaseInfo &info : kPhases)
    if (name == info.name)
      return info.phase;
  if (name == "plan")
    return Phase::Kernels;
  return std::nullopt;
}

llvm::StringRef attnc::phaseName(Phase phase) { return kPhases[static_cast<int>(phase)].name; }

void attnc::buildPhase(OpPassManager &passes, Phase phase, const CompileOptions &options) {
  switch (phase) {
  case Phase::Attn:
  case Phase::PTX:
    return;
  case Phase::Specialized:
    // The key range analysis recognises equal divisors by being one value.
    passes.addPass(createCSEPass());
    passes.addPass(createAttnSpecialize(options));
    return;
  case Phase::Kernels:
    passes.addPass(createAttnPlan(options));
    return;
  case Phase::Tile:
    passes.addPass(createConvertAttnToTile());
    // Bounds and masks are emitted naively and folded here; loads must be unique before they are
    // matched between the loops of a chain.
    passes.addPass(createCanonicalizerPass());
    passes.addPass(createCSEPass());
    return;
  case Phase::Scheduled: {
    OpPassManager &kernel = passes.nest<tile::KernelOp>();
    kernel.addPass(createTileShareOperands());
    kernel.addPass(createTilePipelineLoads());
    // After the pipeline: it decides which tiles live in registers.
    kernel.addPass(createTileAssignLayouts());
    return;
  }
  case Phase::NVVM:
    passes.addPass(createConvertTileToNVVM());
    // Before conversion to LLVM, which would turn these functions into library calls.
    passes.addPass(createExpandMathForPTX());
    return;
  case Phase::LLVM:
    passes.addPass(createSCFToControlFlowPass());
    ConvertToLLVMPassOptions convert;
    convert.allowPatternRollback = false;
    passes.addPass(createConvertToLLVMPass(convert));
    passes.addPass(createReconcileUnrealizedCastsPass());
    return;
  }
}

void attnc::registerCompilerDialects(DialectRegistry &registry) {
  registry.insert<attn::AttnDialect, tile::TileDialect, arith::ArithDialect, math::MathDialect,
                  scf::SCFDialect, cf::ControlFlowDialect, LLVM::LLVMDialect, NVVM::NVVMDialect>();
  registerPTXTranslations(registry);
}

/// Adds the pass that closes `phase`, if what may not remain at its end is checked by one.
static void buildContract(OpPassManager &passes, Phase phase) {
  switch (phase) {
  case Phase::Attn:
  case Phase::PTX:
    return;
  case Phase::Specialized:
  case Phase::Kernels:
    passes.addPass(createAttnVerifySpecialized());
    return;
  case Phase::Tile:
    passes.addPass(createTileVerifyTiled());
    return;
  case Phase::Scheduled:
    passes.addPass(createTileVerifyScheduled());
    return;
  case Phase::NVVM:
    passes.addPass(createNVVMVerifyLowered());
    return;
  case Phase::LLVM:
    passes.addPass(createLLVMVerifyLowered());
    return;
  }
}

static std::string print(ModuleOp module) {
  std::string text;
  llvm::raw_string_ostream os(text);
  module->print(os);
  return text;
}

llvm::Expected<CompileResult> attnc::runPhases(ModuleOp module, const CompileRequest &request) {
  using Clock = std::chrono::steady_clock;
  CompileResult result;
  if (request.verify && request.from < request.to) {
    // What is fed back may be edited, or be of another phase than it is said to be.
    PassManager passes(module.getContext());
    buildContract(passes, request.from);
    if (failed(passes.run(module)))
      return llvm::createStringError(
          llvm::formatv("this is no IR of phase `{0}`", phaseName(request.from)));
  }
  for (const PhaseInfo &info : kPhases) {
    if (info.phase <= request.from || info.phase > request.to)
      continue;
    auto start = Clock::now();
    if (info.phase == Phase::PTX) {
      PTXTimings times;
      llvm::Expected<std::string> ptx = translateToPTX(module, request.options.target.name, &times);
      if (!ptx)
        return ptx.takeError();
      result.ptx = std::move(*ptx);
      result.ptxSteps = {
          {"translate", times.translate}, {"optimize", times.optimize}, {"codegen", times.codegen}};
    } else {
      PassManager passes(module.getContext());
      passes.enableVerifier(request.verify);
      buildPhase(passes, info.phase, request.options);
      if (request.verify)
        buildContract(passes, info.phase);
      if (failed(passes.run(module)))
        return llvm::createStringError(llvm::formatv("phase `{0}` failed", info.name));
    }
    std::chrono::duration<double, std::milli> elapsed = Clock::now() - start;
    result.phases.push_back({info.phase, elapsed.count()});
    if (request.dump)
      request.dump(info.phase, info.phase == Phase::PTX ? result.ptx : print(module));
  }
  return result;
}
