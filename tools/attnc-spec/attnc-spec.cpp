// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the tests of the language run: checks, formats or emits a spec. With --verify-diagnostics the errors
// are compared with `expected-error` comments in the spec, and `// -----` separates specs.
#include "attnc/Frontend/Frontend.h"
#include "dialects/Attn/Attn.h"
#include "mlir/IR/AsmState.h"
#include "mlir/Support/FileUtilities.h"
#include "mlir/Support/ToolUtilities.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/ToolOutputFile.h"

using namespace attnc;
namespace cl = llvm::cl;

namespace {
enum class Action { Check, Format, Emit };
cl::opt<std::string> inputName(cl::Positional, cl::desc("<spec>"), cl::init("-"));
cl::opt<Action> action(cl::desc("what to do:"), cl::init(Action::Emit),
                       cl::values(clEnumValN(Action::Check, "check", "report errors only"),
                                  clEnumValN(Action::Format, "format", "print in canonical layout"),
                                  clEnumValN(Action::Emit, "emit-attn", "print the attn dialect")));
cl::opt<bool> printLocations("locations", cl::desc("print locations with the attn dialect"));
cl::opt<bool> verifyDiagnostics("verify-diagnostics", cl::desc("compare errors with expected-error comments"));

mlir::LogicalResult process(llvm::SourceMgr &sources, mlir::MLIRContext &context, llvm::raw_ostream &os) {
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
