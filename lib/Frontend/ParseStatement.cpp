// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Files, attentions and statements.
#include "Parser.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/FormatVariadic.h"

using namespace attnc::frontend;
using llvm::formatv;
using llvm::StringRef;

std::optional<StatementKind> attnc::frontend::statementKind(StringRef word) {
  return llvm::StringSwitch<std::optional<StatementKind>>(word)
      .Case("align", StatementKind::Align)
      .Case("precision", StatementKind::Precision)
      .Case("input", StatementKind::Input)
      .Case("let", StatementKind::Let)
      .Case("def", StatementKind::Def)
      .Case("scale", StatementKind::Scale)
      .Case("score", StatementKind::Score)
      .Case("mask", StatementKind::Mask)
      .Case("sink", StatementKind::Sink)
      .Case("output", StatementKind::Output)
      .Case("blocks", StatementKind::Blocks)
      .Case("slots", StatementKind::Slots)
      .Case("transform", StatementKind::Transform)
      .Case("quantize", StatementKind::Quantize)
      .Case("branch", StatementKind::Branch)
      .Case("queries", StatementKind::Queries)
      .Case("keys", StatementKind::Keys)
      .Case("over", StatementKind::Over)
      .Case("tile", StatementKind::Tile)
      .Case("skip", StatementKind::Skip)
      .Case("out", StatementKind::Out)
      .Case("recurrence", StatementKind::Recurrence)
      .Case("state", StatementKind::State)
      .Case("every", StatementKind::Every)
      .Default(std::nullopt);
}

/// The words that start a statement, as messages list them.
static const char statementWords[] =
    "align, precision, input, let, def, scale, score, mask, sink, output, blocks, slots, "
    "transform, quantize, branch, queries, keys, over, tile, skip, out, recurrence, "
    "state or every";

bool attnc::frontend::isReserved(StringRef word) {
  return llvm::is_contained<StringRef>({"if", "then", "else", "and", "or", "not", "true", "false",
                                        "attention", "recurrence", "def", "let", "input"},
                                       word);
}

Parser::Parser(StringRef source, Reporter &reporter, SpecFile &file)
    : reporter(reporter), file(file) {
  file.tokens = tokenize(source, reporter);
  current = file.tokens.data();
  previousEnd = current->range().Start;
  skipComments();
}

void Parser::skipComments() {
  while (current->is(TokenKind::Comment))
    ++current;
}

const Token &Parser::take() {
  const Token &token = *current;
  previousEnd = token.range().End;
  if (!token.is(TokenKind::EndOfFile))
    ++current;
  skipComments();
  return token;
}

const Token &Parser::peekSecond() const {
  const Token *next = current;
  if (!next->is(TokenKind::EndOfFile))
    ++next;
  while (next->is(TokenKind::Comment))
    ++next;
  return *next;
}

bool Parser::startsStatement() const {
  StringRef between(previousEnd.getPointer(), peek().text.data() - previousEnd.getPointer());
  return peek().is(TokenKind::Identifier) && between.contains('\n') && statementKind(peek().text);
}

bool Parser::takeIf(TokenKind kind) {
  if (!peek().is(kind))
    return false;
  take();
  return true;
}

bool Parser::takeWord(StringRef word) {
  if (!peek().isWord(word))
    return false;
  take();
  return true;
}

bool Parser::expect(TokenKind kind, const llvm::Twine &context) {
  if (takeIf(kind))
    return true;
  if (!peek().is(TokenKind::Unknown))
    reporter.error(peek().range(),
                   "expected " + describe(kind) + " " + context + ", found " + describe(peek()));
  return false;
}

bool Parser::expectName(Name &name, const llvm::Twine &what) {
  const Token &token = peek();
  if (!token.is(TokenKind::Identifier)) {
    if (!token.is(TokenKind::Unknown))
      reporter.error(token.range(), "expected " + what + ", found " + describe(token));
    return false;
  }
  if (isReserved(token.text)) {
    reporter.error(token.range(),
                   "expected " + what + ", but `" + token.text + "` is a word of the language");
    return false;
  }
  name = {token.text, token.range()};
  take();
  return true;
}

