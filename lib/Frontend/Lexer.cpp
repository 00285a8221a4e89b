// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The lexer: a single loop over the characters. The source need not be valid UTF-8.
#include "Lexer.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"

using namespace attnc::frontend;
using llvm::StringRef;

static bool startsWord(char c) { return llvm::isAlpha(c) || c == '_'; }
static bool continuesWord(char c) { return llvm::isAlnum(c) || c == '_'; }

namespace {
struct Operator {
  StringRef text;
  TokenKind kind;
};
/// Longest first, as the first that matches is taken.
constexpr Operator operators[] = {
    {"<=", TokenKind::LessEqual},  {">=", TokenKind::GreaterEqual},
    {"==", TokenKind::EqualEqual}, {"!=", TokenKind::NotEqual},
    {"<<", TokenKind::LessLess},   {">>", TokenKind::GreaterGreater},
    {"(", TokenKind::LParen},      {")", TokenKind::RParen},
    {"{", TokenKind::LBrace},      {"}", TokenKind::RBrace},
    {"[", TokenKind::LSquare},     {"]", TokenKind::RSquare},
    {",", TokenKind::Comma},       {":", TokenKind::Colon},
    {".", TokenKind::Dot},         {"'", TokenKind::Quote},
    {"=", TokenKind::Assign},      {"+", TokenKind::Plus},
    {"-", TokenKind::Minus},       {"*", TokenKind::Star},
    {"/", TokenKind::Slash},       {"%", TokenKind::Percent},
    {"&", TokenKind::Ampersand},   {"|", TokenKind::Pipe},
    {"^", TokenKind::Caret},       {"~", TokenKind::Tilde},
    {"<", TokenKind::Less},        {">", TokenKind::Greater},
};
} // namespace

/// Length of the number at the start of `text`, which begins with a digit.
static size_t scanNumber(StringRef text, TokenKind &kind) {
  auto digitAt = [&](size_t i) { return i < text.size() && llvm::isDigit(text[i]); };
  size_t n = 0;
  kind = TokenKind::Integer;
  while (digitAt(n))
    ++n;
  if (n < text.size() && text[n] == '.' && digitAt(n + 1)) {
    kind = TokenKind::Real;
    ++n;
    while (digitAt(n))
      ++n;
  }
  if (n < text.size() && (text[n] == 'e' || text[n] == 'E')) {
    size_t sign = n + 1 < text.size() && (text[n + 1] == '+' || text[n + 1] == '-') ? 1 : 0;
    if (digitAt(n + 1 + sign)) {
      kind = TokenKind::Real;
      n += 1 + sign;
      while (digitAt(n))
        ++n;
    }
  }
  return n;
}

/// Whether the comment at the start of `rest` reads as the divisor of what stands before it on its
/// line, as in `q // 4 and kv > 2` and, of a name that was written shortly before, in `q // page`.
static bool looksLikeDivision(llvm::ArrayRef<Token> tokens, StringRef rest) {
  if (tokens.empty())
    return false;
  const Token &last = tokens.back();
  StringRef between(last.text.end(), rest.data() - last.text.end());
  bool isOperand = last.is(TokenKind::Identifier) || last.is(TokenKind::Integer) ||
                   last.is(TokenKind::RParen) || last.is(TokenKind::RSquare);
  StringRef text = rest.drop_front(2).take_until([](char x) { return x == '\n' || x == '\r'; });
  text = text.trim();
  StringRef divisor = text.take_while(continuesWord),
            behind = text.drop_front(divisor.size()).ltrim();
  if (!isOperand || between.contains('\n') || divisor.empty())
    return false;
  if (!llvm::all_of(divisor, llvm::isDigit)) {
    constexpr size_t most = 256; // of tokens that are looked at
    bool isName = llvm::any_of(tokens.take_back(most),
                               [&](const Token &token) { return token.isWord(divisor); });
    if (!isName || (behind.empty() && last.is(TokenKind::RSquare))) // `input x: f32[kv] // kv`
      return false;
  }
  StringRef word = behind.take_while(continuesWord);
  return behind.empty() || StringRef(")]+*/%<>=!&|^").contains(behind.front()) ||
         llvm::is_contained<StringRef>({"and", "or", "then", "else"}, word);
}

/// Words of other languages that people write for an operator.
static StringRef spellingOf(StringRef rest) {
  return rest.starts_with("&&")   ? "and"
         : rest.starts_with("||") ? "or"
         : rest.starts_with("!")  ? "not "
                                  : "";
}

