// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attnc list, check and fmt: what needs only the frontend.
#include "Options.h"
#include "attnc/Frontend/Frontend.h"
#include "attnc/Support/Environment.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/SourceMgr.h"

using namespace attnc;
using namespace attnc::driver;
using llvm::createStringError;
using llvm::formatv;

/// The gallery: the given folder, $ATTNC_SPECS, or `specs` beside or above the program, or
/// `share/attnc/specs` of the prefix that it is installed in.
static llvm::Expected<std::string> galleryFolder(const Options &options) {
  if (!options.spec.empty())
    return options.spec;
  if (const char *given = readVariable(Variable::Specs))
    return std::string(given);
  llvm::SmallString<256> folder(llvm::sys::fs::getMainExecutable(nullptr, nullptr));
  for (int level = 0; level < 4; ++level) {
    llvm::sys::path::remove_filename(folder);
    for (const char *name : {"specs", "share/attnc/specs"}) {
      llvm::SmallString<256> specs(folder);
      llvm::sys::path::append(specs, name);
      if (llvm::sys::fs::is_directory(specs))
        return std::string(specs);
    }
  }
  return createStringError("cannot find the gallery: give its folder, or set ATTNC_SPECS");
}

/// The first sentence of a spec's leading comment.
static std::string headline(llvm::StringRef text) {
  std::string line;
  while (text.starts_with("//")) {
    auto [first, rest] = text.split('\n');
    line += (line.empty() ? "" : " ") + first.drop_front(2).trim().str();
    text = rest;
    if (llvm::StringRef(line).contains('.'))
      break;
  }
  return llvm::StringRef(line).split(". ").first.rtrim('.').str();
}

llvm::Error driver::runList(const Options &options) {
  llvm::Expected<std::string> folder = galleryFolder(options);
  if (!folder)
    return folder.takeError();
  std::vector<std::string> files;
  std::error_code error;
  for (llvm::sys::fs::directory_iterator it(*folder, error), end; it != end && !error;
       it.increment(error))
    if (llvm::StringRef(it->path()).ends_with(".attn"))
      files.push_back(it->path());
  if (error)
    return createStringError(formatv("cannot read `{0}`: {1}", *folder, error.message()));
  llvm::sort(files);
  llvm::json::Array array;
  for (const std::string &file : files) {
    auto buffer = llvm::MemoryBuffer::getFile(file);
    if (!buffer)
      return createStringError(
          formatv("cannot read `{0}`: {1}", file, buffer.getError().message()));
    std::string text = headline((*buffer)->getBuffer());
    llvm::StringRef name = llvm::sys::path::stem(file);
    if (options.json)
      array.push_back(llvm::json::Object{{"name", name}, {"file", file}, {"summary", text}});
    else
      llvm::outs() << formatv("{0,-18} {1}\n", name, text);
  }
  if (options.json)
    llvm::outs() << formatv("{0:2}\n", llvm::json::Value(std::move(array)));
  return llvm::Error::success();
}

llvm::Error driver::runCheck(const Options &options) {
  llvm::Expected<SpecSource> source = SpecSource::fromFile(options.spec);
  if (!source)
    return source.takeError();
  llvm::Expected<std::unique_ptr<Spec>> spec = Spec::parse(*source);
  if (spec)
    llvm::errs() << (*spec)->warnings();
  // Several variants in one file are fine here.
  std::string problem = spec ? std::string() : llvm::toString(spec.takeError());
  bool good = problem.empty() || problem.find("several variants") != std::string::npos;
  if (options.json)
    llvm::outs() << formatv(
        "{0:2}\n",
        llvm::json::Value(llvm::json::Object{
            {"file", options.spec}, {"ok", good}, {"diagnostics", good ? "" : problem}}));
  if (!good)
    return createStringError(problem);
  return llvm::Error::success();
}

llvm::Error driver::runFmt(const Options &options) {
  llvm::Expected<SpecSource> source = SpecSource::fromFile(options.spec);
  if (!source)
    return source.takeError();
  mlir::DialectRegistry registry;
  registerAllDialects(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  llvm::SourceMgr sources;
  sources.AddNewSourceBuffer(llvm::MemoryBuffer::getMemBufferCopy(source->text, source->name),
                             llvm::SMLoc());
  std::string diagnostics;
  llvm::raw_string_ostream os(diagnostics);
  frontend::SpecDiagnosticPrinter handler(sources, &context, os);
  std::optional<std::string> text = frontend::formatSpec(sources, &context);
  if (!text)
    return createStringError(llvm::StringRef(diagnostics).rtrim());
  if (options.json)
    llvm::outs() << formatv("{0:2}\n",
                            llvm::json::Value(llvm::json::Object{{"file", options.spec},
                                                                 {"changed", *text != source->text},
                                                                 {"text", *text}}));
  if (!options.inPlace) {
    if (!options.json)
      llvm::outs() << *text;
    return llvm::Error::success();
  }
  if (*text == source->text)
    return llvm::Error::success();
  return writeOutput(options.spec, *text);
}