void Parser::parseFile() {
  while (!peek().is(TokenKind::EndOfFile)) {
    const Token &token = peek();
    if (token.isWord("attention") || token.isWord("recurrence")) {
      file.statementStarts.push_back(token.text.data());
      parseAttention();
      continue;
    }
    if (token.isWord("def")) {
      file.statementStarts.push_back(token.text.data());
      take();
      Definition definition;
      if (parseDefinition(definition, /*isFunction=*/true)) {
        file.definitions.push_back(std::move(definition));
        continue;
      }
    } else if (!token.is(TokenKind::Unknown)) {
      reporter.error(token.range(),
                     "expected `attention`, `recurrence` or `def`, found " + describe(token));
    }
    // Go on at the next thing that can stand at the top of a file.
    while (!peek().is(TokenKind::EndOfFile)) {
      take();
      if (peek().isWord("attention") || peek().isWord("recurrence"))
        break;
    }
  }
  if (!reporter.hasErrors() && file.attentions.empty())
    reporter.error(peek().range(), "this file declares no `attention` and no `recurrence`");
}

bool Parser::parseAttention() {
  bool isRecurrence = take().text == "recurrence";
  Attention &attention = file.attentions.emplace_back();
  numDeclarations = 0;
  attention.isRecurrence = isRecurrence;
  bool ok = expectName(attention.name,
                       isRecurrence ? "the name of the recurrence" : "the name of the attention");
  if (ok && takeIf(TokenKind::LParen) && !takeIf(TokenKind::RParen)) {
    do
      ok = parseParam(attention);
    while (ok && takeIf(TokenKind::Comma));
    ok = ok && expect(TokenKind::RParen, "after the parameters");
  }
  if (ok && isRecurrence)
    ok = parseRecurrenceHeader(attention.recurrence);
  if (ok && peek().is(TokenKind::LBrace))
    return parseBody(attention.statements) && ok;
  if (ok)
    expect(TokenKind::LBrace, "before the statements");
  while (!peek().is(TokenKind::EndOfFile) && !peek().is(TokenKind::LBrace) &&
         !peek().isWord("attention"))
    take();
  if (peek().is(TokenKind::LBrace))
    parseBody(attention.statements);
  return false;
}

/// `[over time] [per [spaces]]`
bool Parser::parseRecurrenceHeader(Statement &statement) {
  if (takeWord("over") && !expectName(statement.other, "an index space"))
    return false;
  statement.hasNames = takeWord("per");
  return !statement.hasNames || parseNames(statement.names, "an index space");
}

/// `[name, ...]`
bool Parser::parseNames(std::vector<Name> &names, const llvm::Twine &what) {
  if (!expect(TokenKind::LSquare, "before the list"))
    return false;
  if (takeIf(TokenKind::RSquare))
    return true;
  do
    if (!expectName(names.emplace_back(), what))
      return false;
  while (takeIf(TokenKind::Comma));
  return expect(TokenKind::RSquare, "after the list");
}

/// Statements in braces.
bool Parser::parseBody(std::vector<Statement> &statements) {
  Token brace = take();
  while (!peek().is(TokenKind::RBrace) && !peek().is(TokenKind::EndOfFile)) {
    if (peek().isWord("attention")) {
      reporter.error(peek().range(), "expected `}` before the next `attention`")
          .note(brace.range(), "to match this `{`");
      return false;
    }
    nesting = 0;
    const llvm::SMRange start = peek().range();
    if (++numDeclarations > maxDeclarations) {
      reporter.error(
          start,
          formatv("this attention has more than {0} statements and inputs", maxDeclarations).str());
      while (!peek().is(TokenKind::EndOfFile))
        take();
      return false;
    }
    if (!parseStatement(statements))
      skipToStatement();
  }
  if (takeIf(TokenKind::RBrace))
    return true;
  reporter.error(peek().range(), "expected `}`, found end of file")
      .note(brace.range(), "to match this `{`");
  return false;
}

