// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The gallery as IR, of the attn and the kernels phase, with random edits: whatever the text, it is
// refused with a message or compiles to the tile phase, and never crashes or hangs. The entry below
// is also that of libFuzzer, as in MutationTest.cpp.
#include "attnc/Analysis/Compilable.h"
#include "attnc/Frontend/Frontend.h"
#include "attnc/Pipelines/IrText.h"
#include "attnc/Pipelines/Phases.h"
#include "attnc/Plan/Plan.h"
#include "dialects/Attn/Attn.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/MemoryBuffer.h"

#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

using namespace attnc;

namespace {
/// The options that edited IR is compiled with.
CompileRequest requestFor(mlir::ModuleOp module) {
  CompileRequest request;
  request.options.target = llvm::cantFail(Target::parse("sm_80"));
  request.from = Phase::Attn;
  for (auto variant : module.getOps<attn::VariantOp>())
    if (variant->hasAttr(tile::ScheduleAttr::attrName))
      request.from = Phase::Kernels;
  request.to = Phase::Tile;
  return request;
}

std::unique_ptr<mlir::MLIRContext> makeContext() {
  mlir::DialectRegistry registry;
  registerCompilerDialects(registry);
  return std::make_unique<mlir::MLIRContext>(registry, mlir::MLIRContext::Threading::DISABLED);
}
} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::unique_ptr<mlir::MLIRContext> context = makeContext();
  unsigned errors = 0;
  mlir::ScopedDiagnosticHandler handler(context.get(), [&](mlir::Diagnostic &) { ++errors; });
  llvm::SourceMgr sources; // as a driver reads a file
  llvm::StringRef text(reinterpret_cast<const char *>(data), size);
  sources.AddNewSourceBuffer(llvm::MemoryBuffer::getMemBufferCopy(text, "input"), llvm::SMLoc());
  auto module = parseIr(sources, context.get());
  if (!module) {
    if (errors == 0)
      std::abort();
    return 0;
  }
  for (auto variant : module->getOps<attn::VariantOp>())
    findTooDeep(variant);
  llvm::Expected<CompileResult> result = runPhases(*module, requestFor(*module));
  if (!result && llvm::toString(result.takeError()).empty())
    std::abort();
  return 0;
}

#ifndef ATTNC_FUZZ
#include <gtest/gtest.h>

namespace {
/// The IR of a spec at the attn and, if code is generated for it, the kernels phase.
std::vector<std::string> irOf(const std::string &spec) {
  std::vector<std::string> texts;
  std::unique_ptr<mlir::MLIRContext> context = makeContext();
  mlir::ScopedDiagnosticHandler handler(context.get(), [](mlir::Diagnostic &) {});
  llvm::SourceMgr sources;
  sources.AddNewSourceBuffer(llvm::MemoryBuffer::getMemBufferCopy(spec, "spec"), llvm::SMLoc());
  mlir::OwningOpRef<mlir::ModuleOp> module = frontend::parseSpec(sources, context.get());
  if (!module)
    return texts;
  llvm::raw_string_ostream(texts.emplace_back()) << *module;
  CompileRequest request = requestFor(*module);
  request.to = Phase::Kernels;
  request.dump = [&](Phase, llvm::StringRef text, const auto &) { texts.push_back(text.str()); };
  llvm::Expected<CompileResult> result = runPhases(*module, request);
  llvm::consumeError(result.takeError());
  return texts;
}
} // namespace

TEST(IrMutation, GallerySurvivesEdits) {
  std::vector<std::string> seeds;
  for (const auto &entry : std::filesystem::recursive_directory_iterator(ATTNC_SPECS))
    if (entry.path().extension() == ".attn") {
      std::ifstream in(entry.path());
      std::stringstream text;
      text << in.rdbuf();
      for (std::string &ir : irOf(text.str()))
        seeds.push_back(std::move(ir));
    }
  ASSERT_GE(seeds.size(), 100u);
  std::sort(seeds.begin(), seeds.end());
  if (const char *folder = std::getenv("ATTNC_FUZZ_SEEDS")) // a corpus for libFuzzer
    for (size_t i = 0; i < seeds.size(); ++i)
      std::ofstream(std::string(folder) + "/" + std::to_string(i) + ".mlir") << seeds[i];
  std::mt19937 random(1);
  auto pick = [&](size_t n) { return static_cast<size_t>(random() % std::max<size_t>(n, 1)); };
  // Names of values stay: where a text with uses that nothing dominates cannot be parsed, MLIR's
  // own parser destroys definitions before uses. libFuzzer is free to change them.
  const std::pair<const char *, const char *> words[] = {{"i32", "i1"},
                                                         {"i32", "f32"},
                                                         {"f32", "i32"},
                                                         {"kv", "q"},
                                                         {"\"Q\"", "\"K\""},
                                                         {"b, ", ""},
                                                         {"attn.read", "attn.reed"},
                                                         {"addi", "floordivsi"},
                                                         {"subi", "divsi"},
                                                         {"muli", "shli"},
                                                         {"floordivsi", "shrsi"},
                                                         {"maxsi", "xori"},
                                                         {"minsi", "andi"},
                                                         {"slt", "ult"},
                                                         {"bottom_right", "none"},
                                                         {"minsi", "remsi"},
                                                         {"sum", "argmax"},
                                                         {"tile_q = 64", "tile_q = 0"},
                                                         {"= 64 : i64", "= -1 : i64"},
                                                         {"<[", "<"},
                                                         {" : i32", ""},
                                                         {"attn.yield", "attn.return"},
                                                         {"2", "2147483647"},
                                                         {"1", "-2147483648"}};
  for (int round = 0; round < 1500; ++round) {
    std::string text = seeds[pick(seeds.size())];
    for (size_t edits = 1 + pick(3); edits-- > 0;) {
      size_t at = pick(text.size());
      if (pick(2)) {
        auto [from, to] = words[pick(std::size(words))];
        at = text.find(from, at);
        if (at != std::string::npos && (at == 0 || text[at - 1] == ' ' || !std::isdigit(*from)))
          text.replace(at, std::string(from).size(), to);
        continue;
      }
      at = text.find_first_of("0123456789", at);
      size_t word = at == std::string::npos ? at : text.find_last_of(" (,[<", at);
      if (word != std::string::npos && word + 1 < text.size() && text[word + 1] != '%')
        text[at] = static_cast<char>('0' + pick(10));
    }
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t *>(text.data()), text.size());
  }
}
#endif
