// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The formatter. It works on the tokens of a spec that parses, so comments need no place in the
// tree: a statement starts a line, line breaks inside of a statement stay and are indented once
// more, runs of blank lines become one, and the space between two tokens depends on these two
// alone.
#include "Parser.h"
#include "attnc/Frontend/Frontend.h"
#include "llvm/ADT/DenseSet.h"

using namespace attnc::frontend;
using llvm::StringRef;

namespace {
class Formatter {
public:
  explicit Formatter(const SpecFile &file)
      : tokens(file.tokens), starts(file.statementStarts.begin(), file.statementStarts.end()) {}

  std::string run() {
    for (size_t i = 0; i + 1 < tokens.size(); ++i)
      place(tokens[i], i ? &tokens[i - 1] : nullptr, i > 1 ? &tokens[i - 2] : nullptr);
    if (!out.empty())
      out += '\n';
    return std::move(out);
  }

private:
  void place(const Token &token, const Token *previous, const Token *beforePrevious) {
    size_t breaks = 0;
    if (previous)
      breaks =
          StringRef(previous->text.end(), token.text.begin() - previous->text.end()).count('\n');
    bool closesBlock = token.is(TokenKind::RBrace);
    if (closesBlock && depth)
      --depth;
    bool isStatement = starts.contains(token.text.data());
    bool mustBreak = isStatement || closesBlock || (previous && previous->is(TokenKind::LBrace)) ||
                     (previous && previous->is(TokenKind::RBrace));
    bool afterComment = previous && previous->is(TokenKind::Comment);
    // A comment behind a statement stays behind it.
    if (token.is(TokenKind::Comment) && previous && breaks == 0)
      out += "  ";
    else if (previous && (mustBreak || afterComment || breaks)) {
      bool blank = breaks > 1 && !previous->is(TokenKind::LBrace) && !closesBlock;
      out += blank ? "\n\n" : "\n";
      bool continues = inStatement && !mustBreak && !token.is(TokenKind::Comment) &&
                       !token.is(TokenKind::RParen);
      out.append(2 * depth + (continues ? 4 : 0), ' ');
    } else if (previous && (starts.contains(previous->text.data()) ||
                            needsSpace(*previous, token, beforePrevious))) {
      out += ' ';
    }
    out += token.is(TokenKind::Comment) ? token.text.rtrim().str() : token.text.str();
    if (token.is(TokenKind::LBrace))
      ++depth;
    if (isStatement)
      inStatement = true;
    if (token.is(TokenKind::LBrace) || token.is(TokenKind::RBrace))
      inStatement = false;
  }

  /// True if `token` ends an operand, so that a minus behind it subtracts.
  static bool endsOperand(const Token &token) {
    return token.is(TokenKind::Integer) || token.is(TokenKind::Real) ||
           token.is(TokenKind::RParen) || token.is(TokenKind::RSquare) ||
           (token.is(TokenKind::Identifier) && !isReserved(token.text));
  }

  static bool needsSpace(const Token &a, const Token &b, const Token *beforeA) {
    switch (b.kind) {
    case TokenKind::Dot:
    case TokenKind::Comma:
    case TokenKind::RParen:
    case TokenKind::RSquare:
    case TokenKind::Colon:
      return false;
    case TokenKind::LParen:
    case TokenKind::LSquare:
      // `f(x)` and `a[i]`, but `and (x)`, `* (x)` and `per [x]`.
      if (a.is(TokenKind::Identifier))
        return isReserved(a.text) ||
               (b.is(TokenKind::LSquare) && (a.text == "per" || a.text == "over"));
      if (a.is(TokenKind::RParen) && b.is(TokenKind::LSquare)) // `f(x)[i]`
        return false;
      break;
    default:
      break;
    }
    if (a.is(TokenKind::LParen) || a.is(TokenKind::LSquare) || a.is(TokenKind::Dot))
      return false;
    if (a.is(TokenKind::Tilde) || (a.is(TokenKind::Minus) && (!beforeA || !endsOperand(*beforeA))))
      return false;
    return true;
  }

  const std::vector<Token> &tokens;
  llvm::DenseSet<const char *> starts;
  std::string out;
  size_t depth = 0;
  bool inStatement = false;
};
} // namespace

std::optional<std::string> attnc::frontend::formatSpec(llvm::SourceMgr &sources,
                                                       mlir::MLIRContext *context) {
  Reporter reporter(sources, context);
  SpecFile file;
  Parser parser(sources.getMemoryBuffer(sources.getMainFileID())->getBuffer(), reporter, file);
  parser.parseFile();
  if (reporter.hasErrors())
    return std::nullopt;
  return Formatter(file).run();
}
