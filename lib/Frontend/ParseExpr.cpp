// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Expressions. Loosest to tightest: if, or, and, not, comparison, |, ^, &, << >>, + -, * / %,
// unary - ~, calls and indices.
#include "Parser.h"
#include "llvm/Support/FormatVariadic.h"

using namespace attnc::frontend;
using llvm::formatv;
using llvm::SMRange;
using llvm::StringRef;

namespace {
/// How tightly a binary operator binds.
enum Level : unsigned {
  OrLevel,
  AndLevel,
  ComparisonLevel,
  BitOrLevel,
  BitXorLevel,
  BitAndLevel,
  ShiftLevel,
  SumLevel,
  ProductLevel
};
} // namespace

Expr *Parser::make(ExprKind kind, SMRange range, llvm::ArrayRef<Expr *> operands) {
  Expr &node = file.nodes.emplace_back();
  node.kind = kind;
  node.range = node.anchor = range;
  node.operands.assign(operands.begin(), operands.end());
  for (Expr *operand : operands)
    node.depth = std::max(node.depth, operand->depth + 1);
  if (node.depth == maxDepth)
    reporter.error(range,
                   formatv("this expression is more than {0} operations deep", maxDepth).str());
  return node.depth >= maxDepth ? nullptr : &node;
}

Expr *Parser::parseExpr() {
  if (nesting >= maxNesting) {
    reporter.error(peek().range(), formatv("expressions nest at most {0} deep", maxNesting).str());
    return nullptr;
  }
  ++nesting;
  Expr *result = peek().isWord("if") ? parseIf() : parseBinary(OrLevel);
  --nesting;
  // What follows is no token and is reported: what was read so far is half of what was meant.
  return peek().is(TokenKind::Unknown) ? nullptr : result;
}

Expr *Parser::parseIf() {
  llvm::SMLoc start = take().range().Start;
  Expr *condition = parseExpr();
  if (!condition)
    return nullptr;
  if (!takeWord("then")) {
    reporter.error(peek().range(),
                   "expected `then` after the condition of `if`, found " + describe(peek()));
    return nullptr;
  }
  Expr *thenValue = parseExpr();
  if (!thenValue)
    return nullptr;
  if (!takeWord("else")) {
    reporter.error(peek().range(), "expected `else`, found " + describe(peek()))
        .note(from(start), "`if` is an expression: it needs a value for both cases");
    return nullptr;
  }
  Expr *elseValue = parseExpr();
  return elseValue ? make(ExprKind::If, from(start), {condition, thenValue, elseValue}) : nullptr;
}

/// The binary operator that `token` is, with its level.
static std::optional<std::pair<BinaryOp, unsigned>> binaryOperator(const Token &token) {
  switch (token.kind) {
  case TokenKind::Identifier:
    if (token.text == "or")
      return {{BinaryOp::Or, OrLevel}};
    if (token.text == "and")
      return {{BinaryOp::And, AndLevel}};
    return std::nullopt;
  case TokenKind::Less:
    return {{BinaryOp::Lt, ComparisonLevel}};
  case TokenKind::LessEqual:
    return {{BinaryOp::Le, ComparisonLevel}};
  case TokenKind::Greater:
    return {{BinaryOp::Gt, ComparisonLevel}};
  case TokenKind::GreaterEqual:
    return {{BinaryOp::Ge, ComparisonLevel}};
  case TokenKind::EqualEqual:
    return {{BinaryOp::Eq, ComparisonLevel}};
  case TokenKind::NotEqual:
    return {{BinaryOp::Ne, ComparisonLevel}};
  case TokenKind::Pipe:
    return {{BinaryOp::BitOr, BitOrLevel}};
  case TokenKind::Caret:
    return {{BinaryOp::BitXor, BitXorLevel}};
  case TokenKind::Ampersand:
    return {{BinaryOp::BitAnd, BitAndLevel}};
  case TokenKind::LessLess:
    return {{BinaryOp::ShiftLeft, ShiftLevel}};
  case TokenKind::GreaterGreater:
    return {{BinaryOp::ShiftRight, ShiftLevel}};
  case TokenKind::Plus:
    return {{BinaryOp::Add, SumLevel}};
  case TokenKind::Minus:
    return {{BinaryOp::Sub, SumLevel}};
  case TokenKind::Star:
    return {{BinaryOp::Mul, ProductLevel}};
  case TokenKind::Slash:
    return {{BinaryOp::Div, ProductLevel}};
  case TokenKind::Percent:
    return {{BinaryOp::Mod, ProductLevel}};
  default:
    return std::nullopt;
  }
}

