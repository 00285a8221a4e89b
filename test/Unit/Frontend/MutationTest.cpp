// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The gallery with random edits: whatever the text, the frontend yields a module that verifies or
// at least one error, and never crashes; what formats, formats to a fixed point that means the
// same. The entry below is also that of libFuzzer (build this file with -fsanitize=fuzzer and
// -DATTNC_FUZZ).
#include "attnc/Frontend/Frontend.h"
#include "mlir/IR/Verifier.h"
#include "llvm/Support/MemoryBuffer.h"

#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

using namespace attnc;

namespace {
struct Outcome {
  bool parsed = false;
  unsigned errors = 0;
  std::optional<std::string> formatted;
  std::string text;
};

Outcome process(llvm::StringRef spec) {
  Outcome outcome;
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  auto count = [&](mlir::Diagnostic &) { ++outcome.errors; };
  mlir::ScopedDiagnosticHandler handler(&context, count);
  llvm::SourceMgr sources;
  sources.AddNewSourceBuffer(llvm::MemoryBuffer::getMemBufferCopy(spec, "fuzz"), llvm::SMLoc());
  if (mlir::OwningOpRef<mlir::ModuleOp> module = frontend::parseSpec(sources, &context)) {
    outcome.parsed = true;
    llvm::raw_string_ostream os(outcome.text);
    module->print(os);
  }
  outcome.formatted = frontend::formatSpec(sources, &context);
  return outcome;
}
} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  llvm::StringRef spec(reinterpret_cast<const char *>(data), size);
  Outcome outcome = process(spec);
  if (!outcome.parsed && outcome.errors == 0)
    std::abort();
  if (!outcome.formatted)
    return 0;
  Outcome again = process(*outcome.formatted);
  if (again.formatted != outcome.formatted || again.parsed != outcome.parsed ||
      again.text != outcome.text)
    std::abort();
  return 0;
}

#ifndef ATTNC_FUZZ
#include <gtest/gtest.h>

TEST(Mutation, GallerySurvivesEdits) {
  std::vector<std::string> specs, tokens;
  for (const auto &entry : std::filesystem::directory_iterator(ATTNC_SPECS)) {
    std::ifstream in(entry.path());
    std::stringstream text;
    text << in.rdbuf();
    specs.push_back(text.str());
  }
  ASSERT_GE(specs.size(), 14u);
  std::sort(specs.begin(), specs.end());
  std::mt19937 random(1);
  auto pick = [&](size_t n) { return static_cast<size_t>(random() % std::max<size_t>(n, 1)); };
  const char *const pieces[] = {"(",           ")",        "{",           "}",
                                "[",           "]",        "if ",         " then ",
                                " else ",      " not ",    "-",           "/ 0",
                                "q",           "kv",       "size(kv)",    "mask ",
                                "score ",      "let x = ", "def f(x) = ", "f(",
                                ",",           "//",       "\n",          "1e9",
                                "99999999999", "\xff",     "attention ",  "branch b { ",
                                "sample ",     "%",        "<",           "=",
                                ".",           "'",        "\"",          "input x: f32[h] ",
                                "&",           "|",        "^",           "~",
                                "<<",          ">> 33",    "<< -1",       " << kv"};
  for (int round = 0; round < 3000; ++round) {
    std::string spec = specs[pick(specs.size())];
    for (size_t edits = 1 + pick(4); edits-- > 0;) {
      size_t at = pick(spec.size()), length = pick(12);
      switch (pick(4)) {
      case 0:
        spec.erase(at, length);
        break;
      case 1:
        spec.insert(at, pieces[pick(std::size(pieces))]);
        break;
      case 2:
        spec.insert(at, spec.substr(pick(spec.size()), length * 3));
        break;
      default:
        if (!spec.empty())
          spec[at] = static_cast<char>(random());
      }
    }
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t *>(spec.data()), spec.size());
  }
}
#endif