bool Parser::parseParam(Attention &attention) {
  Param param;
  if (!expectName(param.name, "the name of a parameter") ||
      !expect(TokenKind::Colon, "and a type after the parameter's name"))
    return false;
  param.isConst = takeWord("const");
  if (!expectName(param.type, "the type of a parameter (int or f32)"))
    return false;
  if (!peek().is(TokenKind::Assign)) {
    reporter.error(peek().range(), "expected `=` and a default value, found " + describe(peek()))
        .note(param.name.range, "every parameter has a default, so that the spec runs as it is");
    return false;
  }
  take();
  param.negative = takeIf(TokenKind::Minus);
  if (!peek().is(TokenKind::Integer) && !peek().is(TokenKind::Real)) {
    reporter.error(peek().range(),
                   "expected a number as the default value, found " + describe(peek()));
    return false;
  }
  param.value = take();
  attention.params.push_back(param);
  return true;
}

bool Parser::reportUnknownStatement(const Token &token) {
  take();
  if (token.is(TokenKind::Unknown))
    return false;
  bool isUpdate =
      token.is(TokenKind::Identifier) && !peekSecond().is(TokenKind::EndOfFile) &&
      (peek().is(TokenKind::Plus) || peek().is(TokenKind::Minus) || peek().is(TokenKind::Star)) &&
      peekSecond().is(TokenKind::Assign);
  if (isUpdate) {
    reporter.error(peek().range(), "there is no `" + peek().text + "=`")
        .note(token.range(),
              "write `" + token.text + " = " + token.text + " " + peek().text + " ...`");
    return false;
  }
  auto error = reporter.error(token.range(), "expected a statement, found " + describe(token));
  if (!token.is(TokenKind::Identifier))
    return false;
  llvm::SmallVector<StringRef> words;
  StringRef(statementWords).split(words, ", ");
  words.pop_back();
  words.append({"state", "every"});
  StringRef replacement = llvm::StringSwitch<StringRef>(token.text)
                              .Cases({"summary", "rank", "select", "loss"}, "let")
                              .Cases({"skip_tile"}, "skip")
                              .Default("");
  if (!replacement.empty())
    error.note(token.range(), "a tensor is declared by `let name[axes] = ...`");
  else if (auto near = nearestName(token.text, words))
    error.fix(token.range(), *near, "did you mean `" + *near + "`?");
  else
    error.note(token.range(), "statements start with " + llvm::Twine(statementWords));
  return false;
}

bool Parser::parseStatement(std::vector<Statement> &statements) {
  const Token token = peek();
  bool isAssignment = token.is(TokenKind::Identifier) && !isReserved(token.text) &&
                      peekSecond().is(TokenKind::Assign);
  auto kind = isAssignment                      ? StatementKind::Assign
              : token.is(TokenKind::Identifier) ? statementKind(token.text)
                                                : std::nullopt;
  if (!kind)
    return reportUnknownStatement(token);
  file.statementStarts.push_back(token.text.data());
  take();
  Statement statement;
  statement.kind = *kind;
  statement.keyword = token.range();
  switch (*kind) {
  case StatementKind::Align:
    if (!expectName(statement.word, "none, top_left or bottom_right"))
      return false;
    break;
  case StatementKind::Precision:
    if (!expectName(statement.word, "f32 or tf32"))
      return false;
    break;
  case StatementKind::Output:
    if (!parseOutput(statement))
      return false;
    break;
  case StatementKind::Input:
    if (!parseInput(statement))
      return false;
    break;
  case StatementKind::Let:
  case StatementKind::Def:
  case StatementKind::Transform:
    if (!parseDefinition(statement.definition, *kind == StatementKind::Def))
      return false;
    break;
  case StatementKind::Scale:
  case StatementKind::Score:
  case StatementKind::Mask:
  case StatementKind::Sink:
  case StatementKind::Skip:
  case StatementKind::Tile:
  case StatementKind::Every:
  case StatementKind::Out:
    statement.expr = parseExpr();
    if (!statement.expr)
      return false;
    if (*kind == StatementKind::Skip && takeWord("per") &&
        !expectName(statement.word, "a space of blocks of rows"))
      return false;
    break;
  case StatementKind::Assign:
    statement.word = {token.text, token.range()};
    take();
    statement.expr = parseExpr();
    if (!statement.expr)
      return false;
    break;
  default:
    if (!parseStage(statement))
      return false;
    break;
  }
  statements.push_back(std::move(statement));
  return true;
}