std::vector<Token> attnc::frontend::tokenize(StringRef source, Reporter &reporter) {
  std::vector<Token> tokens;
  size_t i = 0;
  auto push = [&](TokenKind kind, size_t length) {
    tokens.push_back({kind, source.substr(i, length)});
    i += length;
  };
  // What follows more errors than are shown is not looked at.
  while (i < source.size() && reporter.getNumErrors() <= Reporter::maxErrors) {
    char c = source[i];
    StringRef rest = source.drop_front(i);
    if (llvm::isSpace(c)) {
      ++i;
      continue;
    }
    if (rest.starts_with("//")) {
      if (looksLikeDivision(tokens, rest))
        reporter.warn({llvm::SMLoc::getFromPointer(rest.data()),
                       llvm::SMLoc::getFromPointer(rest.data() + 2)},
                      "`//` starts a comment; `/` of two ints is floor division");
      push(TokenKind::Comment,
           rest.take_until([](char x) { return x == '\n' || x == '\r'; }).size());
      continue;
    }
    if (startsWord(c)) {
      push(TokenKind::Identifier, rest.take_while(continuesWord).size());
      continue;
    }
    if (llvm::isDigit(c)) {
      TokenKind kind;
      size_t length = scanNumber(rest, kind);
      size_t junk = rest.drop_front(length).take_while(continuesWord).size();
      push(kind, length + junk);
      if (junk) {
        tokens.back().kind = TokenKind::Unknown;
        reporter.error(tokens.back().range(),
                       llvm::formatv("`{0}` is not a number", tokens.back().text).str());
      }
      continue;
    }
    if (c == '"') {
      StringRef body = rest.drop_front().take_until([](char x) { return x == '"' || x == '\n'; });
      bool closed = body.size() + 1 < rest.size() && rest[body.size() + 1] == '"';
      push(closed ? TokenKind::String : TokenKind::Unknown, body.size() + (closed ? 2 : 1));
      if (!closed)
        reporter.error(tokens.back().range(), "this string has no closing `\"` on its line");
      continue;
    }
    // `&&` and `||` are words here, not `&` and `|` twice.
    const Operator *op = llvm::find_if(
        operators, [&](const Operator &candidate) { return rest.starts_with(candidate.text); });
    if (op != std::end(operators) && !rest.starts_with("&&") && !rest.starts_with("||")) {
      push(op->kind, op->text.size());
      continue;
    }
    // One report for a run of such characters (the bytes of a UTF-8 sequence, say).
    StringRef word = spellingOf(rest);
    size_t length = word == "and" || word == "or" ? 2 : 1;
    if (word.empty())
      while (length < rest.size() && static_cast<unsigned char>(rest[length]) >= 0x80 &&
             static_cast<unsigned char>(c) >= 0x80)
        ++length;
    push(TokenKind::Unknown, length);
    const Token &token = tokens.back();
    bool printable = llvm::all_of(token.text, [](char x) { return llvm::isPrint(x); });
    auto error = reporter.error(token.range(),
                                printable ? "unexpected character `" + token.text.str() + "`"
                                          : std::string("unexpected character outside of ASCII"));
    if (!word.empty())
      error.fix(token.range(), word, "write `" + word.trim() + "`");
  }
  push(TokenKind::EndOfFile, 0);
  tokens.back().text = StringRef(source.data() + source.size(), 0);
  return tokens;
}

std::string attnc::frontend::describe(const Token &token) {
  if (token.is(TokenKind::EndOfFile))
    return "end of file";
  return "`" + token.text.str() + "`";
}

StringRef attnc::frontend::describe(TokenKind kind) {
  switch (kind) {
  case TokenKind::EndOfFile:
    return "end of file";
  case TokenKind::Identifier:
    return "a name";
  case TokenKind::Integer:
    return "a whole number";
  case TokenKind::Real:
    return "a number";
  case TokenKind::String:
    return "a string";
  case TokenKind::Comment:
    return "a comment";
  case TokenKind::Unknown:
    return "nothing";
  default:
    break;
  }
  static const std::string quoted[] = {"`<=`", "`>=`", "`==`", "`!=`", "`<<`", "`>>`", "`(`",
                                       "`)`",  "`{`",  "`}`",  "`[`",  "`]`",  "`,`",  "`:`",
                                       "`.`",  "`'`",  "`=`",  "`+`",  "`-`",  "`*`",  "`/`",
                                       "`%`",  "`&`",  "`|`",  "`^`",  "`~`",  "`<`",  "`>`"};
  for (auto [op, text] : llvm::zip_equal(operators, quoted))
    if (op.kind == kind)
      return text;
  return "nothing";
}