/// Comparisons do not chain, and their operands may start with `not` only in brackets.
Expr *Parser::parseBinary(unsigned level) {
  auto operand = [&] {
    return level == ProductLevel ? parseUnary()
           : level == AndLevel   ? parseNot()
                                 : parseBinary(level + 1);
  };
  llvm::SMLoc start = peek().range().Start;
  Expr *lhs = operand();
  while (lhs) {
    auto op = binaryOperator(peek());
    if (!op || op->second != level) {
      if (level == ComparisonLevel && peek().is(TokenKind::Assign)) {
        reporter.error(peek().range(), "`=` does not compare")
            .fix(peek().range(), "==", "write `==`");
        return nullptr;
      }
      return lhs;
    }
    Token token = take();
    Expr *rhs = operand();
    if (!rhs)
      return nullptr;
    if (level == ComparisonLevel && lhs->kind == ExprKind::Binary && lhs->op >= BinaryOp::Lt &&
        lhs->op <= BinaryOp::Ne && !lhs->isParenthesized) {
      reporter.error(token.range(), "comparisons do not chain")
          .note(lhs->anchor, "join two comparisons with `and`, as in `0 <= x and x < n`");
      return nullptr;
    }
    lhs = make(ExprKind::Binary, from(start), {lhs, rhs});
    if (!lhs)
      return nullptr;
    lhs->op = op->first;
    lhs->anchor = token.range();
  }
  return nullptr;
}

Expr *Parser::parseNot() {
  if (!peek().isWord("not"))
    return parseBinary(ComparisonLevel);
  if (++nesting >= maxNesting) {
    --nesting;
    reporter.error(peek().range(), formatv("expressions nest at most {0} deep", maxNesting).str());
    return nullptr;
  }
  Token token = take();
  Expr *operand = parseNot();
  --nesting;
  Expr *result = operand ? make(ExprKind::Unary, from(token.range().Start), {operand}) : nullptr;
  if (result) {
    result->unary = UnaryOp::Not;
    result->anchor = token.range();
  }
  return result;
}

Expr *Parser::parseUnary() {
  if (!peek().is(TokenKind::Minus) && !peek().is(TokenKind::Tilde))
    return parsePrimary();
  if (++nesting >= maxNesting) {
    --nesting;
    reporter.error(peek().range(), formatv("expressions nest at most {0} deep", maxNesting).str());
    return nullptr;
  }
  Token token = take();
  Expr *operand = parseUnary();
  --nesting;
  Expr *result = operand ? make(ExprKind::Unary, from(token.range().Start), {operand}) : nullptr;
  if (result) {
    result->unary = token.is(TokenKind::Tilde) ? UnaryOp::Complement : UnaryOp::Minus;
    result->anchor = token.range();
  }
  return result;
}

Expr *Parser::parsePrimary() {
  const Token &token = peek();
  switch (token.kind) {
  case TokenKind::Integer:
  case TokenKind::Real:
    return parseNumber();
  case TokenKind::Identifier:
    if (token.text == "true" || token.text == "false") {
      Token literal = take();
      Expr *node = make(ExprKind::Bool, literal.range());
      node->integer = literal.text == "true";
      node->text = literal.text;
      return node;
    }
    if (token.text == "not") {
      reporter.error(token.range(), "`not` must be in parentheses here")
          .note(token.range(), "`not` binds looser than comparisons and arithmetic");
      return nullptr;
    }
    if (token.text == "if") {
      reporter.error(token.range(), "`if` must be in parentheses when it is an operand");
      return nullptr;
    }
    if (isReserved(token.text) || startsStatement()) {
      reporter.error(token.range(), "expected an expression, found " + describe(token));
      return nullptr;
    }
    return parseNameOrCall();
  case TokenKind::LParen: {
    Token paren = take();
    Expr *inner = parseExpr();
    if (!inner)
      return nullptr;
    if (!takeIf(TokenKind::RParen)) {
      reporter.error(peek().range(), "expected `)`, found " + describe(peek()))
          .note(paren.range(), "to match this `(`");
      return nullptr;
    }
    inner->range = from(paren.range().Start);
    inner->isParenthesized = true;
    return inner;
  }
  case TokenKind::Unknown: // already reported
    take();
    return nullptr;
  default:
    reporter.error(token.range(), "expected an expression, found " + describe(token));
    return nullptr;
  }
}

Expr *Parser::parseNumber() {
  Token token = take();
  bool isInteger = token.is(TokenKind::Integer);
  Expr *node = make(isInteger ? ExprKind::Integer : ExprKind::Real, token.range());
  node->text = token.text;
  if (isInteger) {
    // 2^31 is let through for `-2147483648`; emission checks it.
    if (token.text.getAsInteger(10, node->integer) || node->integer > int64_t(1) << 31) {
      reporter.error(token.range(), "this integer does not fit into 32 bits")
          .note(token.range(), "write it with a decimal point if a real number is meant");
      return nullptr;
    }
  } else {
    token.text.getAsDouble(node->real);
    if (!(node->real <= 3.4028234663852886e38)) {
      reporter.error(token.range(), "this number does not fit into f32")
          .note(token.range(), "the largest f32 is 3.4028235e38; `inf` is infinity");
      return nullptr;
    }
    if (node->real != 0 && static_cast<float>(node->real) == 0) {
      reporter.error(token.range(), "this number is 0 as an f32")
          .note(token.range(), "the smallest f32 above 0 is 1.4e-45");
      return nullptr;
    }
  }
  return node;
}

