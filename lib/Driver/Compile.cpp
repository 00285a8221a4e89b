// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attnc compile: a spec to any phase, with the IR of each phase on request.
#include "Artefact.h"
#include "Diagnostics.h"
#include "attnc/Pipelines/AnnotatedText.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Program.h"
#include <chrono>

using namespace attnc;
using namespace attnc::driver;
using llvm::createStringError;
using llvm::formatv;

static llvm::Error assemble(llvm::StringRef ptx, llvm::StringRef arch, std::string &cubin) {
  llvm::ErrorOr<std::string> ptxas = llvm::sys::findProgramByName("ptxas");
  if (!ptxas)
    return createStringError(
        "--emit=cubin needs `ptxas`, which is not in PATH: install the CUDA toolkit, or "
        "emit PTX, which the driver assembles when it is loaded");
  llvm::SmallString<128> input, output;
  if (llvm::sys::fs::createTemporaryFile("attnc", "ptx", input) ||
      llvm::sys::fs::createTemporaryFile("attnc", "cubin", output))
    return createStringError("cannot create temporary files");
  if (llvm::Error error = writeOutput(input, ptx))
    return error;
  std::string message;
  int status = llvm::sys::ExecuteAndWait(*ptxas, {*ptxas, "-arch", arch, input, "-o", output},
                                         std::nullopt, {}, 0, 0, &message);
  if (status != 0)
    return createStringError(
        formatv("ptxas failed with status {0} {1}; the PTX is in {2}; run again with: "
                "{3} -arch {4} {2}",
                status, message, input, *ptxas, arch));
  auto data = llvm::MemoryBuffer::getFile(output);
  if (!data)
    return createStringError(formatv("cannot read `{0}`", output));
  cubin = (*data)->getBuffer().str();
  llvm::sys::fs::remove(input);
  llvm::sys::fs::remove(output);
  return llvm::Error::success();
}

/// The phase that --emit and --compile-to ask for. cubin is made from the last phase.
static llvm::Expected<Phase> lastPhase(const Options &options, const Target &target) {
  std::string name = options.emit.empty() ? options.compileTo : options.emit;
  bool host = target.kind == Target::Kind::Host;
  if (options.emit == "artifact")
    return host ? Phase::Object : Phase::PTX;
  if (name.empty())
    return host ? Phase::Tile : Phase::PTX;
  if (!options.emit.empty() && !options.compileTo.empty() && options.emit != options.compileTo)
    return createStringError("--emit and --compile-to name different phases");
  if (name == "cubin" && !host)
    return Phase::PTX;
  if (name == "obj" && host)
    return Phase::Object;
  std::optional<Phase> phase = parsePhase(name, target.kind);
  if (!phase)
    return createStringError(formatv("`{0}` is not a phase of target {1}: expected {2}", name,
                                     target.name,
                                     host ? phaseList(target.kind, {"artifact"})
                                          : phaseList(target.kind, {"cubin", "artifact"})));
  return *phase;
}

using PhaseTimes = std::vector<std::pair<std::string, double>>;

static void printTiming(const PhaseTimes &phases, double total) {
  llvm::errs() << "phase             ms     %\n";
  for (auto &[name, milliseconds] : phases)
    llvm::errs() << formatv("{0,-14} {1,6:F2} {2,5:F1}\n", name, milliseconds,
                            100 * milliseconds / total);
  llvm::errs() << formatv("{0,-14} {1,6:F2}\n", "total", total);
}

/// One object on standard output; the code is a file of its own or, if it is text, a member.
static void printJson(const Options &options, const Target &target, llvm::StringRef kind,
                      llvm::StringRef code, const std::optional<LaunchRecord> &launch,
                      const PhaseTimes &phases, double total) {
  llvm::json::Object times;
  for (auto &[name, milliseconds] : phases)
    times[name] = milliseconds;
  llvm::json::Object object{{"spec", options.spec},
                            {"target", target.name},
                            {"kind", kind},
                            {"bytes", static_cast<int64_t>(code.size())},
                            {"phases_ms", std::move(times)},
                            {"total_ms", total}};
  if (launch) {
    llvm::StringSet<> kernels;
    for (const KernelLaunch &one : launch->program.launches)
      kernels.insert(one.symbol);
    object["kernels"] = static_cast<int64_t>(kernels.size());
  }
  if (!options.output.empty() && options.output != "-")
    object["file"] = options.output;
  else if (llvm::json::isUTF8(code))
    object["text"] = code;
  llvm::outs() << formatv("{0:2}\n", llvm::json::Value(std::move(object)));
}

namespace {
/// What is compiled: a spec, or the artefact of a phase; and the request for it.
struct Input {
  std::unique_ptr<Spec> spec;
  std::optional<Artefact> artefact;
  mlir::OwningOpRef<mlir::ModuleOp> variant; ///< of the spec
  CompileRequest request;

  /// The module, or null where the artefact is code.
  mlir::ModuleOp module() { return spec ? variant.get() : artefact->module.get(); }
};
} // namespace

