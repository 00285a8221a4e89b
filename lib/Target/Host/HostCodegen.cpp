// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// LLVM dialect to x86-64 code.
//
// Time matters more than the last optimisation: the code generator has decided vectorisation,
// blocking and unrolling already, so LLVM runs a short function pipeline in place of O3.
#include "attnc/Target/Host/HostCodegen.h"
#include "attnc/Conversion/TileToVector/TileToVector.h"
#include "dialects/Tile/Tile.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/ExecutionEngine/Orc/JITTargetMachineBuilder.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/OptBisect.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/TargetParser/Host.h"
#include <chrono>
#include <mutex>

using namespace mlir;
using namespace attnc;
using llvm::createStringError;

void attnc::registerHostTarget(DialectRegistry &registry) {
  registry.insert<tile::TileDialect, arith::ArithDialect, math::MathDialect, scf::SCFDialect,
                  cf::ControlFlowDialect, LLVM::LLVMDialect>();
  registerBuiltinDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
}

void attnc::initializeHostTarget() {
  static std::once_flag once;
  std::call_once(once, [] {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    LLVMInitializeX86AsmParser();
  });
}

static llvm::Expected<std::unique_ptr<llvm::TargetMachine>>
createTargetMachine(const HostFeatures &features) {
  initializeHostTarget();
  llvm::orc::JITTargetMachineBuilder builder{llvm::Triple(llvm::sys::getProcessTriple())};
  builder.setCPU(features.cpu);
  builder.addFeatures(features.changes);
  builder.setCodeGenOptLevel(llvm::CodeGenOptLevel::Default);
  builder.setRelocationModel(llvm::Reloc::PIC_);
  // The default of a JIT is the large model, which spends an instruction on each address of a
  // constant.
  builder.setCodeModel(llvm::CodeModel::Small);
  return builder.createTargetMachine();
}

static llvm::Error optimize(llvm::Module &module, llvm::TargetMachine &machine) {
  llvm::LoopAnalysisManager lam;
  llvm::FunctionAnalysisManager fam;
  llvm::CGSCCAnalysisManager cgam;
  llvm::ModuleAnalysisManager mam;
  llvm::PassBuilder builder(&machine);
  builder.registerModuleAnalyses(mam);
  builder.registerCGSCCAnalyses(cgam);
  builder.registerFunctionAnalyses(fam);
  builder.registerLoopAnalyses(lam);
  builder.crossRegisterProxies(lam, fam, cgam, mam);
  llvm::ModulePassManager passes;
  if (llvm::Error err = builder.parsePassPipeline(
          passes, "function(early-cse,loop-mssa(licm),instcombine<no-verify-fixpoint>,early-cse)"))
    return err;
  passes.run(module, mam);
  return llvm::Error::success();
}

namespace {
/// Skips loop strength reduction in one LLVMContext. It takes 40 % of code generation and gains
/// nothing here: addresses are already a base and a constant.
class SkipStrengthReduction : public llvm::OptPassGate {
public:
  bool shouldRunPass(llvm::StringRef pass, llvm::StringRef) const override {
    return pass != "Loop Strength Reduction";
  }
  bool isEnabled() const override { return true; }
};
} // namespace

static llvm::Expected<std::string> emit(llvm::Module &module, llvm::TargetMachine &machine,
                                        HostCodeKind kind) {
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream stream(bytes);
  llvm::legacy::PassManager passes;
  bool text = kind == HostCodeKind::Assembly;
  if (machine.addPassesToEmitFile(passes, stream, nullptr,
                                  text ? llvm::CodeGenFileType::AssemblyFile
                                       : llvm::CodeGenFileType::ObjectFile))
    return createStringError("this LLVM cannot emit " + llvm::Twine(text ? "assembly" : "objects") +
                             " for " + machine.getTargetTriple().str());
  passes.run(module);
  return std::string(bytes.data(), bytes.size());
}

llvm::Expected<std::string> attnc::translateToHostCode(ModuleOp module,
                                                       const HostFeatures &features,
                                                       HostCodeKind kind, bool verify,
                                                       HostTimings *timings) {
  using Clock = std::chrono::steady_clock;
  auto since = [](Clock::time_point start) {
    return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
  };
  HostTimings ignored;
  HostTimings &times = timings ? *timings : ignored;
  Clock::time_point start = Clock::now();
  SkipStrengthReduction gate;
  llvm::LLVMContext context;
  context.setOptPassGate(gate);
  std::unique_ptr<llvm::Module> llvmModule =
      translateModuleToLLVMIR(module, context, "attnc-host", /*disableVerification=*/!verify);
  if (!llvmModule)
    return createStringError("translation to LLVM IR failed");
  times.translate = since(start);

  auto machine = createTargetMachine(features);
  if (!machine)
    return machine.takeError();
  llvmModule->setTargetTriple((*machine)->getTargetTriple());
  llvmModule->setDataLayout((*machine)->createDataLayout());
  start = Clock::now();
  if (llvm::Error err = optimize(*llvmModule, **machine))
    return std::move(err);
  times.optimize = since(start);

  start = Clock::now();
  llvm::Expected<std::string> code = emit(*llvmModule, **machine, kind);
  times.codegen = since(start);
  return code;
}
