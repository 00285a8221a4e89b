// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Compilation through the cache, and loading of compiled code.
#include "attnc/JIT/Compiler.h"
#include "BuildIdentity.h"
#include "attnc/Runtime/Failures.h"
#include "attnc/Support/Checks.h"
#include "attnc/Support/Environment.h"
#include "attnc/Target/Host/HostFeatures.h"
#include "attnc/Target/Host/HostLink.h"
#include "llvm/Config/llvm-config.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace attnc;

std::string attnc::compilerVersion() { return "attnc 0.1.0 (LLVM " LLVM_VERSION_STRING ")"; }

bool attnc::verifiesAlways() {
  const char *value = readVariable(Variable::Verify);
  return value && llvm::StringRef(value) != "0";
}

/// Every option that changes the code, as text.
static std::string describeOptions(const CompileOptions &options) {
  std::string text = llvm::formatv(
      "{0};{1};{2};{3};{4};{5};{6};{7};{8};{9};{10}", options.target.name, options.dtype,
      options.headDim, options.vHeadDim, options.vectorBytes, options.tileQ, options.tileKV,
      options.stages, options.numWarps, options.chunk, options.shareKernels);
  for (auto &[name, value] : options.constParams)
    text += llvm::formatv(";{0}={1:e17}", name, value).str();
  if (options.target.kind == attnc::Target::Kind::Host) {
    // Native code is for this CPU and no other, and so are changes to it.
    text += ";" + options.hostFeatures + ";" + HostFeatures::native().cpu;
    for (const std::string &feature : HostFeatures::native().required)
      text += "+" + feature;
  }
  return text;
}

namespace {
/// Collects diagnostics of a compilation as text.
class DiagnosticText {
public:
  explicit DiagnosticText(MLIRContext &context)
      : handler(&context, [this](Diagnostic &diagnostic) {
          llvm::raw_string_ostream os(text);
          print(os, diagnostic);
          for (Diagnostic &note : diagnostic.getNotes())
            print(os, note);
          return success();
        }) {}
  llvm::Error wrap(llvm::Error error) {
    std::string reason = llvm::toString(std::move(error));
    return llvm::createStringError(text.empty() ? reason : llvm::StringRef(text).rtrim().str());
  }

private:
  static void print(llvm::raw_ostream &os, Diagnostic &diagnostic) {
    if (auto at = diagnostic.getLocation()->findInstanceOf<FileLineColLoc>())
      os << at.getFilename().getValue() << ":" << at.getLine() << ":" << at.getColumn() << ": ";
    os << (diagnostic.getSeverity() == DiagnosticSeverity::Error     ? "error: "
           : diagnostic.getSeverity() == DiagnosticSeverity::Warning ? "warning: "
                                                                     : "note: ")
       << diagnostic << "\n";
  }
  std::string text;
  ScopedDiagnosticHandler handler;
};
} // namespace

void attnc::reportPhases(const CompileResult &result, CompileReport &report) {
  for (const PhaseResult &phase : result.phases)
    if (&phase != &result.phases.back() || result.codeSteps.empty())
      report.phases.emplace_back(phaseName(phase.phase).str(), phase.milliseconds);
  for (auto &[name, milliseconds] : result.codeSteps)
    report.phases.emplace_back((phaseName(result.phases.back().phase) + "." + name).str(),
                               milliseconds);
}

/// Runs `module`, a variant at the end of `phase`, to the code of its target.
static llvm::Expected<CompiledCode>
compileModule(ModuleOp module, Phase phase, const CompileOptions &options, CompileReport &report) {
  CompileRequest request;
  request.options = options;
  request.from = phase;
  request.verify = options.verify;
  request.to = phasesOf(options.target.kind).back().phase;
  llvm::Expected<CompileResult> compiled = runPhases(module, request);
  if (!compiled)
    return compiled.takeError();
  reportPhases(*compiled, report);
  return codeOf(std::move(*compiled), options.target);
}

llvm::Expected<CompiledCode> attnc::codeOf(CompileResult result, const attnc::Target &target) {
  if (target.kind == attnc::Target::Kind::Host) {
    llvm::Expected<std::string> image = linkHostObject(result.code);
    if (!image)
      return image.takeError();
    result.code = std::move(*image);
  }
  return CompiledCode{std::move(result.launch->program), target.name, std::move(result.code),
                      std::move(result.launch->cpuFeatures)};
}

void attnc::completeSignature(Spec &spec, Program &program) {
  auto named = [](const std::string &name) {
    return [&name](const auto &decl) { return decl.name == name; };
  };
  std::vector<ParamDecl> &params = program.signature.params;
  for (auto &[name, value] : spec.defaultParams()) {
    auto param = llvm::find_if(params, named(name));
    if (param == params.end()) {
      bool isInteger = llvm::any_of(spec.variant().getBody().getOps<attn::ParamOp>(),
                                    [&, text = llvm::StringRef(name)](attn::ParamOp op) {
                                      return op.getName() == text && op.getType().isInteger();
                                    });
      param = params.insert(param, {name, isInteger});
    }
    param->defaultValue = value;
    param->hasDefault = true;
  }
  program.unusedInputs.clear();
  for (attn::InputOp input : spec.variant().getBody().getOps<attn::InputOp>())
    if (std::string name = input.getName().str();
        llvm::none_of(program.signature.inputs, named(name)))
      program.unusedInputs.push_back(name);
}

