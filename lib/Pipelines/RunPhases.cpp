// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The loop that runs the phases of a compilation.
#include "attnc/Conversion/TileToVector/TileToVector.h"
#include "attnc/Pipelines/AnnotatedText.h"
#include "attnc/Pipelines/KernelModules.h"
#include "attnc/Pipelines/Phases.h"
#include "attnc/Support/Threads.h"
#include "attnc/Target/Host/HostCodegen.h"
#include "attnc/Target/PTX/PTX.h"
#include "mlir/IR/Threading.h"
#include <chrono>

using namespace mlir;
using namespace attnc;
using llvm::createStringError;
using llvm::formatv;

namespace {
/// One compilation while it runs.
class Runner {
public:
  explicit Runner(const CompileRequest &request) : request(request) {}

  llvm::Expected<CompileResult> run(ModuleOp module);
  llvm::Expected<CompileResult> run(std::string code, llvm::StringRef name,
                                    std::optional<LaunchRecord> launch);

private:
  const attnc::Target &target() const { return request.options.target; }
  llvm::Error begin(ModuleOp module);
  llvm::Error checkLevel() const;
  llvm::Error runPasses(ModuleOp module, Phase phase);
  void addPasses(OpPassManager &passes, Phase phase) const;
  llvm::Error translate(ModuleOp module, Phase phase);
  llvm::Expected<std::string> translatePTX(ModuleOp module);
  llvm::Expected<std::string> translateHost(ModuleOp module, Phase phase);
  llvm::Error readScratchSizes(ModuleOp module);
  void finish(ModuleOp module, Phase phase);
  llvm::Error parseFeatures();

  const CompileRequest &request;
  HostFeatures features; ///< for the host
  CompileResult result;
};
} // namespace

llvm::Error Runner::parseFeatures() {
  if (target().kind != attnc::Target::Kind::Host)
    return llvm::Error::success();
  llvm::Expected<HostFeatures> parsed = HostFeatures::parse(request.options.hostFeatures);
  if (!parsed)
    return parsed.takeError();
  features = std::move(*parsed);
  return llvm::Error::success();
}

/// Checks what the compilation starts from, and takes its launch record.
llvm::Error Runner::begin(ModuleOp module) {
  if (request.verify && request.from < request.to) {
    // What is fed back may be edited, or be of another phase than it is said to be.
    PassManager passes(module.getContext());
    buildContract(passes, request.from, target().kind);
    if (failed(passes.run(module)))
      return createStringError(formatv("this is no IR of phase `{0}`", phaseName(request.from)));
  }
  if (request.from <= launchPhase(target().kind))
    return llvm::Error::success();
  llvm::Expected<std::optional<LaunchRecord>> launch = launchRecordOf(module);
  if (!launch)
    return launch.takeError();
  result.launch = std::move(*launch);
  return checkLevel();
}

/// LLVM ends the process at an instruction that it was told not to use.
llvm::Error Runner::checkLevel() const {
  if (!result.launch || target().kind != attnc::Target::Kind::Host)
    return llvm::Error::success();
  auto levelOf = [](llvm::ArrayRef<std::string> names) {
    llvm::StringMap<bool> there;
    for (const std::string &name : names)
      there[name] = true;
    return hostISAOf(there);
  };
  HostISA level = levelOf(result.launch->cpuFeatures), allowed = levelOf(features.required);
  if (level <= allowed)
    return llvm::Error::success();
  return createStringError(formatv(
      "the code was lowered to {0}, and `{1}` has {2}: lower it again from phase `tile`, or "
      "allow what it was lowered to",
      stringifyHostISA(level), request.options.hostFeatures, stringifyHostISA(allowed)));
}

/// Scratch memory is known when a kernel's buffers have their places.
llvm::Error Runner::readScratchSizes(ModuleOp module) {
  if (!result.launch)
    return llvm::Error::success();
  for (KernelLaunch &launch : result.launch->program.launches) {
    auto function = module.lookupSymbol<LLVM::LLVMFuncOp>(launch.symbol);
    auto bytes = function ? function->getAttrOfType<IntegerAttr>(kScratchBytesAttr) : IntegerAttr();
    if (!bytes)
      return createStringError("kernel @" + launch.symbol + " was not lowered");
    launch.scratchBytes = bytes.getInt();
  }
  return llvm::Error::success();
}

llvm::Error Runner::runPasses(ModuleOp module, Phase phase) {
  Phase launch = launchPhase(target().kind);
  // Behind this phase no kernel op is left that could be asked.
  if (phase > launch && !result.launch && request.from <= launch) {
    FailureOr<LaunchRecord> record = extractLaunchRecord(module, target());
    if (failed(record))
      return createStringError("no kernel can be launched");
    result.launch = std::move(*record);
    result.launch->cpuFeatures = features.required;
  }
  PassManager passes(module.getContext());
  passes.enableVerifier(request.verify);
  std::optional<KernelModules> kernels;
  if (phase > launch)
    kernels.emplace(module);
  addPasses(kernels && kernels->areApart() ? passes.nest<ModuleOp>() : passes, phase);
  if (failed(passes.run(module)))
    return createStringError(formatv("phase `{0}` failed", phaseName(phase)));
  return llvm::Error::success();
}

