// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Reading and writing of artefacts. An artefact may be edited, or be of another phase or target
// than it is said to be, so everything that it says is checked.
#include "Artefact.h"
#include "Diagnostics.h"
#include "attnc/Frontend/Frontend.h"
#include "attnc/Pipelines/IrText.h"
#include "mlir/IR/Verifier.h"
#include "llvm/Support/FormatVariadic.h"

using namespace attnc;
using namespace attnc::driver;
using llvm::createStringError;
using llvm::formatv;

/// What stands before the launch record in a file of code.
static llvm::StringRef commentOf(Phase phase) {
  return phase == Phase::PTX ? "// " : phase == Phase::Assembly ? "# " : "";
}

std::string driver::codeAsFile(Phase phase, llvm::StringRef code,
                               const std::optional<LaunchRecord> &launch) {
  return launch ? withLaunchRecord(code, commentOf(phase), *launch) : code.str();
}

std::string driver::phaseList(Target::Kind kind, llvm::ArrayRef<llvm::StringRef> more) {
  std::vector<llvm::StringRef> names;
  for (const PhaseInfo &info : phasesOf(kind))
    names.push_back(info.name);
  names.insert(names.end(), more.begin(), more.end());
  std::string text;
  for (size_t i = 0; i < names.size(); ++i)
    text += (i == 0 ? "" : i + 1 == names.size() ? " or " : ", ") + names[i].str();
  return text;
}

/// A module at any phase, parsed in a context of its own.
static llvm::Error parseModule(const SpecSource &source, Artefact &artefact) {
  mlir::DialectRegistry registry;
  registerAllDialects(registry);
  artefact.context =
      std::make_unique<mlir::MLIRContext>(registry, mlir::MLIRContext::Threading::DISABLED);
  artefact.context->loadAllAvailableDialects();
  llvm::SourceMgr sources;
  sources.AddNewSourceBuffer(llvm::MemoryBuffer::getMemBufferCopy(source.text, source.name),
                             llvm::SMLoc());
  std::string text;
  llvm::raw_string_ostream os(text);
  frontend::SpecDiagnosticPrinter handler(sources, artefact.context.get(), os);
  artefact.module = parseIr(sources, artefact.context.get());
  return artefact.module ? llvm::Error::success()
                         : createStringError(llvm::StringRef(text).rtrim());
}

/// The target that the artefact's schedules, or its launch record, are for; empty if it has none.
static llvm::Expected<std::string> targetOf(Artefact &artefact) {
  if (isCode(artefact.phase))
    return artefact.launch ? artefact.launch->target : "";
  std::string target;
  for (mlir::Operation &op : *artefact.module->getBody())
    if (auto schedule = op.getAttrOfType<tile::ScheduleAttr>(tile::ScheduleAttr::attrName))
      target = schedule.getTarget().str();
  if (!target.empty())
    return target;
  llvm::Expected<std::optional<LaunchRecord>> launch = launchRecordOf(*artefact.module);
  if (!launch)
    return launch.takeError();
  return *launch ? (*launch)->target : "";
}

llvm::Expected<Artefact> driver::readArtefact(llvm::StringRef path, llvm::StringRef phase,
                                              const Target &target) {
  std::optional<Phase> from = parsePhase(phase, target.kind);
  if (!from)
    return createStringError(formatv("--compile-from={0}: expected a phase of target {1}: {2}",
                                     phase, target.name, phaseList(target.kind)));
  Artefact artefact;
  artefact.file = path.str();
  artefact.phase = *from;
  llvm::Expected<SpecSource> source = SpecSource::fromFile(path);
  if (!source)
    return source.takeError();
  if (isCode(*from)) {
    artefact.code = std::move(source->text);
    llvm::Expected<std::optional<LaunchRecord>> launch =
        takeLaunchRecord(artefact.code, commentOf(*from));
    if (!launch)
      return createStringError(formatv("`{0}`: {1}", path, llvm::toString(launch.takeError())));
    artefact.launch = std::move(*launch);
  } else if (llvm::Error error = parseModule(*source, artefact)) {
    return std::move(error);
  }
  llvm::Expected<std::string> planned = targetOf(artefact);
  if (!planned)
    return createStringError(formatv("`{0}`: {1}", path, llvm::toString(planned.takeError())));
  if (!planned->empty() && *planned != target.name)
    return createStringError(formatv("`{0}` is planned for {1}, and the target is {2}: pass "
                                     "--target={1}, or plan the spec again",
                                     path, *planned, target.name));
  return std::move(artefact);
}

llvm::Expected<CompileResult> Artefact::run(CompileRequest request) {
  request.from = phase;
  // Text that a person may have edited is checked in any case.
  request.verify = true;
  if (isCode(phase)) {
    llvm::Expected<CompileResult> result = runPhases(code, file, launch, request);
    return result ? std::move(result) : result.takeError();
  }
  Diagnostics diagnostics(file, context.get());
  llvm::Expected<CompileResult> result = runPhases(*module, request);
  return result ? std::move(result) : diagnostics.explain(result.takeError());
}

llvm::Expected<CompiledCode> driver::compileArtefact(const Options &options, Spec &spec,
                                                     const CompileOptions &compile,
                                                     CompileReport &report) {
  llvm::Expected<Artefact> artefact =
      readArtefact(options.fromFile, options.compileFrom, compile.target);
  if (!artefact)
    return artefact.takeError();
  CompileRequest request;
  request.options = compile;
  request.to = phasesOf(compile.target.kind).back().phase;
  llvm::Expected<CompileResult> result = artefact->run(request);
  if (!result)
    return result.takeError();
  reportPhases(*result, report);
  return codeFromArtefact(spec, compile, std::move(*result), options.fromFile);
}
