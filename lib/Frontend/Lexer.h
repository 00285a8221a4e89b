// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Tokens of the spec language. Keywords are not tokens of their own: a word that starts a statement
// is told apart by the parser, so that later statements do not take names away from existing specs.
#ifndef ATTNC_LIB_FRONTEND_LEXER_H
#define ATTNC_LIB_FRONTEND_LEXER_H

#include "Reporter.h"

#include <vector>

namespace attnc::frontend {

enum class TokenKind : uint8_t {
  EndOfFile,
  Identifier,
  Integer,
  Real,
  String,
  LParen,
  RParen,
  LBrace,
  RBrace,
  LSquare,
  RSquare,
  Comma,
  Colon,
  Dot,
  Quote,
  Assign,
  Plus,
  Minus,
  Star,
  Slash,
  Percent,
  Ampersand,
  Pipe,
  Caret,
  Tilde,
  LessLess,
  GreaterGreater,
  Less,
  LessEqual,
  Greater,
  GreaterEqual,
  EqualEqual,
  NotEqual,
  Comment,
  Unknown ///< a character that starts no token; already reported
};

struct Token {
  TokenKind kind = TokenKind::EndOfFile;
  llvm::StringRef text;

  bool is(TokenKind k) const { return kind == k; }
  /// True for the identifier `word`.
  bool isWord(llvm::StringRef word) const { return kind == TokenKind::Identifier && text == word; }
  llvm::SMRange range() const {
    return {llvm::SMLoc::getFromPointer(text.data()),
            llvm::SMLoc::getFromPointer(text.data() + text.size())};
  }
  /// The empty range behind the token, where something is missing.
  llvm::SMRange after() const { return {range().End, range().End}; }
};

/// Splits `source` into tokens, comments included; the last one is EndOfFile. Characters that no
/// token starts with are reported.
std::vector<Token> tokenize(llvm::StringRef source, Reporter &reporter);

/// How an error message names a token: `)`, or "end of file".
std::string describe(const Token &token);
/// How an error message names a kind of token.
llvm::StringRef describe(TokenKind kind);

} // namespace attnc::frontend

#endif // ATTNC_LIB_FRONTEND_LEXER_H
