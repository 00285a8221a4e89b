// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Reading specs: `.attn` source through the frontend, MLIR text through MLIR's parser.
#include "attnc/Frontend/Frontend.h"
#include "attnc/JIT/Compiler.h"
#include "attnc/Pipelines/IrText.h"
#include "attnc/Target/Host/HostCodegen.h"
#include "attnc/Transforms/Passes.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/SourceMgr.h"

using namespace mlir;
using namespace attnc;

llvm::Expected<SpecSource> SpecSource::fromFile(llvm::StringRef path) {
  auto fail = [&](const std::string &reason) {
    return llvm::createStringError(llvm::formatv("cannot read `{0}`: {1}", path, reason));
  };
  namespace fs = llvm::sys::fs;
  llvm::Expected<fs::file_t> file = path == "-" ? llvm::Expected<fs::file_t>(fs::getStdinHandle())
                                                : fs::openNativeFileForRead(path);
  if (!file)
    return fail(llvm::errorToErrorCode(file.takeError()).message());
  auto close = llvm::scope_exit([&] {
    if (path != "-")
      fs::closeFile(*file);
  });
  // Read piece by piece, as a pipe or a device does not say how long it is.
  SpecSource source{path == "-" ? "<stdin>" : path.str(), {}};
  std::vector<char> piece(1 << 16);
  while (true) {
    llvm::Expected<size_t> read = fs::readNativeFile(*file, piece);
    if (!read)
      return fail(llvm::errorToErrorCode(read.takeError()).message());
    if (*read == 0)
      return source;
    source.text.append(piece.data(), *read);
    if (source.text.size() > maxBytes)
      return fail(llvm::formatv("it is larger than {0} MB, the most that a spec may have",
                                maxBytes / 1000000));
  }
}

/// True for MLIR text; `.attn` source starts with a declaration keyword.
static bool isMLIR(const SpecSource &source) {
  if (llvm::StringRef(source.name).ends_with(".mlir"))
    return true;
  if (llvm::StringRef(source.name).ends_with(".attn"))
    return false;
  llvm::StringRef rest = llvm::StringRef(source.text).ltrim();
  while (rest.starts_with("//"))
    rest = rest.drop_front(std::min(rest.size(), rest.find('\n'))).ltrim();
  return rest.starts_with("module") || rest.starts_with("attn.variant") || rest.starts_with("\"") ||
         rest.starts_with("#");
}

void attnc::registerAllDialects(DialectRegistry &registry) {
  registerCompilerDialects(registry);
  registerHostTarget(registry);
}

llvm::Expected<std::unique_ptr<Spec>> Spec::parse(const SpecSource &source,
                                                  llvm::StringRef variantName,
                                                  const std::vector<std::string> &dumps) {
  auto spec = std::unique_ptr<Spec>(new Spec());
  DialectRegistry registry;
  registerAllDialects(registry);
  // One kernel at a time: threads would cost more than they save.
  spec->mlirContext = std::make_unique<MLIRContext>(registry, MLIRContext::Threading::DISABLED);
  // Diagnostics speak about the spec, not about the IR.
  spec->mlirContext->printOpOnDiagnostic(false);
  spec->mlirContext->loadDialect<attn::AttnDialect, arith::ArithDialect, math::MathDialect>();

  llvm::SourceMgr sources;
  sources.AddNewSourceBuffer(llvm::MemoryBuffer::getMemBufferCopy(source.text, source.name),
                             llvm::SMLoc());
  std::string diagnostics;
  llvm::raw_string_ostream os(diagnostics);
  bool isText = !isMLIR(source);
  if (!isText && !dumps.empty())
    return llvm::createStringError(
        llvm::formatv("{0}: error: cannot dump `{1}`: in MLIR tensors have no names; put it into "
                      "`attn.return`",
                      source.name, dumps.front()));
  {
    frontend::SpecDiagnosticPrinter handler(sources, spec->mlirContext.get(), os);
    spec->ownedModule =
        isText ? frontend::parseSpec(sources, spec->mlirContext.get(), {variantName.str(), dumps})
               : parseIr(sources, spec->mlirContext.get());
  }
  if (spec->ownedModule) {
    // Every executor runs behind the derivation of gradients.
    PassManager derive(spec->mlirContext.get());
    derive.addPass(createAttnDeriveGradients());
    frontend::SpecDiagnosticPrinter handler(sources, spec->mlirContext.get(), os);
    if (failed(derive.run(*spec->ownedModule)))
      spec->ownedModule = nullptr;
  }
  if (!spec->ownedModule)
    return llvm::createStringError(llvm::StringRef(diagnostics).rtrim());
  spec->warningText = diagnostics;

  SmallVector<attn::VariantOp> variants(spec->ownedModule->getOps<attn::VariantOp>());
  std::string names;
  for (attn::VariantOp variant : variants) {
    names += (names.empty() ? "" : ", ") + variant.getSymName().str();
    if (variant.getSymName() == variantName || (variantName.empty() && variants.size() == 1))
      spec->selected = variant;
  }
  if (!spec->selected) {
    if (variants.empty())
      return llvm::createStringError(
          llvm::formatv("{0}: error: the file declares no variant", source.name));
    if (variantName.empty())
      return llvm::createStringError(llvm::formatv(
          "{0}: error: the file declares several variants, name one of {1}", source.name, names));
    return llvm::createStringError(
        llvm::formatv("{0}: error: no such variant; the file declares {1}", source.name, names));
  }
  return std::move(spec);
}

OwningOpRef<ModuleOp> Spec::cloneVariant() {
  OwningOpRef<ModuleOp> copy = ModuleOp::create(ownedModule->getLoc());
  copy->getBody()->push_back(selected->clone());
  return copy;
}

std::string Spec::canonicalText() {
  std::string text;
  llvm::raw_string_ostream os(text);
  selected->print(os, OpPrintingFlags().useLocalScope());
  return text;
}

std::map<std::string, double> Spec::defaultParams() {
  std::map<std::string, double> params;
  for (auto param : selected.getBody().getOps<attn::ParamOp>()) {
    if (param.getIsConst())
      continue;
    Attribute value = param.getDefaultValue();
    if (auto number = dyn_cast<IntegerAttr>(value))
      params[param.getName().str()] = static_cast<double>(number.getInt());
    else if (auto real = dyn_cast<FloatAttr>(value))
      params[param.getName().str()] = real.getValueAsDouble();
  }
  return params;
}