llvm::Error attnc::checkConstParams(Spec &spec, const std::map<std::string, double> &values) {
  auto invalid = [](const std::string &message) {
    return llvm::createStringError(std::make_error_code(std::errc::invalid_argument), message);
  };
  std::vector<std::string> known;
  for (attn::ParamOp param : spec.variant().getBody().getOps<attn::ParamOp>()) {
    if (!param.getIsConst())
      continue;
    known.push_back(param.getName().str());
    auto value = values.find(known.back());
    if (value == values.end())
      continue;
    bool isInteger = param.getType().isInteger();
    if (Failure failure = checkParamValue(value->first, isInteger, value->second))
      return toError(std::move(failure));
  }
  for (auto &entry : values)
    if (!llvm::is_contained(known, entry.first))
      return invalid(llvm::formatv("`{0}` is not a const parameter of `{1}`{2}", entry.first,
                                   spec.variant().getSymName(), didYouMean(entry.first, known)));
  return llvm::Error::success();
}

static std::string textWithoutLocations(ModuleOp module) {
  std::string text;
  llvm::raw_string_ostream os(text);
  module.print(os, OpPrintingFlags().useLocalScope());
  return text;
}

/// What specs share whose text without locations is the same.
static CompiledCode withoutLines(CompiledCode code) {
  for (KernelLaunch &launch : code.program.launches)
    launch.line.clear();
  return code;
}

/// `module` is null for the spec itself.
static llvm::Expected<CompiledCode> compile(Spec &spec, ModuleOp module, Phase phase,
                                            const CompileOptions &options, CodeCache *cache,
                                            CompileReport *report) {
  CompileReport ignored;
  CompileReport &out = report ? *report : ignored;
  if (llvm::Error error = checkConstParams(spec, options.constParams))
    return std::move(error);
  std::string key;
  if (cache) {
    std::string text = module ? textWithoutLocations(module) : spec.canonicalText();
    key = cacheKey(
        {compilerVersion(), buildIdentity(), phaseName(phase), text, describeOptions(options)});
    if (std::optional<CompiledCode> hit = cache->lookup(key)) {
      out.fromCache = true;
      return std::move(*hit);
    }
  }
  DiagnosticText diagnostics(spec.context());
  OwningOpRef<ModuleOp> own = module ? module.clone() : spec.cloneVariant();
  CompileOptions verified = options;
  verified.verify |= verifiesAlways();
  llvm::Expected<CompiledCode> code = compileModule(*own, phase, verified, out);
  if (!code)
    return diagnostics.wrap(code.takeError());
  completeSignature(spec, code->program);
  if (cache)
    cache->store(key, withoutLines(*code));
  return code;
}

llvm::Expected<CompiledCode> attnc::compileSpec(Spec &spec, const CompileOptions &options,
                                                CodeCache *cache, CompileReport *report) {
  return compile(spec, {}, Phase::Attn, options, cache, report);
}

llvm::Expected<CompiledCode> attnc::compileRewritten(Spec &spec, ModuleOp module, Phase phase,
                                                     const CompileOptions &options,
                                                     CodeCache *cache, CompileReport *report) {
  return compile(spec, module, phase, options, cache, report);
}

//===----------------------------------------------------------------------===//
// Executable
//===----------------------------------------------------------------------===//

llvm::Expected<std::unique_ptr<Executable>>
Executable::loadHost(CompiledCode code, std::shared_ptr<HostLauncher> launcher) {
  auto loaded = LoadedCode::loadHost(std::move(code), std::move(launcher));
  if (!loaded)
    return toError(loaded.takeError());
  return std::unique_ptr<Executable>(new Executable(std::move(*loaded)));
}

llvm::Expected<std::unique_ptr<Executable>>
Executable::loadCUDA(CompiledCode code, std::shared_ptr<cuda::Device> device) {
  auto loaded = LoadedCode::loadCUDA(std::move(code), std::move(device));
  if (!loaded)
    return toError(loaded.takeError());
  return std::unique_ptr<Executable>(new Executable(std::move(*loaded)));
}

llvm::Expected<PackedArguments> Executable::prepare(const LaunchInputs &inputs) const {
  return toExpected(loaded->prepare(inputs));
}

llvm::Error Executable::run(const PackedArguments &arguments, cuda::Stream stream,
                            WorkspaceBlock workspace, LaunchTimes *times) {
  return toError(loaded->run(arguments, stream, workspace, times));
}

llvm::Error Executable::launch(const LaunchInputs &inputs, cuda::Stream stream,
                               WorkspaceBlock workspace) {
  llvm::Expected<PackedArguments> arguments = prepare(inputs);
  return arguments ? run(*arguments, stream, workspace) : arguments.takeError();
}
