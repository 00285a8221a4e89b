// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Whether code that was made from an artefact is code of a spec. Both say what they are launched
// with: the artefact in its launch record, the spec in the one that it has at the same phase. What
// they compute is not compared here; `run --check` does that.
#include "attnc/JIT/Compiler.h"
#include "attnc/Support/Element.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace attnc;
using llvm::createStringError;
using llvm::formatv;

/// "input `Q` of f16 [b, h, q, 64]".
static std::string describe(const TensorDecl &tensor, bool isOutput) {
  std::vector<std::string> axes;
  for (const AxisDecl &axis : tensor.axes)
    axes.push_back(axis.space.empty() ? std::to_string(axis.size) : axis.space);
  return formatv("{0} `{1}` of {2} [{3}]", isOutput ? "output" : "input", tensor.name,
                 dtypeName(*tensor.dtype), llvm::join(axes, ", "));
}

/// What a program is launched with, sorted, each as part of a sentence. Which kernels it launches
/// is its own matter: two that somebody has made one of compute the same.
static std::vector<std::string> interfaceOf(const Program &program) {
  std::vector<std::string> parts;
  for (size_t i = 0; i < program.numTensors(); ++i)
    parts.push_back(describe(program.tensor(i), program.isOutput(i)));
  for (const ParamDecl &param : program.signature.params)
    parts.push_back(formatv("parameter `{0}` of {1}", param.name, param.isInteger ? "i32" : "f32"));
  llvm::sort(parts);
  return parts;
}

/// The parts of `a` that `b` lacks; both are sorted.
static std::vector<std::string> difference(const std::vector<std::string> &a,
                                           const std::vector<std::string> &b) {
  std::vector<std::string> result;
  std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(result));
  return result;
}

/// What the spec's own program is launched with.
static llvm::Expected<LaunchRecord> launchOf(Spec &spec, const CompileOptions &options) {
  OwningOpRef<ModuleOp> module = spec.cloneVariant();
  CompileRequest request;
  request.options = options;
  request.verify = options.verify;
  request.to = launchPhase(options.target.kind);
  std::string messages;
  ScopedDiagnosticHandler handler(&spec.context(), [&](Diagnostic &diagnostic) {
    messages += (messages.empty() ? "" : "\n") + diagnostic.str();
    return success();
  });
  llvm::Expected<CompileResult> result = runPhases(*module, request);
  FailureOr<LaunchRecord> record = failure();
  std::string problem;
  if (result)
    record = extractLaunchRecord(*module, options.target);
  else
    problem = llvm::toString(result.takeError());
  if (failed(record))
    return createStringError(messages.empty() ? problem : messages);
  return std::move(*record);
}

llvm::Expected<CompiledCode> attnc::codeFromArtefact(Spec &spec, const CompileOptions &options,
                                                     CompileResult artefact, llvm::StringRef name) {
  if (!artefact.launch)
    return createStringError(formatv(
        "`{0}` does not say how it is launched: its launch record (`attnc.launch`) is missing; "
        "`attnc compile --compile-to` and `--dump-phases` write it",
        name));
  llvm::Expected<LaunchRecord> own = launchOf(spec, options);
  if (!own)
    return own.takeError();
  Program &program = artefact.launch->program;
  std::vector<std::string> expected = interfaceOf(own->program), found = interfaceOf(program);
  if (expected != found) {
    std::string text =
        formatv("`{0}` does not fit `{1}` with these options:", name, spec.variant().getSymName());
    for (const std::string &part : difference(expected, found))
      text += formatv("\n  expected {0}", part).str();
    for (const std::string &part : difference(found, expected))
      text += formatv("\n  found {0}", part).str();
    return createStringError(text + "\ngive the options that it was compiled with (--dtype, "
                                    "--head-dim, --v-head-dim, --param)");
  }
  completeSignature(spec, program);
  return codeOf(std::move(artefact), options.target);
}
