// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// LLVM dialect to PTX. The optimisation pipeline is a short list of function passes: the kernels
// are straight-line code in simple loops, unrolled and scheduled by us, so that the full -O3
// pipeline costs four times as much and makes the code larger.
#include "attnc/Target/PTX/PTX.h"
#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/MathToLLVM/MathToLLVM.h"
#include "mlir/Conversion/NVVMToLLVM/NVVMToLLVM.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/NVVM/NVVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/IntrinsicsNVPTX.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Target/TargetMachine.h"
#include <chrono>
#include <mutex>

extern "C" {
void LLVMInitializeNVPTXTarget();
void LLVMInitializeNVPTXTargetInfo();
void LLVMInitializeNVPTXTargetMC();
void LLVMInitializeNVPTXAsmPrinter();
}

using namespace attnc;

static double now() {
  using namespace std::chrono;
  return duration<double, std::milli>(steady_clock::now().time_since_epoch()).count();
}

/// Sets a command-line option of the LLVM libraries; there is no other way to reach these.
static void setOption(llvm::StringRef name, llvm::StringRef value) {
  auto &options = llvm::cl::getRegisteredOptions();
  auto found = options.find(name);
  if (found != options.end())
    found->second->addOccurrence(/*pos=*/1, name, value);
}

/// Registers the target once. 32-bit pointers to shared memory take half the registers.
/// Multiplications and additions are fused at every level of optimisation (see translateToPTX for
/// the level).
static void initializeNVPTX() {
  static std::once_flag once;
  std::call_once(once, [] {
    LLVMInitializeNVPTXTargetInfo();
    LLVMInitializeNVPTXTarget();
    LLVMInitializeNVPTXTargetMC();
    LLVMInitializeNVPTXAsmPrinter();
    setOption("nvptx-short-ptr", "true");
    setOption("nvptx-fma-level", "2");
    // Joins the registers of copies: an accumulator of wgmma that is copied between products costs
    // one move for each of its registers. It is off where nothing is optimised, and takes no time.
    setOption("optimize-regalloc", "true");
  });
}

void attnc::registerPTXTranslations(mlir::DialectRegistry &registry) {
  mlir::registerBuiltinDialectTranslation(registry);
  mlir::registerLLVMDialectTranslation(registry);
  mlir::registerNVVMDialectTranslation(registry);
  mlir::arith::registerConvertArithToLLVMInterface(registry);
  mlir::cf::registerConvertControlFlowToLLVMInterface(registry);
  mlir::registerConvertMathToLLVMInterface(registry);
  mlir::registerConvertNVVMToLLVMInterface(registry);
}

llvm::Expected<std::string> attnc::ptxFeatureFor(llvm::StringRef arch) {
  static const std::pair<const char *, const char *> table[] = {
      {"sm_80", "+ptx70"},  {"sm_86", "+ptx71"},   {"sm_89", "+ptx78"},  {"sm_90", "+ptx78"},
      {"sm_90a", "+ptx80"}, {"sm_100a", "+ptx86"}, {"sm_120a", "+ptx87"}};
  for (auto [name, feature] : table)
    if (arch == name)
      return std::string(feature);
  return llvm::createStringError(llvm::formatv("no PTX version is known for `{0}`", arch));
}

/// Bytes of the parameters of a kernel.
static uint64_t parameterBytes(const llvm::Function &function) {
  const llvm::DataLayout &layout = function.getParent()->getDataLayout();
  uint64_t bytes = 0;
  for (const llvm::Argument &argument : function.args()) {
    uint64_t size = layout.getTypeAllocSize(argument.getType());
    bytes = llvm::alignTo(bytes, size) + size;
  }
  return bytes;
}

