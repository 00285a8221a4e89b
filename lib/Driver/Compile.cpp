// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attnc compile: a spec to any phase, with the IR of each phase on request.
#include "Options.h"
#include "attnc/Target/Host/HostJIT.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"
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

/// The phase that --emit and --compile-to ask for. cubin and obj are made from the last phase.
static llvm::Expected<Phase> lastPhase(const Options &options, const Target &target) {
  std::string name = options.emit.empty() ? options.compileTo : options.emit;
  bool host = target.kind == Target::Kind::Host;
  if (name.empty())
    return host ? Phase::Tile : Phase::PTX;
  if (!options.emit.empty() && !options.compileTo.empty() && options.emit != options.compileTo)
    return createStringError("--emit and --compile-to name different phases");
  if (name == "cubin" && !host)
    return Phase::PTX;
  if (name == "obj" && host)
    return Phase::Tile;
  std::optional<Phase> phase = parsePhase(name);
  if (!phase || (host && *phase > Phase::Tile))
    return createStringError(
        formatv("`{0}` is not a phase of target {1}: expected {2}", name, target.name,
                host ? "attn, specialized, kernels, tile or obj"
                     : "attn, specialized, kernels, tile, scheduled, nvvm, llvm, ptx or cubin"));
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
                      llvm::StringRef code, const PhaseTimes &phases, double total) {
  llvm::json::Object times;
  for (auto &[name, milliseconds] : phases)
    times[name] = milliseconds;
  llvm::json::Object object{{"spec", options.spec},
                            {"target", target.name},
                            {"kind", kind},
                            {"bytes", static_cast<int64_t>(code.size())},
                            {"phases_ms", std::move(times)},
                            {"total_ms", total}};
  if (!options.output.empty() && options.output != "-")
    object["file"] = options.output;
  else if (llvm::json::isUTF8(code))
    object["text"] = code;
  llvm::outs() << formatv("{0:2}\n", llvm::json::Value(std::move(object)));
}

/// A module at any phase, for --compile-from.
static llvm::Expected<mlir::OwningOpRef<mlir::ModuleOp>>
parsePhaseFile(llvm::StringRef path, mlir::MLIRContext &context) {
  llvm::Expected<SpecSource> source = SpecSource::fromFile(path);
  if (!source)
    return source.takeError();
  llvm::SourceMgr sources;
  sources.AddNewSourceBuffer(llvm::MemoryBuffer::getMemBufferCopy(source->text, source->name),
                             llvm::SMLoc());
  std::string text;
  llvm::raw_string_ostream os(text);
  mlir::SourceMgrDiagnosticHandler handler(sources, &context, os);
  auto module = mlir::parseSourceFile<mlir::ModuleOp>(sources, &context);
  if (!module)
    return createStringError(llvm::StringRef(text).rtrim());
  return module;
}

/// The target that a module's schedules are for; empty if it has none.
static std::string plannedTarget(mlir::ModuleOp module) {
  std::string target;
  for (mlir::Operation &op : *module.getBody())
    if (auto schedule = op.getAttrOfType<tile::ScheduleAttr>(tile::ScheduleAttr::attrName))
      target = schedule.getTarget().str();
  return target;
}

namespace {
/// What is compiled: a module, with what it lives in, and the request for it.
struct Input {
  std::unique_ptr<Spec> spec;                 ///< of a spec
  std::unique_ptr<mlir::MLIRContext> context; ///< of the IR of a later phase
  mlir::OwningOpRef<mlir::ModuleOp> module;
  CompileRequest request;
};

/// Collects diagnostics while it lives, with the file that they are about.
class Diagnostics {
public:
  Diagnostics(const Options &options, mlir::MLIRContext *context)
      : options(options), handler(context, [this](mlir::Diagnostic &d) { return add(d); }) {}

  /// What was reported, or `error` if nothing was.
  llvm::Error explain(llvm::Error error) const {
    std::string reason = llvm::toString(std::move(error));
    return createStringError(text.empty() ? formatv("{0}: error: {1}", options.spec, reason).str()
                                          : text);
  }

private:
  mlir::LogicalResult add(mlir::Diagnostic &diagnostic) {
    std::string where = options.spec;
    if (auto loc = diagnostic.getLocation()->findInstanceOf<mlir::FileLineColLoc>())
      where = formatv("{0}:{1}:{2}", loc.getFilename().getValue(), loc.getLine(), loc.getColumn());
    text += formatv("{0}{1}: error: {2}", text.empty() ? "" : "\n", where, diagnostic.str());
    return mlir::success();
  }

  const Options &options;
  std::string text;
  mlir::ScopedDiagnosticHandler handler;
};
} // namespace

