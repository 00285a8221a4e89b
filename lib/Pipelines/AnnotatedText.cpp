// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// MLIR's printer writes locations into the text, `loc("causal.attn":7:3)` behind each op and block
// argument, where they hide what they are about. So they are printed, taken out again, and what
// they say becomes a comment.
#include "attnc/Pipelines/AnnotatedText.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using llvm::StringRef;

/// The end of the parenthesis that `text` starts with, behind strings and inner ones.
static size_t endOfParenthesis(StringRef text) {
  unsigned depth = 0;
  bool inString = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (inString) {
      if (text[i] == '\\')
        ++i;
      else
        inString = text[i] != '"';
      continue;
    }
    if (text[i] == '"')
      inString = true;
    else if (text[i] == '(')
      ++depth;
    else if (text[i] == ')' && --depth == 0)
      return i + 1;
  }
  return text.size();
}

/// The place of the next ` loc(` outside of a string, from `from` on; npos if there is none.
static size_t findLocation(StringRef line, size_t from) {
  bool inString = false;
  for (size_t i = from; i < line.size(); ++i) {
    if (line[i] == '"')
      inString = !inString;
    else if (inString && line[i] == '\\')
      ++i;
    else if (!inString && line.substr(i).starts_with(" loc("))
      return i;
  }
  return StringRef::npos;
}

/// "causal.attn:7" of `("specs/causal.attn":7:3)`; empty if the location says no line.
static std::string placeOf(StringRef location) {
  size_t at = 0;
  while ((at = location.find("\":", at)) != StringRef::npos) {
    StringRef line = location.substr(at + 2).take_while(llvm::isDigit);
    StringRef file = location.take_front(at);
    if (!line.empty())
      return (llvm::sys::path::filename(file.substr(file.rfind('"') + 1)) + ":" + line).str();
    ++at;
  }
  return "";
}

std::string attnc::annotatedText(ModuleOp module) {
  std::string printed;
  llvm::raw_string_ostream os(printed);
  OpPrintingFlags flags;
  // Where values are split between threads or lanes one name stands for dozens of them.
  bool isSplit = !module.getOps<LLVM::LLVMFuncOp>().empty();
  module->print(os, flags.enableDebugInfo(/*enable=*/true, /*prettyForm=*/false)
                        .useLocalScope()
                        .printNameLocAsPrefix(!isSplit));
  std::string text, last;
  text.reserve(printed.size());
  for (StringRef rest = printed; !rest.empty();) {
    auto [line, next] = rest.split('\n');
    rest = next;
    std::string place;
    size_t begin = 0;
    for (size_t at; (at = findLocation(line, begin)) != StringRef::npos;) {
      text += line.slice(begin, at);
      StringRef location = line.substr(at + 4);
      size_t end = endOfParenthesis(location);
      place = placeOf(location.take_front(end));
      begin = at + 4 + end;
    }
    text += line.substr(begin);
    if (!place.empty() && place != last && !line.ltrim().starts_with("^")) {
      text += "  // " + place;
      last = place;
    }
    text += '\n';
  }
  return text;
}