/// The PTX version that `module` needs: kernels with many parameters need 8.1, which older drivers
/// do not read.
static llvm::StringRef versionFor(const llvm::Module &module, llvm::StringRef feature) {
  constexpr uint64_t mostBefore81 = 4352;
  bool isLarge = llvm::any_of(module, [](const llvm::Function &function) {
    return parameterBytes(function) > mostBefore81;
  });
  return isLarge && feature < "+ptx81" ? "+ptx81" : feature;
}

/// Whether a kernel has so many branches that the usual passes would take longer than all of the
/// rest. Guards of loads and stores often have one condition, and for each branch on it LLVM looks
/// at all of its uses, in each of these passes. The largest kernel of the gallery has 1,312; a
/// recurrence with a thousand statements in a step has 2,009.
static bool branchesTooOften(const llvm::Module &module) {
  constexpr int most = 1536;
  return llvm::any_of(module, [](const llvm::Function &function) {
    return llvm::count_if(function, [](const llvm::BasicBlock &block) {
             return block.getTerminator()->getNumSuccessors() > 1;
           }) > most;
  });
}

/// What all threads of a warp must execute together stays so: the LLVM dialect cannot say it of
/// asm.
static void keepTogether(llvm::Module &module) {
  for (llvm::Function &function : module)
    for (llvm::Instruction &instruction : llvm::instructions(function))
      if (auto *call = llvm::dyn_cast<llvm::CallInst>(&instruction); call && call->isInlineAsm())
        call->setConvergent();
}

static llvm::Error optimize(llvm::Module &module, llvm::TargetMachine &machine) {
  llvm::LoopAnalysisManager lam;
  llvm::FunctionAnalysisManager fam;
  llvm::CGSCCAnalysisManager cam;
  llvm::ModuleAnalysisManager mam;
  llvm::PassBuilder builder(&machine);
  builder.registerModuleAnalyses(mam);
  builder.registerCGSCCAnalyses(cam);
  builder.registerFunctionAnalyses(fam);
  builder.registerLoopAnalyses(lam);
  builder.crossRegisterProxies(lam, fam, cam, mam);
  llvm::ModulePassManager passes;
  // early-cse removes what our emission repeats, licm hoists lane addresses out of the key loops,
  // load-store-vectorizer joins aligned neighbours into one access.
  llvm::StringRef usual = "function(early-cse,instcombine<no-verify-fixpoint>,simplifycfg,"
                          "loop-mssa(licm),early-cse,load-store-vectorizer)";
  if (llvm::Error error = builder.parsePassPipeline(
          passes, branchesTooOften(module) ? "function(simplifycfg)" : usual))
    return error;
  passes.run(module, mam);
  return llvm::Error::success();
}

/// Whether `user` adds something to a product, or to its negative.
static bool isSum(const llvm::User *user) {
  const auto *instruction = llvm::dyn_cast<llvm::Instruction>(user);
  if (!instruction)
    return false;
  if (instruction->getOpcode() == llvm::Instruction::FNeg)
    return llvm::any_of(user->users(), isSum);
  return instruction->getOpcode() == llvm::Instruction::FAdd ||
         instruction->getOpcode() == llvm::Instruction::FSub;
}

/// Products that a sum and something else use stay products, rounded once: fused into the sum, and
/// computed again for the other use, they would be two numbers, and x - x not 0. The product is
/// needed anyway, so that this takes no more instructions unless all uses are sums.
static void keepSharedProducts(llvm::Module &module) {
  llvm::SmallVector<llvm::BinaryOperator *> shared;
  for (llvm::Function &function : module)
    for (llvm::BasicBlock &block : function)
      for (llvm::Instruction &instruction : block)
        if (instruction.getOpcode() == llvm::Instruction::FMul &&
            instruction.getType()->isFloatTy() && instruction.hasNUsesOrMore(2) &&
            llvm::any_of(instruction.users(), isSum))
          shared.push_back(llvm::cast<llvm::BinaryOperator>(&instruction));
  for (llvm::BinaryOperator *product : shared) {
    llvm::IRBuilder<> builder(product);
    llvm::Value *rounded = builder.CreateIntrinsic(
        llvm::Intrinsic::nvvm_mul_rn_ftz_f, {}, {product->getOperand(0), product->getOperand(1)});
    product->replaceAllUsesWith(rounded);
    product->eraseFromParent();
  }
}

