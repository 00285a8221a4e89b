// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The phases of each target, and the passes of each phase, as a table of contents.
#include "attnc/Pipelines/Phases.h"
#include "attnc/Conversion/Passes.h"
#include "attnc/Conversion/TileToVector/TileToVector.h"
#include "attnc/Target/Host/HostFeatures.h"
#include "attnc/Target/PTX/PTX.h"
#include "attnc/Transforms/Passes.h"
#include "mlir/Conversion/ConvertToLLVM/ToLLVMPass.h"
#include "mlir/Conversion/ReconcileUnrealizedCasts/ReconcileUnrealizedCasts.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;
using namespace attnc;
using Kind = attnc::Target::Kind;

static constexpr PhaseInfo kAttn = {Phase::Attn, "attn", "mlir",
                                    "what the variant means: attn dialect"};
static constexpr PhaseInfo kSpecialized = {Phase::Specialized, "specialized", "mlir",
                                           "the same, for a dtype, dims and constants"};
static constexpr PhaseInfo kKernels = {Phase::Kernels, "kernels", "mlir",
                                       "the same, with the schedule of each kernel chosen"};
static constexpr PhaseInfo kTile = {Phase::Tile, "tile", "mlir",
                                    "kernels on tile values, shared by host and GPU"};
static constexpr PhaseInfo kLLVM = {Phase::LLVM, "llvm", "mlir", "LLVM dialect only"};

static constexpr PhaseInfo kGPUPhases[] = {
    kAttn,
    kSpecialized,
    kKernels,
    kTile,
    {Phase::Scheduled, "scheduled", "mlir",
     "kernels with shared memory, asynchronous copies and layouts"},
    {Phase::NVVM, "nvvm", "mlir", "code of one thread: NVVM, arith, math, scf"},
    kLLVM,
    {Phase::PTX, "ptx", "ptx", "PTX text"},
};

static constexpr PhaseInfo kHostPhases[] = {
    kAttn,
    kSpecialized,
    kKernels,
    kTile,
    {Phase::VectorLoops, "vector-loops", "mlir",
     "code of one thread: loops over vectors of the CPU's width"},
    kLLVM,
    {Phase::Assembly, "asm", "s", "assembly text"},
    {Phase::Object, "object", "o", "an ELF file"},
};

llvm::ArrayRef<PhaseInfo> attnc::phasesOf(Kind kind) {
  return kind == Kind::Host ? llvm::ArrayRef(kHostPhases) : llvm::ArrayRef(kGPUPhases);
}

std::optional<Phase> attnc::parsePhase(llvm::StringRef name, Kind kind) {
  for (const PhaseInfo &info : phasesOf(kind))
    if (name == info.name)
      return info.phase;
  if (name == "plan")
    return Phase::Kernels;
  return std::nullopt;
}

llvm::StringRef attnc::phaseName(Phase phase) {
  for (Kind kind : {Kind::NVPTX, Kind::Host})
    for (const PhaseInfo &info : phasesOf(kind))
      if (info.phase == phase)
        return info.name;
  return "";
}

bool attnc::isCode(Phase phase) { return phase >= Phase::PTX; }

Phase attnc::launchPhase(Kind kind) { return kind == Kind::Host ? Phase::Tile : Phase::Scheduled; }

/// Recurrences a chunk of steps at a time; stages that several of their states have are one.
static void buildChunks(OpPassManager &passes, int64_t chunk, Kind kind) {
  AttnChunkRecurrencesOptions options;
  options.chunk = chunk;
  // More products of matrices, for the sake of what would go element by element: where there are
  // matrix units.
  options.byHalves = kind == Kind::NVPTX;
  passes.addPass(createAttnChunkRecurrences(options));
  passes.addPass(createAttnForwardCopies({/*keepCopies=*/kind == Kind::NVPTX}));
  passes.addPass(createAttnMergeEquals());
}

/// From tile kernels to loops over vectors of the features that are asked for.
static void buildVectorLoops(OpPassManager &passes, const CompileOptions &options) {
  ConvertTileToVectorOptions convert;
  convert.isa = stringifyHostISA(llvm::cantFail(HostFeatures::parse(options.hostFeatures)).isa);
  passes.addPass(createConvertTileToVector(convert));
}

static void buildLLVM(OpPassManager &passes, Kind kind) {
  if (kind == Kind::Host)
    return buildHostLLVMPipeline(passes);
  passes.addPass(createConvertSCFToBranches());
  ConvertToLLVMPassOptions convert;
  convert.allowPatternRollback = false;
  passes.addPass(createConvertToLLVMPass(convert));
  passes.addPass(createReconcileUnrealizedCastsPass());
}