/// Reads a spec, or the artefact of phase `--compile-from`.
static llvm::Expected<Input> openInput(const Options &options, const Target &target, Phase last) {
  Input input;
  if (options.compileFrom.empty() || options.compileFrom == "attn") {
    llvm::Expected<std::unique_ptr<Spec>> opened = openSpec(options);
    if (!opened)
      return opened.takeError();
    input.spec = std::move(*opened);
    llvm::Expected<CompileOptions> compile = compileOptionsFor(options, *input.spec, target);
    if (!compile)
      return compile.takeError();
    input.request.options = *compile;
    // Text that a person may have edited is checked in any case.
    input.request.verify = !options.compileFrom.empty() || options.verify || verifiesAlways();
    input.variant = input.spec->cloneVariant();
  } else {
    llvm::Expected<Artefact> artefact = readArtefact(options.spec, options.compileFrom, target);
    if (!artefact)
      return artefact.takeError();
    if (options.emit == "artifact")
      return createStringError(
          "--emit=artifact compiles a spec: the text of a later phase does not "
          "say what the defaults of its parameters are");
    if (artefact->phase >= last && options.emit != "cubin")
      return createStringError(formatv("nothing is to be done from phase `{0}` to `{1}`",
                                       phaseName(artefact->phase), phaseName(last)));
    input.artefact = std::move(*artefact);
    input.request.options.target = target;
    input.request.options.hostFeatures = options.hostFeatures;
  }
  input.request.to = last;
  return std::move(input);
}

/// Runs the phases that are asked for.
static llvm::Expected<CompileResult> runInput(const Options &options, Input &input) {
  if (input.artefact)
    return input.artefact->run(input.request);
  Diagnostics diagnostics(options.spec, &input.spec->context());
  llvm::Expected<CompileResult> result = runPhases(*input.variant, input.request);
  return result ? std::move(result) : diagnostics.explain(result.takeError());
}

/// Makes the folder of --dump-phases and a callback that writes each phase's IR there; what goes
/// wrong later is in `problem`, which outlives the callback.
static llvm::Error prepareDump(const Options &options, CompileRequest &request,
                               std::string &problem) {
  if (options.dumpPhases.empty())
    return llvm::Error::success();
  if (std::error_code error = llvm::sys::fs::create_directories(options.dumpPhases))
    return createStringError(
        formatv("cannot create `{0}`: {1}", options.dumpPhases, error.message()));
  request.dump = [&](Phase phase, llvm::StringRef text, const std::optional<LaunchRecord> &launch) {
    llvm::ArrayRef<PhaseInfo> phases = phasesOf(request.options.target.kind);
    const PhaseInfo *info =
        llvm::find_if(phases, [&](const PhaseInfo &p) { return p.phase == phase; });
    llvm::SmallString<128> path(options.dumpPhases);
    llvm::sys::path::append(
        path, formatv("{0}.{1}.{2}", info - phases.begin(), info->name, info->suffix).str());
    if (llvm::Error error =
            writeOutput(path, isCode(phase) ? codeAsFile(phase, text, launch) : text.str()))
      problem = llvm::toString(std::move(error));
  };
  return llvm::Error::success();
}

/// The code or the IR that is asked for, from what the phases left.
static llvm::Expected<std::string> artefactOf(const Options &options, const Target &target,
                                              Phase last, CompileResult &result, Input &input) {
  std::string text;
  if (options.emit == "artifact") {
    completeSignature(*input.spec, result.launch->program);
    llvm::Expected<CompiledCode> code = codeOf(result, target);
    return code ? llvm::Expected<std::string>(encodeCode(savedCodeKey, *code)) : code.takeError();
  }
  if (options.emit == "cubin") {
    if (llvm::Error error = assemble(result.code, target.name, text))
      return std::move(error);
    return text;
  }
  if (isCode(last))
    return codeAsFile(last, result.code, result.launch);
  return annotatedText(input.module());
}

llvm::Error driver::runCompile(const Options &options) {
  using Clock = std::chrono::steady_clock;
  auto start = Clock::now();
  llvm::Expected<Target> target = Target::parse(options.target.empty() ? "sm_80" : options.target);
  if (!target)
    return target.takeError();
  llvm::Expected<Phase> last = lastPhase(options, *target);
  if (!last)
    return last.takeError();
  llvm::Expected<Input> input = openInput(options, *target, *last);
  if (!input)
    return input.takeError();
  std::chrono::duration<double, std::milli> frontend = Clock::now() - start;

  std::string dumpProblem;
  if (llvm::Error error = prepareDump(options, input->request, dumpProblem))
    return error;
  llvm::Expected<CompileResult> result = runInput(options, *input);
  if (!result)
    return result.takeError();
  if (!dumpProblem.empty())
    return createStringError(dumpProblem);
  llvm::Expected<std::string> text = artefactOf(options, *target, *last, *result, *input);
  if (!text)
    return text.takeError();
  std::chrono::duration<double, std::milli> total = Clock::now() - start;
  CompileReport report;
  report.phases = {{"parse", frontend.count()}};
  reportPhases(*result, report);
  const PhaseTimes &phases = report.phases;
  if (options.timing && !options.json)
    printTiming(phases, total.count());
  if (!options.json)
    return writeOutput(options.output, *text);
  if (!options.output.empty() && options.output != "-")
    if (llvm::Error error = writeOutput(options.output, *text))
      return error;
  std::string kind = options.emit.empty() ? phaseName(*last).str() : options.emit;
  printJson(options, *target, kind, *text, result->launch, phases, total.count());
  return llvm::Error::success();
}
