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
static std::string describe(const KernelTensor &tensor) {
  return formatv("{0} `{1}` of {2} [{3}]", tensor.isOutput ? "output" : "input", tensor.name,
                 dtypeName(tensor.dtype), llvm::join(tensor.axes, ", "));
}

/// "parameter `window` of i32"; empty if the argument is no parameter.
static std::string describe(const KernelArg &arg) {
  bool real = arg.kind == KernelArg::Kind::ParamF32;
  return real || arg.kind == KernelArg::Kind::ParamI32
             ? formatv("parameter `{0}` of {1}", arg.name, real ? "f32" : "i32").str()
             : "";
}

/// What a kernel is launched with, sorted, each as part of a sentence.
static std::vector<std::string> interfaceOf(const KernelABI &abi) {
  std::vector<std::string> parts;
  for (const KernelTensor &tensor : abi.tensors)
    parts.push_back(describe(tensor));
  for (const KernelArg &arg : abi.args)
    if (std::string text = describe(arg); !text.empty())
      parts.push_back(text);
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

/// What the spec's own kernel is launched with.
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
  if (artefact.launch->kernels.size() != own->kernels.size())
    return createStringError(formatv("`{0}` does not fit `{1}`: it has {2} kernels, expected {3}",
                                     name, spec.variant().getSymName(),
                                     artefact.launch->kernels.size(), own->kernels.size()));
  KernelABI &abi = artefact.launch->kernels.front();
  std::vector<std::string> expected = interfaceOf(own->kernels.front()), found = interfaceOf(abi);
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
  completeABI(spec, abi);
  return CompiledCode{std::move(abi), options.target.name, std::move(artefact.code),
                      std::move(artefact.launch->cpuFeatures)};
}
