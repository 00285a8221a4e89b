// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What MLIR's parser and printer have no limits for. Both recurse along what nests, until the stack
// ends; and an alias stands for all that it names, so that forty lines that each name the one
// before twice are 2^40 elements once they are printed, in an error message for instance. The text
// is measured before it is parsed: brackets that are open at once, and characters with every alias
// written out.
#include "attnc/Pipelines/IrText.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/Parser/Parser.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace attnc;
using llvm::StringRef;

namespace {
class TextMeasure {
public:
  explicit TextMeasure(StringRef text) : text(text) {}

  /// What is too much, and where; nothing if all is within the limits.
  std::optional<std::pair<std::string, size_t>> findTooMuch() {
    while (problem.empty() && at < text.size()) {
      char c = text[at];
      start = at;
      if (text.substr(at).starts_with("//"))
        at = std::min(text.find('\n', at), text.size());
      else if (c == '"')
        skipString();
      else if (c == '#' || c == '!')
        readAlias();
      else
        readCharacter(c);
      if (total > maxIrCharacters)
        fail(llvm::formatv("with its aliases written out this is more than {0} characters",
                           maxIrCharacters)
                 .str());
    }
    return problem.empty() ? std::nullopt : std::make_optional(std::make_pair(problem, place));
  }

private:
  /// What an alias stands for: its brackets, and its characters.
  struct Alias {
    int64_t depth = 0, characters = 0;
  };

  void fail(std::string what) {
    if (!problem.empty())
      return;
    problem = std::move(what);
    place = start;
  }

  void skipString() {
    ++at;
    while (at < text.size() && text[at] != '"' && text[at] != '\n')
      at += text[at] == '\\' ? 2 : 1;
    at = std::min(at + 1, text.size());
    count(static_cast<int64_t>(at - start));
  }

  /// Counts characters for the text, and for the alias that is being defined.
  void count(int64_t characters) {
    total += characters;
    if (defined)
      defined->characters = std::min<int64_t>(defined->characters + characters, maxIrCharacters);
  }

  void nest(int64_t within) {
    int64_t depth = within;
    for (int64_t open : opened)
      depth += open;
    if (defined)
      defined->depth = std::max(defined->depth, depth);
    if (depth > maxIrNesting)
      fail(llvm::formatv("this nests more than {0} deep", maxIrNesting).str());
  }

  /// A definition at the outermost level, or a use. Names of dialects have a point, or brackets.
  void readAlias() {
    ++at;
    while (at < text.size() && (llvm::isAlnum(text[at]) || StringRef("_$.-").contains(text[at])))
      ++at;
    StringRef name = text.slice(start, at);
    size_t next = std::min(text.find_first_not_of(" \t\r\n", at), text.size());
    bool isOutermost = llvm::all_of(opened, [](int64_t open) { return open == 0; });
    if (isOutermost && text.substr(next).starts_with("=") && !text.substr(next).starts_with("==")) {
      aliases.try_emplace(name);
      definition = name;
      current = Alias();
      defined = &current;
      at = next + 1;
      return;
    }
    count(static_cast<int64_t>(name.size()));
    if (auto found = aliases.find(name); found != aliases.end()) {
      count(found->second.characters);
      nest(found->second.depth);
    }
  }

  void readCharacter(char c) {
    static constexpr StringRef opening = "([{<", closing = ")]}>";
    bool isArrow = c == '>' && at > 0 && text[at - 1] == '-';
    bool isComparison = text.substr(at + 1).starts_with("=") && (c == '<' || c == '>');
    if (size_t kind = opening.find(c); kind != StringRef::npos && !isComparison) {
      ++opened[kind];
      nest(0);
      if (c == '<' && (text.take_front(at).ends_with("affine_map") ||
                       text.take_front(at).ends_with("affine_set")))
        checkAffine();
    } else if (kind = closing.find(c); kind != StringRef::npos && !isArrow && !isComparison) {
      opened[kind] = std::max<int64_t>(opened[kind] - 1, 0);
    } else if (c == '\n') {
      endDefinition();
    }
    ++at;
    count(1);
  }

  /// Sums and signs of an affine expression are parsed by recursion, too, without a bracket.
  void checkAffine() {
    StringRef rest = text.drop_front(at).take_front(maxAffineCharacters);
    for (size_t i = 1; i + 1 < rest.size(); ++i)
      if (rest[i] == '>' && rest[i - 1] != '-' && rest[i + 1] != '=')
        return;
    if (rest.size() == maxAffineCharacters)
      fail(llvm::formatv("an affine map or set of more than {0} characters", maxAffineCharacters)
               .str());
  }

  /// At the end of a line: a definition goes on behind an open bracket and between two parts.
  void endDefinition() {
    StringRef before = text.take_front(at).rtrim();
    bool goesOn = llvm::any_of(opened, [](int64_t open) { return open > 0; }) ||
                  before.ends_with("->") || before.ends_with(":") || before.ends_with("=") ||
                  before.ends_with(",");
    if (!defined || goesOn)
      return;
    aliases[definition] = current;
    defined = nullptr;
  }

  StringRef text;
  size_t at = 0, start = 0; ///< of the character that is read, and of the token that it is part of
  int64_t opened[4] = {0, 0, 0, 0}; ///< brackets of each kind
  int64_t total = 0;
  llvm::StringMap<Alias> aliases;
  StringRef definition;
  Alias current, *defined = nullptr;
  std::string problem;
  size_t place = 0; ///< of the problem
};
} // namespace

OwningOpRef<ModuleOp> attnc::parseIr(const llvm::SourceMgr &sources, MLIRContext *context) {
  const llvm::MemoryBuffer &buffer = *sources.getMemoryBuffer(sources.getMainFileID());
  if (auto tooMuch = TextMeasure(buffer.getBuffer()).findTooMuch()) {
    StringRef before = buffer.getBuffer().take_front(tooMuch->second);
    size_t line = before.count('\n') + 1, column = before.size() - (before.rfind('\n') + 1) + 1;
    emitError(FileLineColLoc::get(context, buffer.getBufferIdentifier(),
                                  static_cast<unsigned>(line), static_cast<unsigned>(column)),
              tooMuch->first);
    return nullptr;
  }
  return parseSourceFile<ModuleOp>(sources, context);
}