/// The passes of a phase and, where it is asked for, what checks their result.
void Runner::addPasses(OpPassManager &passes, Phase phase) const {
  buildPhase(passes, phase, request.options);
  if (request.verify)
    buildContract(passes, phase, target().kind);
}

/// Each kernel by itself, at the same time as others; the text has them in the order of launches.
llvm::Expected<std::string> Runner::translatePTX(ModuleOp module) {
  KernelModules kernels(module);
  size_t count = kernels.inOrder().size();
  std::vector<std::string> texts(count), problems(count);
  std::vector<PTXTimings> times(count);
  parallelForEach(module.getContext(), kernels.largestFirst(), [&](size_t i) {
    llvm::Expected<std::string> text =
        translateToPTX(kernels.inOrder()[i], target().name, &times[i]);
    if (text)
      texts[i] = std::move(*text);
    else
      problems[i] = llvm::toString(text.takeError());
  });
  PTXTimings sum;
  for (size_t i = 0; i < count; ++i) {
    if (!problems[i].empty())
      return createStringError(problems[i]);
    sum += times[i];
  }
  result.codeSteps = {
      {"translate", sum.translate}, {"optimize", sum.optimize}, {"codegen", sum.codegen}};
  return joinPTX(texts);
}

llvm::Expected<std::string> Runner::translateHost(ModuleOp module, Phase phase) {
  if (llvm::Error error = readScratchSizes(module)) // an edit may have changed them
    return std::move(error);
  HostTimings times;
  HostCodeKind kind = phase == Phase::Object ? HostCodeKind::Object : HostCodeKind::Assembly;
  llvm::Expected<std::string> code =
      translateToHostCode(module, features, kind, request.verify, &times);
  result.codeSteps = {
      {"translate", times.translate}, {"optimize", times.optimize}, {"codegen", times.codegen}};
  return code;
}

llvm::Error Runner::translate(ModuleOp module, Phase phase) {
  llvm::Expected<std::string> code =
      phase == Phase::PTX ? translatePTX(module) : translateHost(module, phase);
  if (!code)
    return code.takeError();
  result.code = std::move(*code);
  if (request.verify && phase == Phase::Object)
    if (llvm::Error error = verifyHostObject(result.code))
      return error;
  if (result.launch)
    result.launch->cpuFeatures = features.required;
  return llvm::Error::success();
}

/// Shows the artefact to whoever asked for it.
void Runner::finish(ModuleOp module, Phase phase) {
  bool last = phase == request.to;
  if (!isCode(phase) && result.launch && (request.dump || last))
    setLaunchRecord(module, *result.launch);
  if (request.dump)
    request.dump(phase, isCode(phase) ? result.code : annotatedText(module), result.launch);
}

llvm::Expected<CompileResult> Runner::run(ModuleOp module) {
  using Clock = std::chrono::steady_clock;
  if (llvm::Error error = parseFeatures())
    return std::move(error);
  if (llvm::Error error = begin(module))
    return std::move(error);
  std::optional<CompileThreads> threads;
  for (const PhaseInfo &info : phasesOf(target().kind)) {
    if (info.phase <= request.from || info.phase > request.to)
      continue;
    // Objects are made without their text, which is made where someone reads it.
    if (info.phase == Phase::Assembly && request.to != Phase::Assembly && !request.dump)
      continue;
    auto start = Clock::now();
    // Not before: a context with threads locks whenever it makes a type or an attribute, and a
    // single kernel has no use for them.
    if (info.phase > launchPhase(target().kind) && !threads && hasSeveralKernels(module))
      threads.emplace(*module.getContext(), request.threads ? request.threads : defaultThreads());
    if (llvm::Error error =
            isCode(info.phase) ? translate(module, info.phase) : runPasses(module, info.phase))
      return std::move(error);
    if (info.phase == Phase::VectorLoops)
      if (llvm::Error error = readScratchSizes(module))
        return std::move(error);
    std::chrono::duration<double, std::milli> elapsed = Clock::now() - start;
    result.phases.push_back({info.phase, elapsed.count()});
    finish(module, info.phase);
  }
  return std::move(result);
}

llvm::Expected<CompileResult> Runner::run(std::string code, llvm::StringRef name,
                                          std::optional<LaunchRecord> launch) {
  if (llvm::Error error = parseFeatures())
    return std::move(error);
  result.code = std::move(code);
  result.launch = std::move(launch);
  if (request.from != Phase::Assembly || request.to != Phase::Object)
    return std::move(result);
  auto start = std::chrono::steady_clock::now();
  llvm::Expected<std::string> object = assembleHost(result.code, name, features);
  if (!object)
    return object.takeError();
  result.code = std::move(*object);
  std::chrono::duration<double, std::milli> elapsed = std::chrono::steady_clock::now() - start;
  result.phases.push_back({Phase::Object, elapsed.count()});
  finish(ModuleOp(), Phase::Object);
  return std::move(result);
}

llvm::Expected<CompileResult> attnc::runPhases(ModuleOp module, const CompileRequest &request) {
  return Runner(request).run(module);
}

llvm::Expected<CompileResult> attnc::runPhases(std::string code, llvm::StringRef name,
                                               std::optional<LaunchRecord> launch,
                                               const CompileRequest &request) {
  return Runner(request).run(std::move(code), name, std::move(launch));
}