CompileOptions attnc::withHostFacts(CompileOptions options) {
  HostISA isa = llvm::cantFail(HostFeatures::parse(options.hostFeatures)).isa;
  options.hasMatrixUnit = HostTarget{isa}.hasMatrixUnit();
  return options;
}

void attnc::buildPhase(OpPassManager &passes, Phase phase, const CompileOptions &options) {
  switch (phase) {
  case Phase::Attn:
  case Phase::PTX:
  case Phase::Assembly:
  case Phase::Object:
    return;
  case Phase::Specialized:
    // The key range analysis recognises equal divisors by being one value.
    passes.addPass(createAttnMergeEquals());
    passes.addPass(createAttnSpecialize(options));
    // What is left are formulas, selections, attentions and recurrences.
    passes.addPass(createAttnExpandTiledAttention());
    passes.addPass(createAttnExpandMerge());
    passes.addPass(createAttnExpandQuantize());
    passes.addPass(createAttnExpandSoftmax());
    passes.addPass(createAttnExpandOrders());
    // Steps have formulas only by now, and systems are there for what follows.
    if (options.chunk)
      buildChunks(passes, options.chunk, options.target.kind);
    passes.addPass(createAttnExpandScans());
    // Behind them: a formula over queries and keys that one stage reads needs no memory.
    passes.addPass(createAttnInlineLets());
    // Of a condition on an index nothing else is left than the indices it holds for.
    passes.addPass(createAttnSolveConditions());
    return;
  case Phase::Kernels:
    passes.addPass(createAttnPlan(withHostFacts(options)));
    if (options.listTiles)
      passes.addPass(createAttnListTiles());
    if (options.splitKeys)
      passes.addPass(createAttnSplitKeys());
    passes.addPass(createAttnInlineChunks());
    passes.addPass(createAttnInlineFactors());
    passes.addPass(createAttnRoundFactors());
    // Behind all that moves reads, before stages become kernels.
    passes.addPass(createAttnCopyReused());
    if (options.shareKernels)
      passes.addPass(createAttnFormKernels());
    return;
  case Phase::Tile:
    passes.addPass(createConvertAttnToTile());
    // Bounds and masks are emitted naively and folded here; loads must be unique before they are
    // matched between the loops of a chain.
    passes.addPass(createCanonicalizerPass());
    passes.addPass(createCSEPass());
    // Last: what was folded needs no name.
    passes.nest<tile::KernelOp>().addPass(createTileNameValues());
    return;
  case Phase::Scheduled: {
    OpPassManager &kernel = passes.nest<tile::KernelOp>();
    // First: how buffers lie follows from it.
    kernel.addPass(createTileChooseProducts());
    kernel.addPass(createTileDelayProducts());
    kernel.addPass(createTileShareOperands());
    kernel.addPass(createTilePipelineLoads());
    // After the pipeline: it decides which tiles live in registers.
    kernel.addPass(createTileAssignLayouts());
    kernel.addPass(createTileOverlapProducts());
    // Last: roles are made of the whole program.
    kernel.addPass(createTileSpecializeWarps());
    kernel.addPass(createTileTakeTurns());
    passes.addPass(createTileMapTensors());
    return;
  }
  case Phase::NVVM:
    passes.addPass(createConvertTileToNVVM());
    // Before conversion to LLVM, which would turn these functions into library calls.
    passes.addPass(createExpandMathForPTX());
    return;
  case Phase::VectorLoops:
    return buildVectorLoops(passes, options);
  case Phase::LLVM:
    return buildLLVM(passes, options.target.kind);
  }
}

void attnc::buildContract(OpPassManager &passes, Phase phase, Kind kind) {
  switch (phase) {
  case Phase::Attn:
  case Phase::PTX:
  case Phase::Assembly:
  case Phase::Object:
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
  case Phase::VectorLoops:
    passes.addPass(createHostVerifyLoops());
    return;
  case Phase::LLVM:
    passes.addPass(kind == Kind::Host ? createHostVerifyLowered() : createLLVMVerifyLowered());
    return;
  }
}

void attnc::registerCompilerDialects(DialectRegistry &registry) {
  registry.insert<attn::AttnDialect, tile::TileDialect, arith::ArithDialect, math::MathDialect,
                  scf::SCFDialect, cf::ControlFlowDialect, LLVM::LLVMDialect, NVVM::NVVMDialect>();
  registerPTXTranslations(registry);
}
