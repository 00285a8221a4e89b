// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Statements of stages, branches and recurrences.
#include "Parser.h"

using namespace attnc::frontend;

bool Parser::parseStage(Statement &statement) {
  switch (statement.kind) {
  case StatementKind::Blocks:
    return parseBlocks(statement);
  case StatementKind::Slots:
    if (!expectName(statement.word, "the name of an index space"))
      return false;
    return !takeIf(TokenKind::Assign) || (statement.expr = parseExpr());
  case StatementKind::Quantize:
    return parseQuantize(statement);
  case StatementKind::Queries:
    return expectName(statement.names.emplace_back(), "the tensor of queries");
  case StatementKind::Keys:
    return expectName(statement.names.emplace_back(), "the tensor of keys") &&
           expect(TokenKind::Comma, "and the tensor of values") &&
           expectName(statement.names.emplace_back(), "the tensor of values");
  case StatementKind::Over:
    return expectName(statement.word, "a set");
  case StatementKind::Branch:
  case StatementKind::Recurrence: {
    bool isBranch = statement.kind == StatementKind::Branch;
    if (!expectName(statement.word,
                    isBranch ? "the name of the branch" : "the name of the recurrence") ||
        (!isBranch && !parseRecurrenceHeader(statement)))
      return false;
    if (isBranch && takeIf(TokenKind::Assign))
      return statement.expr = parseExpr();
    if (!peek().is(TokenKind::LBrace))
      return expect(TokenKind::LBrace, "before the statements");
    return parseBody(statement.body);
  }
  case StatementKind::State:
    if (!expectName(statement.word, "the name of the state"))
      return false;
    statement.definition.name = statement.word;
    if (!parseNames(statement.definition.axes.emplace(), "an index space"))
      return false;
    if (!takeIf(TokenKind::Assign))
      return true;
    return statement.expr = parseExpr();
  default:
    return false;
  }
}

/// `name of space by extent [stride stride] [full]`
bool Parser::parseBlocks(Statement &statement) {
  if (!expectName(statement.word, "the name of an index space"))
    return false;
  if (!takeWord("of")) {
    reporter.error(peek().range(),
                   "expected `of` and the space that the blocks consist of, found " +
                       describe(peek()));
    return false;
  }
  if (!expectName(statement.other, "the space that the blocks consist of"))
    return false;
  if (!takeWord("by")) {
    reporter.error(peek().range(),
                   "expected `by` and the number of members of a block, found " + describe(peek()));
    return false;
  }
  statement.expr = parseExpr();
  if (statement.expr && takeWord("stride"))
    if (!(statement.stride = parseExpr()))
      return false;
  statement.isFull = statement.expr && takeWord("full");
  return statement.expr;
}

/// `name as format { option }`
bool Parser::parseQuantize(Statement &statement) {
  if (!expectName(statement.word, "the tensor to quantize"))
    return false;
  if (!takeWord("as")) {
    reporter.error(peek().range(), "expected `as` and a format, found " + describe(peek()));
    return false;
  }
  if (!expectName(statement.other,
                  "a format (int8, int4, f8E4M3, f8E5M2, f4E2M1, f16, bf16 or f32)"))
    return false;
  while (parseOption(statement))
    ;
  return true;
}

/// One of `per [..]`, `smooth per [..]`, `round word`, `scale format-or-number`, `epsilon x`,
/// `largest x`, `static x`, `group n` and `asymmetric`. False where the statement ends.
bool Parser::parseOption(Statement &statement) {
  const Token token = peek();
  if (!token.is(TokenKind::Identifier) || peekSecond().is(TokenKind::Assign))
    return false;
  bool takesList = token.text == "per" || token.text == "smooth";
  bool takesWord = token.text == "round" || token.text == "scale";
  bool takesNumber = token.text == "epsilon" || token.text == "largest" || token.text == "static" ||
                     token.text == "group";
  if (!takesList && !takesWord && !takesNumber && token.text != "asymmetric")
    return false;
  // `scale 0.5` on its own line is the statement, `scale f16` the option.
  if (token.text == "scale" && !peekSecond().is(TokenKind::Identifier))
    return false;
  Option option;
  option.word = {token.text, token.range()};
  take();
  if (takesList) {
    if (token.text == "smooth" && !takeWord("per")) {
      reporter.error(peek().range(),
                     "expected `per` and what shares a mean, found " + describe(peek()));
      return false;
    }
    Expr *list = make(ExprKind::Call, token.range());
    if (!peek().is(TokenKind::LSquare)) {
      expect(TokenKind::LSquare, "before the list");
      return false;
    }
    if (!parseList(list, TokenKind::RSquare))
      return false;
    option.list.emplace(list->operands.begin(), list->operands.end());
  } else if (takesWord) {
    if (!expectName(option.argument.emplace(), "a word"))
      return false;
  } else if (takesNumber && !(option.value = parseExpr())) {
    return false;
  }
  statement.options.push_back(std::move(option));
  return true;
}