Expr *Parser::parseNameOrCall() {
  Token name = take();
  // `near.out` is one name: no space belongs around the dot.
  if (peek().is(TokenKind::Dot) && peekSecond().is(TokenKind::Identifier)) {
    Token dot = take(), member = take();
    if (dot.text.data() != name.text.end() || member.text.data() != dot.text.end()) {
      reporter.error(dot.range(),
                     "a result of a branch is written without spaces, as in `near.out`");
      return nullptr;
    }
    name.text = StringRef(name.text.data(), name.text.size() + 1 + member.text.size());
  }
  if (!peek().is(TokenKind::LParen) && !peek().is(TokenKind::LSquare)) {
    Expr *node = make(ExprKind::Name, name.range());
    node->text = name.text;
    return node;
  }
  bool isCall = peek().is(TokenKind::LParen);
  Expr *node = make(isCall ? ExprKind::Call : ExprKind::Index, name.range());
  node->text = name.text;
  if (!parseList(node, isCall ? TokenKind::RParen : TokenKind::RSquare))
    return nullptr;
  node->range = from(name.range().Start);
  if (node->depth >= maxDepth)
    return nullptr;
  return isCall ? parseResult(node) : node;
}

/// `.member` and `[indices]` behind a call.
Expr *Parser::parseResult(Expr *call) {
  if (peek().is(TokenKind::Dot) && peekSecond().is(TokenKind::Identifier)) {
    Token dot = take(), member = take();
    if (dot.text.data() != call->range.End.getPointer() || member.text.data() != dot.text.end()) {
      reporter.error(dot.range(),
                     "a result of a call is written without spaces, as in `merge(a, b).out`");
      return nullptr;
    }
    call->member = {member.text, member.range()};
    call->range = from(call->range.Start);
  }
  if (!peek().is(TokenKind::LSquare))
    return call;
  Expr *node = make(ExprKind::At, call->range, {call});
  if (!node)
    return nullptr;
  node->anchor = call->anchor;
  node->names.emplace_back();
  if (!parseList(node, TokenKind::RSquare))
    return nullptr;
  node->range = from(call->range.Start);
  return node->depth >= maxDepth ? nullptr : node;
}

/// An argument, or an index that may name its axis: `kv = i`.
bool Parser::parseListItem(Expr *into, bool isIndex) {
  Name axis;
  if (isIndex && peek().is(TokenKind::Identifier) && peekSecond().is(TokenKind::Assign)) {
    if (!expectName(axis, "an axis"))
      return false;
    take();
  }
  Expr *operand = parseExpr();
  if (!operand)
    return false;
  into->operands.push_back(operand);
  into->names.push_back(axis);
  into->depth = std::max(into->depth, operand->depth + 1);
  return isIndex || parseClauses(into);
}

/// `for name [in block] ... [if condition]` or `over axis [if condition]`, behind an argument.
bool Parser::parseClauses(Expr *into) {
  if (peek().isWord("over")) {
    take();
    if (peek().is(TokenKind::LSquare) ? !parseNames(into->over, "an index space")
                                      : !expectName(into->over.emplace_back(), "an index space"))
      return false;
  }
  while (takeWord("for")) {
    Loop &loop = into->loops.emplace_back();
    if (!expectName(loop.name, "an index space"))
      return false;
    if (takeWord("in") && !expectName(loop.block.emplace(), "a space of blocks"))
      return false;
  }
  if ((into->loops.empty() && into->over.empty()) || !takeWord("if"))
    return true;
  into->condition = parseExpr();
  if (into->condition)
    into->depth = std::max(into->depth, into->condition->depth + 1);
  return into->condition;
}

bool Parser::parseList(Expr *into, TokenKind close) {
  Token opened = take();
  if (!peek().is(close)) {
    do
      if (!parseListItem(into, close == TokenKind::RSquare))
        return false;
    while (takeIf(TokenKind::Comma));
    if (close == TokenKind::RSquare && takeWord("else")) {
      Expr *fill = parseExpr();
      if (!fill)
        return false;
      into->operands.push_back(fill);
      into->names.emplace_back();
      into->depth = std::max(into->depth, fill->depth + 1);
      into->hasFill = true;
    }
  }
  if (!takeIf(close)) {
    reporter
        .error(peek().range(),
               ("expected `,` or " + describe(close) + ", found ").str() + describe(peek()))
        .note(opened.range(), "to match this `" + opened.text + "`");
    return false;
  }
  return true;
}
