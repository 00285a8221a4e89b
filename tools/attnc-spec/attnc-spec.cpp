// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the tests of the language run: checks, formats, emits or computes a spec. With
// --verify-diagnostics the errors are compared with `expected-error` comments in the spec, and `//
// -----` separates specs.
#include "attnc/Frontend/Frontend.h"
#include "attnc/Reference/Reference.h"
#include "attnc/Runtime/Failures.h"
#include "attnc/Support/Npy.h"
#include "attnc/Transforms/Passes.h"
#include "dialects/Attn/Attn.h"
#include "mlir/IR/AsmState.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Support/FileUtilities.h"
#include "mlir/Support/ToolUtilities.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/InitLLVM.h"

#include <deque>

using namespace attnc;
namespace cl = llvm::cl;

namespace {
enum class Action { Check, Format, Emit, Reference };
cl::opt<std::string> inputName(cl::Positional, cl::desc("<spec>"), cl::init("-"));
cl::opt<Action>
    action(cl::desc("what to do:"), cl::init(Action::Emit),
           cl::values(clEnumValN(Action::Check, "check", "report errors only"),
                      clEnumValN(Action::Format, "format", "print in canonical layout"),
                      clEnumValN(Action::Emit, "emit-attn", "print the attn dialect"),
                      clEnumValN(Action::Reference, "reference",
                                 "compute the first attention with the reference interpreter")));
cl::list<std::string> inputs("input", cl::desc("bind an input (repeatable)"),
                             cl::value_desc("name=file.npy"));
cl::list<std::string> params("param", cl::desc("bind a parameter (repeatable)"),
                             cl::value_desc("name=value"));
cl::list<std::string> outputs("output", cl::desc("write an output as float64 (repeatable)"),
                              cl::value_desc("name=file.npy"));
cl::opt<uint64_t> seed("seed",
                       cl::desc("seed of the inputs that are not bound and whose sizes are known"),
                       cl::init(1));
cl::opt<unsigned> threads("threads", cl::desc("threads of the reference; 0 is one for each core"),
                          cl::init(0));
cl::opt<bool> printLocations("locations", cl::desc("print locations with the attn dialect"));
cl::opt<bool> verifyDiagnostics("verify-diagnostics",
                                cl::desc("compare errors with expected-error comments"));

/// Binds what the command line names, draws the other inputs, runs the reference and writes the
/// outputs.
llvm::Error runReference(mlir::ModuleOp module) {
  auto variant = *module.getOps<attn::VariantOp>().begin();
  llvm::Expected<Signature> signature = reference::signatureOf(variant);
  if (!signature)
    return signature.takeError();
  reference::Bindings bindings;
  std::deque<NpyArray> memory;
  BoundSizes known;
  for (llvm::StringRef binding : inputs) {
    auto [name, path] = binding.split('=');
    std::optional<DType> expected;
    const TensorDecl *decl = nullptr;
    for (const TensorDecl &candidate : signature->inputs)
      if (candidate.name == name) {
        decl = &candidate;
        expected = candidate.dtype;
      }
    Outcome<NpyArray> array = readNpy(path.str(), expected);
    if (!array)
      return toError(array.takeError());
    memory.push_back(std::move(*array));
    const TensorView &view = bindings.inputs[name.str()] = memory.back().view;
    for (size_t i = 0; decl && i < std::min(decl->axes.size(), view.shape.size()); ++i)
      if (!decl->axes[i].space.empty())
        known.spaces.try_emplace(decl->axes[i].space, view.shape[i]);
  }
  for (const TensorDecl &decl : signature->inputs) {
    if (!decl.dtype || bindings.inputs.count(decl.name))
      continue;
    NpyArray &array = memory.emplace_back();
    array.view.dtype = *decl.dtype;
    array.view.shape = shapeOf(decl, known);
    array.view.strides = rowMajorStrides(array.view.shape);
    array.storage.resize(static_cast<size_t>(array.view.numElements() * dtypeSize(*decl.dtype)));
    array.view.data = array.storage.data();
    fillSample(decl, known, seed, array.view);
    bindings.inputs[decl.name] = array.view;
  }
  for (llvm::StringRef binding : params) {
    auto [name, text] = binding.split('=');
    if (text.getAsDouble(bindings.params[name.str()]))
      return llvm::createStringError("`" + binding + "` does not bind a number");
  }
  auto results = reference::run(variant, bindings, threads);
  if (!results)
    return results.takeError();
  for (llvm::StringRef binding : outputs) {
    auto [name, path] = binding.split('=');
    auto it = results->find(name.str());
    if (it == results->end())
      return llvm::createStringError("`" + name + "` is not an output");
    if (attnc::Failure failure = writeNpy(path.str(), it->second.shape, it->second.data))
      return toError(std::move(failure));
  }
  return llvm::Error::success();
}

mlir::LogicalResult process(llvm::SourceMgr &sources, mlir::MLIRContext &context,
                            llvm::raw_ostream &os) {
  if (action == Action::Format) {
    std::optional<std::string> text = frontend::formatSpec(sources, &context);
    if (text)
      os << *text;
    return mlir::success(text.has_value());
  }
  mlir::OwningOpRef<mlir::ModuleOp> module = frontend::parseSpec(sources, &context);
  if (module && action == Action::Emit) {
    mlir::OpPrintingFlags flags;
    if (printLocations)
      flags.enableDebugInfo();
    module->print(os, flags);
    os << "\n";
  }
  if (module && action == Action::Reference) {
    mlir::PassManager derive(&context);
    derive.addPass(attnc::createAttnDeriveGradients());
    if (mlir::failed(derive.run(*module)))
      return mlir::failure();
    if (llvm::Error error = runReference(*module)) {
      llvm::errs() << "attnc-spec: error: " << llvm::toString(std::move(error)) << "\n";
      return mlir::failure();
    }
  }
  return mlir::success(bool(module));
}

mlir::LogicalResult processChunk(std::unique_ptr<llvm::MemoryBuffer> chunk, llvm::raw_ostream &os) {
  auto sources = std::make_shared<llvm::SourceMgr>();
  sources->AddNewSourceBuffer(std::move(chunk), llvm::SMLoc());
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  if (verifyDiagnostics) {
    mlir::SourceMgrDiagnosticVerifierHandler handler(*sources, &context);
    (void)process(*sources, context, llvm::nulls());
    return handler.verify();
  }
  frontend::SpecDiagnosticPrinter printer(*sources, &context);
  return process(*sources, context, os);
}
} // namespace

int main(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  cl::ParseCommandLineOptions(argc, argv, "attnc spec checker\n");
  std::string message;
  std::unique_ptr<llvm::MemoryBuffer> buffer = mlir::openInputFile(inputName, &message);
  if (!buffer) {
    llvm::errs() << message << "\n";
    return 1;
  }
  auto perChunk = [](std::unique_ptr<llvm::MemoryBuffer> chunk, llvm::raw_ostream &os) {
    return processChunk(std::move(chunk), os);
  };
  // Without --verify-diagnostics a `// -----` is an ordinary comment.
  mlir::LogicalResult result =
      verifyDiagnostics ? mlir::splitAndProcessBuffer(std::move(buffer), perChunk, llvm::outs())
                        : processChunk(std::move(buffer), llvm::outs());
  return mlir::failed(result);
}