/// `name`, or `name[axes] = value`, and `reuses input` behind either. A state may be called
/// `reuses`.
bool Parser::parseOutput(Statement &statement) {
  if (peek().is(TokenKind::Identifier) && peekSecond().is(TokenKind::LSquare)) {
    if (!parseDefinition(statement.definition, /*isFunction=*/false))
      return false;
    statement.word = statement.definition.name;
  } else if (!expectName(statement.word, "the name of an output")) {
    return false;
  }
  bool isAssigned = peekSecond().is(TokenKind::Assign);
  return isAssigned || !takeWord("reuses") || expectName(statement.other, "an input");
}

bool Parser::parseDefinition(Definition &definition, bool isFunction) {
  if (!expectName(definition.name, isFunction ? "the name of a helper" : "a name"))
    return false;
  if (isFunction) {
    if (!expect(TokenKind::LParen, "after the helper's name"))
      return false;
    if (!takeIf(TokenKind::RParen)) {
      do {
        if (!expectName(definition.params.emplace_back(), "the name of an argument"))
          return false;
      } while (takeIf(TokenKind::Comma));
      if (!expect(TokenKind::RParen, "after the arguments"))
        return false;
    }
  }
  if (!isFunction && peek().is(TokenKind::LSquare) &&
      !parseNames(definition.axes.emplace(), "an index space"))
    return false;
  if (!expect(TokenKind::Assign, isFunction ? "and the helper's value" : "and a value"))
    return false;
  definition.body = parseExpr();
  return definition.body;
}

bool Parser::parseInput(Statement &statement) {
  do {
    Input input;
    if (!expectName(input.name, "the name of an input") ||
        !expect(TokenKind::Colon, "and a type after the input's name") ||
        !expectName(input.type, "an element type (f32, f16, bf16, i32, bool or dtype)") ||
        !expect(TokenKind::LSquare, "and the input's axes"))
      return false;
    if (!takeIf(TokenKind::RSquare)) {
      do {
        if (!peek().is(TokenKind::Identifier) && !peek().is(TokenKind::Integer)) {
          reporter.error(peek().range(),
                         "expected an index space or a size, found " + describe(peek()));
          return false;
        }
        input.axes.push_back(take());
      } while (takeIf(TokenKind::Comma));
      if (!expect(TokenKind::RSquare, "after the axes"))
        return false;
    }
    if (takeWord("sample") && !parseSample(input))
      return false;
    statement.inputs.push_back(std::move(input));
    ++numDeclarations;
  } while (takeIf(TokenKind::Comma));
  return true;
}

bool Parser::parseSample(Input &input) {
  input.distribution.emplace();
  if (!expectName(*input.distribution,
                  "a distribution (uniform, normal, sorted, bernoulli, geometric)") ||
      !expect(TokenKind::LParen, "after the distribution"))
    return false;
  do {
    SampleArg arg;
    llvm::SMLoc start = peek().range().Start;
    if (takeWord("size")) {
      Name space;
      if (!expect(TokenKind::LParen, "after `size`") || !expectName(space, "an index space") ||
          !expect(TokenKind::RParen, "after the index space"))
        return false;
      arg.space = space.text;
    } else {
      bool negative = takeIf(TokenKind::Minus);
      if (!peek().is(TokenKind::Integer) && !peek().is(TokenKind::Real)) {
        reporter.error(peek().range(),
                       "expected a number or `size(...)`, found " + describe(peek()));
        return false;
      }
      double value = 0;
      take().text.getAsDouble(value);
      arg.number = negative ? -value : value;
    }
    arg.range = from(start);
    input.sampleArgs.push_back(arg);
  } while (takeIf(TokenKind::Comma));
  return expect(TokenKind::RParen, "after the distribution's arguments");
}

void Parser::skipToStatement() {
  // A statement starts a line, so a keyword inside of the broken one does not count.
  while (!peek().is(TokenKind::EndOfFile)) {
    const Token &token = peek();
    if (token.is(TokenKind::RBrace) || token.isWord("attention"))
      return;
    if (startsStatement())
      return;
    // A broken `branch near { ... }` is skipped with its block.
    if (token.is(TokenKind::LBrace)) {
      unsigned depth = 0;
      do {
        depth += peek().is(TokenKind::LBrace);
        depth -= peek().is(TokenKind::RBrace);
        take();
      } while (depth && !peek().is(TokenKind::EndOfFile));
      return;
    }
    take();
  }
}
