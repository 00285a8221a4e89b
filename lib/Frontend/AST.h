// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The syntax tree of a spec. Nodes live in a deque of the tree that owns them and keep the range of text
// they were read from; nothing here is resolved or typed.
#ifndef ATTNC_LIB_FRONTEND_AST_H
#define ATTNC_LIB_FRONTEND_AST_H

#include "Lexer.h"
#include "llvm/ADT/SmallVector.h"

#include <deque>
#include <optional>

namespace attnc::frontend {

enum class ExprKind : uint8_t {
  Integer, Real, Bool, Name,
  Call,   ///< text(operands...)
  Index,  ///< text[operands...]
  Unary,  ///< op operands[0], op is Minus or the word `not`
  Binary, ///< operands[0] op operands[1]
  If,     ///< if operands[0] then operands[1] else operands[2]
};

enum class BinaryOp : uint8_t { Add, Sub, Mul, Div, Mod, Lt, Le, Gt, Ge, Eq, Ne, And, Or };

struct Expr {
  ExprKind kind;
  llvm::SMRange range;
  /// Where an error about the node itself points: the operator, or the name that is called or indexed.
  llvm::SMRange anchor;
  /// The name, or the spelling of a literal.
  llvm::StringRef text;
  BinaryOp op = BinaryOp::Add;
  bool isNot = false;
  bool isParenthesized = false;
  int64_t integer = 0;
  double real = 0;
  unsigned depth = 1;
  llvm::SmallVector<Expr *, 3> operands;
};

struct Name {
  llvm::StringRef text;
  llvm::SMRange range;
};

/// `def name(params) = body`, or `let name = body` without parameters.
struct Definition {
  Name name;
  llvm::SmallVector<Name> params;
  Expr *body = nullptr;
};

/// `name: [const] type = value`
struct Param {
  Name name;
  bool isConst = false;
  Name type;
  bool negative = false;
  Token value;
};

/// An argument of a sampling clause: a number or the size of an index space.
struct SampleArg {
  llvm::SMRange range;
  std::optional<double> number;
  llvm::StringRef space;
};

/// `name: type[axis, ...] [sample distribution(args)]`
struct Input {
  Name name;
  Name type;
  llvm::SmallVector<Token> axes;
  std::optional<Name> distribution;
  llvm::SmallVector<SampleArg> sampleArgs;
};

enum class StatementKind : uint8_t { Align, Precision, Input, Let, Def, Scale, Score, Mask, Sink, Output };

struct Statement {
  StatementKind kind;
  /// The keyword.
  llvm::SMRange keyword;
  /// Align, Precision, Output: the word after the keyword.
  Name word;
  /// Scale, Score, Mask, Sink.
  Expr *expr = nullptr;
  /// Let, Def.
  Definition definition;
  /// Input.
  std::vector<Input> inputs;
};

struct Attention {
  Name name;
  std::vector<Param> params;
  std::vector<Statement> statements;
};

struct SpecFile {
  std::vector<Token> tokens;
  std::vector<Definition> definitions;
  std::vector<Attention> attentions;
  /// First characters of statements, for the formatter.
  std::vector<const char *> statementStarts;
  std::deque<Expr> nodes;
};

} // namespace attnc::frontend

#endif // ATTNC_LIB_FRONTEND_AST_H