/// Reads a spec, or a module at the end of phase `--compile-from`.
static llvm::Expected<Input> openInput(const Options &options, const Target &target) {
  Input input;
  input.request.options.target = target;
  // Text that a person may have edited is checked in any case.
  input.request.verify = !options.compileFrom.empty() || options.verify || verifiesAlways();
  if (options.compileFrom.empty() || options.compileFrom == "attn") {
    llvm::Expected<std::unique_ptr<Spec>> opened = openSpec(options);
    if (!opened)
      return opened.takeError();
    input.spec = std::move(*opened);
    llvm::Expected<CompileOptions> compile = compileOptionsFor(options, *input.spec, target);
    if (!compile)
      return compile.takeError();
    input.request.options = *compile;
    input.module = input.spec->cloneVariant();
    return std::move(input);
  }
  std::optional<Phase> from = parsePhase(options.compileFrom);
  if (!from || *from == Phase::PTX)
    return createStringError(
        formatv("--compile-from={0}: expected a phase before ptx", options.compileFrom));
  input.request.from = *from;
  mlir::DialectRegistry registry;
  registerAllDialects(registry);
  input.context =
      std::make_unique<mlir::MLIRContext>(registry, mlir::MLIRContext::Threading::DISABLED);
  input.context->loadAllAvailableDialects();
  auto parsed = parsePhaseFile(options.spec, *input.context);
  if (!parsed)
    return parsed.takeError();
  input.module = std::move(*parsed);
  if (std::string planned = plannedTarget(*input.module);
      !planned.empty() && planned != target.name)
    return createStringError(formatv("`{0}` is planned for {1}, and the target is {2}: pass "
                                     "--target={1}, or plan the spec again",
                                     options.spec, planned, target.name));
  return std::move(input);
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
  request.dump = [&](Phase phase, llvm::StringRef text) {
    llvm::SmallString<128> path(options.dumpPhases);
    llvm::sys::path::append(path, formatv("{0}.{1}.{2}", static_cast<int>(phase), phaseName(phase),
                                          phase == Phase::PTX ? "ptx" : "mlir")
                                      .str());
    if (llvm::Error error = writeOutput(path, text))
      problem = llvm::toString(std::move(error));
  };
  return llvm::Error::success();
}

/// The code or the IR that is asked for, from what the phases left.
static llvm::Expected<std::string> artefactOf(const Options &options, const Target &target,
                                              Phase last, const CompileResult &result,
                                              mlir::ModuleOp module,
                                              const Diagnostics &diagnostics) {
  std::string text = result.ptx;
  if (options.emit == "obj") {
    HostCompileOptions host;
    host.verify = options.verify || verifiesAlways();
    llvm::Expected<HostObject> object = compileForHost(module, host);
    if (!object)
      return diagnostics.explain(object.takeError());
    text = object->object->getBuffer().str();
  } else if (options.emit == "cubin") {
    if (llvm::Error error = assemble(result.ptx, target.name, text))
      return std::move(error);
  } else if (last != Phase::PTX) {
    llvm::raw_string_ostream os(text);
    module->print(os);
    os << "\n";
  }
  return text;
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
  llvm::Expected<Input> input = openInput(options, *target);
  if (!input)
    return input.takeError();
  input->request.to = *last;
  std::chrono::duration<double, std::milli> frontend = Clock::now() - start;

  std::string dumpProblem;
  if (llvm::Error error = prepareDump(options, input->request, dumpProblem))
    return error;
  Diagnostics diagnostics(options, input->module->getContext());
  llvm::Expected<CompileResult> result = runPhases(*input->module, input->request);
  if (!result)
    return diagnostics.explain(result.takeError());
  if (!dumpProblem.empty())
    return createStringError(dumpProblem);
  llvm::Expected<std::string> text =
      artefactOf(options, *target, *last, *result, *input->module, diagnostics);
  if (!text)
    return text.takeError();
  std::chrono::duration<double, std::milli> total = Clock::now() - start;
  PhaseTimes phases = {{"parse", frontend.count()}};
  for (const PhaseResult &phase : result->phases)
    if (phase.phase != Phase::PTX)
      phases.emplace_back(phaseName(phase.phase).str(), phase.milliseconds);
  for (auto &[name, milliseconds] : result->ptxSteps)
    phases.emplace_back("ptx." + name, milliseconds);
  if (options.timing && !options.json)
    printTiming(phases, total.count());
  if (!options.json)
    return writeOutput(options.output, *text);
  if (!options.output.empty() && options.output != "-")
    if (llvm::Error error = writeOutput(options.output, *text))
      return error;
  std::string kind = options.emit.empty() ? phaseName(*last).str() : options.emit;
  printJson(options, *target, kind, *text, phases, total.count());
  return llvm::Error::success();
}
