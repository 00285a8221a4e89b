// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A recursive-descent parser with one token of look-ahead. After an error in a statement it goes on
// at the next statement, so that one run reports several errors.
#ifndef ATTNC_LIB_FRONTEND_PARSER_H
#define ATTNC_LIB_FRONTEND_PARSER_H

#include "AST.h"

namespace attnc::frontend {

/// True for a word that cannot be a name: an operator or control word, or one that declares. Other
/// words that start statements are names where a statement cannot start.
bool isReserved(llvm::StringRef word);
/// The statement that `word` starts.
std::optional<StatementKind> statementKind(llvm::StringRef word);

/// Parses `source` into `file`. Errors are in `reporter`; the tree holds what could be read.
class Parser {
public:
  Parser(llvm::StringRef source, Reporter &reporter, SpecFile &file);
  void parseFile();

private:
  // ParseStatement.cpp
  bool parseAttention();
  bool parseRecurrenceHeader(Statement &statement);
  bool parseBody(std::vector<Statement> &statements);
  bool parseParam(Attention &attention);
  bool parseStatement(std::vector<Statement> &statements);
  bool parseInput(Statement &statement);
  bool parseSample(Input &input);
  bool parseDefinition(Definition &definition, bool isFunction);
  bool parseNames(std::vector<Name> &names, const llvm::Twine &what);
  bool parseOutput(Statement &statement);

  // ParseStage.cpp
  bool parseStage(Statement &statement);
  bool parseBlocks(Statement &statement);
  bool parseQuantize(Statement &statement);
  bool parseOption(Statement &statement);
  bool reportUnknownStatement(const Token &token);
  void skipToStatement();

  // ParseExpr.cpp
  Expr *parseExpr();
  Expr *parseBinary(unsigned level);
  Expr *parseNot();
  Expr *parseUnary();
  Expr *parsePrimary();
  Expr *parseIf();
  Expr *parseNameOrCall();
  Expr *parseResult(Expr *call);
  Expr *parseNumber();
  bool parseList(Expr *into, TokenKind close);
  bool parseListItem(Expr *into, bool isIndex);
  bool parseClauses(Expr *into);
  Expr *make(ExprKind kind, llvm::SMRange range, llvm::ArrayRef<Expr *> operands = {});

  const Token &peek() const { return *current; }
  /// The token behind `peek()`.
  const Token &peekSecond() const;
  const Token &take();
  bool takeIf(TokenKind kind);
  bool takeWord(llvm::StringRef word);
  /// Takes a token of `kind`, or reports what was expected.
  bool expect(TokenKind kind, const llvm::Twine &context);
  bool expectName(Name &name, const llvm::Twine &what);
  void skipComments();
  /// True if the next token is the first of its line and a word that statements start with.
  bool startsStatement() const;
  llvm::SMRange from(llvm::SMLoc start) const { return {start, previousEnd}; }

  static constexpr unsigned maxNesting = 200;
  static constexpr unsigned maxDepth = 1000;
  static constexpr unsigned maxDeclarations = 10000;

  Reporter &reporter;
  SpecFile &file;
  const Token *current;
  llvm::SMLoc previousEnd;
  unsigned nesting = 0;
  unsigned numDeclarations = 0; ///< statements of the attention so far, each input as one
};

} // namespace attnc::frontend

#endif // ATTNC_LIB_FRONTEND_PARSER_H