llvm::Expected<std::string> attnc::translateToPTX(mlir::ModuleOp module, llvm::StringRef arch,
                                                  PTXTimings *timings, std::string *llvmIR) {
  initializeNVPTX();
  PTXTimings ignored;
  PTXTimings &times = timings ? *timings : ignored;
  llvm::Expected<std::string> feature = ptxFeatureFor(arch);
  if (!feature)
    return feature.takeError();

  double start = now();
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> llvmModule =
      mlir::translateModuleToLLVMIR(module, context, "attnc", /*disableVerification=*/true);
  if (!llvmModule)
    return llvm::createStringError("translation to LLVM IR failed");
  keepTogether(*llvmModule);
  times.translate = now() - start;

  llvm::Triple triple("nvptx64-nvidia-cuda");
  std::string error;
  const llvm::Target *target = llvm::TargetRegistry::lookupTarget(triple, error);
  if (!target)
    return llvm::createStringError(error);
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Fast;
  // The passes that NVPTX adds at higher levels (strength reduction, reassociation, register
  // coalescing) take as long as all of the rest and change nothing that survives ptxas: the machine
  // code has the same instructions, one for one.
  std::unique_ptr<llvm::TargetMachine> machine(
      target->createTargetMachine(triple, arch, versionFor(*llvmModule, *feature), options,
                                  std::nullopt, std::nullopt, llvm::CodeGenOptLevel::None));
  llvmModule->setTargetTriple(triple);
  llvmModule->setDataLayout(machine->createDataLayout());

  start = now();
  if (llvm::Error failure = optimize(*llvmModule, *machine))
    return std::move(failure);
  keepSharedProducts(*llvmModule);
  times.optimize = now() - start;
  if (llvmIR) {
    llvm::raw_string_ostream os(*llvmIR);
    llvmModule->print(os, nullptr);
  }

  start = now();
  llvm::SmallString<0> text;
  llvm::raw_svector_ostream os(text);
  llvm::legacy::PassManager codegen;
  if (machine->addPassesToEmitFile(codegen, os, nullptr, llvm::CodeGenFileType::AssemblyFile,
                                   /*DisableVerify=*/true))
    return llvm::createStringError("the NVPTX target cannot emit assembly");
  codegen.run(*llvmModule);
  times.codegen = now() - start;
  return std::string(text);
}

PTXTimings &PTXTimings::operator+=(const PTXTimings &other) {
  translate += other.translate;
  optimize += other.optimize;
  codegen += other.codegen;
  return *this;
}

/// Appends `text` to `to`, with `first` added to the numbers behind `prefix`.
static void appendRenumbered(std::string &to, llvm::StringRef text, llvm::StringRef prefix,
                             unsigned first) {
  for (size_t at; (at = text.find(prefix)) != llvm::StringRef::npos;) {
    at += prefix.size();
    to += text.take_front(at);
    text = text.drop_front(at);
    unsigned number;
    if (!text.consumeInteger(10, number))
      to += std::to_string(number + first);
  }
  to += text;
}

std::string attnc::joinPTX(llvm::ArrayRef<std::string> texts) {
  std::string joined = texts.front();
  unsigned kernels = llvm::StringRef(joined).count(".entry ");
  for (llvm::StringRef text : texts.drop_front()) {
    // A head ends with this directive: PTX ISA, "PTX Module Directives".
    size_t directive = text.find("\n.address_size ") + 1;
    text = text.substr(text.find('\n', directive) + 1).ltrim('\n');
    // Labels hold within a kernel, but people and tools search whole files for them.
    appendRenumbered(joined, text, "$L__BB", kernels);
    kernels += text.count(".entry ");
  }
  return joined;
}
