// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Compiles tile kernels to an object in memory and loads objects into the process.
//
// Time matters more than the last optimisation: the code generator has decided vectorisation,
// blocking and unrolling already, so LLVM runs a short function pipeline in place of O3.
#include "attnc/Target/Host/HostJIT.h"
#include "attnc/Conversion/KernelABIExtraction.h"
#include "attnc/Conversion/TileToVector/TileToVector.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/ExecutionEngine/Orc/ExecutionUtils.h"
#include "llvm/ExecutionEngine/Orc/JITTargetMachineBuilder.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/OptBisect.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/SmallVectorMemoryBuffer.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include <chrono>
#include <mutex>

using namespace mlir;
using namespace attnc;

static llvm::Error error(const llvm::Twine &message) {
  return llvm::createStringError(llvm::inconvertibleErrorCode(), message);
}

static void initializeNativeTarget() {
  static std::once_flag once;
  std::call_once(once, [] {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
  });
}

void attnc::registerHostTarget(DialectRegistry &registry) {
  registry.insert<tile::TileDialect, arith::ArithDialect, math::MathDialect, scf::SCFDialect,
                  cf::ControlFlowDialect, LLVM::LLVMDialect, vector::VectorDialect>();
  registerBuiltinDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
}

static llvm::Expected<std::unique_ptr<llvm::TargetMachine>>
createTargetMachine(const HostCompileOptions &options) {
  initializeNativeTarget();
  auto detected = llvm::orc::JITTargetMachineBuilder::detectHost();
  if (!detected)
    return detected.takeError();
  llvm::orc::JITTargetMachineBuilder builder = *detected;
  if (options.portable || options.isa != detectHostISA()) {
    HostTarget target{options.isa};
    builder = llvm::orc::JITTargetMachineBuilder(detected->getTargetTriple());
    builder.setCPU(target.cpuName().str());
    if (!target.features().empty())
      builder.addFeatures({target.features().str()});
  }
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

static llvm::Expected<std::unique_ptr<llvm::MemoryBuffer>>
emitObject(llvm::Module &module, llvm::TargetMachine &machine) {
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream stream(bytes);
  llvm::legacy::PassManager passes;
  if (machine.addPassesToEmitFile(passes, stream, nullptr, llvm::CodeGenFileType::ObjectFile))
    return error("this LLVM cannot emit objects for " + machine.getTargetTriple().str());
  passes.run(module);
  return std::make_unique<llvm::SmallVectorMemoryBuffer>(std::move(bytes), "attnc-host.o",
                                                         /*RequiresNullTerminator=*/false);
}

llvm::Expected<HostObject> attnc::compileForHost(ModuleOp module,
                                                 const HostCompileOptions &options) {
  using Clock = std::chrono::steady_clock;
  auto since = [](Clock::time_point start) {
    return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
  };
  HostObject result;
  Clock::time_point start = Clock::now();
  for (auto kernel : module.getOps<tile::KernelOp>()) {
    FailureOr<KernelABI> abi = extractKernelABI(kernel);
    if (failed(abi))
      return error("kernel @" + kernel.getSymName() + " has no launchable signature");
    // Any alignment works here; what the plan asks for concerns the GPU.
    for (KernelTensor &tensor : abi->tensors)
      tensor.rowAlignment = 1;
    result.kernels.push_back(std::move(*abi));
  }
  if (result.kernels.empty())
    return error("the module has no tile kernels");
  PassManager pm(module.getContext());
  pm.enableVerifier(options.verify);
  buildHostLoweringPipeline(pm, stringifyHostISA(options.isa));
  if (failed(pm.run(module)))
    return error("lowering to the host failed");
  for (KernelABI &abi : result.kernels) {
    auto function = module.lookupSymbol<LLVM::LLVMFuncOp>(abi.symbol);
    auto bytes = function ? function->getAttrOfType<IntegerAttr>(kScratchBytesAttr) : IntegerAttr();
    if (!bytes)
      return error("kernel @" + abi.symbol + " was not lowered");
    abi.scratchBytes = bytes.getInt();
  }
  result.times.lower = since(start);

  start = Clock::now();
  SkipStrengthReduction gate;
  llvm::LLVMContext context;
  context.setOptPassGate(gate);
  std::unique_ptr<llvm::Module> llvmModule = translateModuleToLLVMIR(
      module, context, "attnc-host", /*disableVerification=*/!options.verify);
  if (!llvmModule)
    return error("translation to LLVM IR failed");
  result.times.translate = since(start);

  auto machine = createTargetMachine(options);
  if (!machine)
    return machine.takeError();
  llvmModule->setTargetTriple((*machine)->getTargetTriple());
  llvmModule->setDataLayout((*machine)->createDataLayout());
  start = Clock::now();
  if (llvm::Error err = optimize(*llvmModule, **machine))
    return std::move(err);
  result.times.optimize = since(start);

  start = Clock::now();
  auto object = emitObject(*llvmModule, **machine);
  if (!object)
    return object.takeError();
  result.object = std::move(*object);
  result.times.codegen = since(start);
  return std::move(result);
}

HostCode::HostCode(std::unique_ptr<llvm::orc::LLJIT> jit) : jit(std::move(jit)) {}
HostCode::~HostCode() = default;

llvm::Expected<std::unique_ptr<HostCode>> HostCode::load(const llvm::MemoryBuffer &object) {
  initializeNativeTarget();
  auto jit = llvm::orc::LLJITBuilder().create();
  if (!jit)
    return jit.takeError();
  // Elementary functions without an expansion are calls to the C library.
  auto symbols = llvm::orc::DynamicLibrarySearchGenerator::GetForCurrentProcess(
      (*jit)->getDataLayout().getGlobalPrefix());
  if (!symbols)
    return symbols.takeError();
  (*jit)->getMainJITDylib().addGenerator(std::move(*symbols));
  if (llvm::Error err = (*jit)->addObjectFile(
          llvm::MemoryBuffer::getMemBufferCopy(object.getBuffer(), "attnc-host")))
    return std::move(err);
  return std::unique_ptr<HostCode>(new HostCode(std::move(*jit)));
}

llvm::Expected<HostKernelFn> HostCode::lookup(llvm::StringRef symbol) {
  auto address = jit->lookup(symbol);
  if (!address)
    return address.takeError();
  return address->toPtr<HostKernelFn>();
}
