// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The syntax tree of a spec. Nodes live in a deque of the tree that owns them and keep the range of
// text they were read from; nothing here is resolved or typed.
#ifndef ATTNC_LIB_FRONTEND_AST_H
#define ATTNC_LIB_FRONTEND_AST_H

#include "Lexer.h"
#include "llvm/ADT/SmallVector.h"

#include <deque>
#include <optional>

namespace attnc::frontend {

enum class ExprKind : uint8_t {
  Integer,
  Real,
  Bool,
  Name,
  Call,   ///< text(operands...), or text(operands...).member
  Index,  ///< text[indices...]; index i is for the axis `axes()[i]` if that is not empty
  At,     ///< operands[0][indices...] of a call
  Unary,  ///< unary operands[0]
  Binary, ///< operands[0] op operands[1]
  If,     ///< if operands[0] then operands[1] else operands[2]
};

// clang-format off
enum class BinaryOp : uint8_t {
  Add, Sub, Mul, Div, Mod,                         // of numbers
  BitAnd, BitOr, BitXor, ShiftLeft, ShiftRight,    // of ints
  Lt, Le, Gt, Ge, Eq, Ne,                          // comparisons
  And, Or,                                         // of conditions
};
// clang-format on

/// Whether `op` takes ints alone, bit by bit or shifted.
inline bool isOnBits(BinaryOp op) { return op >= BinaryOp::BitAnd && op <= BinaryOp::ShiftRight; }

enum class UnaryOp : uint8_t { Minus, Not, Complement };

struct Name {
  llvm::StringRef text;
  llvm::SMRange range;
};

/// `for name [in block]` of a reduction.
struct Loop {
  Name name;
  std::optional<Name> block;
};

struct Expr {
  ExprKind kind;
  llvm::SMRange range;
  /// Where an error about the node itself points: the operator, or the name that is called or
  /// indexed.
  llvm::SMRange anchor;
  /// The name, or the spelling of a literal.
  llvm::StringRef text;
  BinaryOp op = BinaryOp::Add;
  UnaryOp unary = UnaryOp::Minus;
  bool isParenthesized = false;
  int64_t integer = 0;
  double real = 0;
  unsigned depth = 1;
  llvm::SmallVector<Expr *, 3> operands;
  /// Index, At: the axis of each operand, or empty names.
  std::vector<Name> names;
  /// Index, At: the last operand is what is read where an index lies outside of its axis.
  bool hasFill = false;
  /// Call: the result that is meant, `out` of `merge(a, b).out`, or empty.
  Name member;
  /// Call: of a reduction, and of a function of rows.
  std::vector<Loop> loops;
  std::vector<Name> over;
  Expr *condition = nullptr;

  /// Index, At: the indices in the bracket, and the axis of each.
  llvm::ArrayRef<Expr *> indices() const {
    return llvm::ArrayRef(operands).drop_front(kind == ExprKind::At).drop_back(hasFill);
  }
  llvm::ArrayRef<Name> axes() const {
    return llvm::ArrayRef(names).drop_front(kind == ExprKind::At).drop_back(hasFill);
  }
};

/// `def name(params) = body`, `let name = body` without parameters, or `let name[axes] = body`.
struct Definition {
  Name name;
  llvm::SmallVector<Name> params;
  std::optional<std::vector<Name>> axes;
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

enum class StatementKind : uint8_t {
  Align,
  Precision,
  Input,
  Let,
  Def,
  Scale,
  Score,
  Mask,
  Sink,
  Output, // softmax attention
  Blocks,
  Slots,
  Transform,
  Quantize, // stages
  Branch,
  Queries,
  Keys,
  Over,
  Tile,
  Skip,
  Out, // several branches
  Recurrence,
  State,
  Assign,
  Every // recurrences
};

/// A word behind the operand of `quantize`, with what follows it.
struct Option {
  Name word;
  std::optional<std::vector<Expr *>> list;
  std::optional<Name> argument;
  Expr *value = nullptr;
};

struct Statement {
  StatementKind kind;
  /// The keyword.
  llvm::SMRange keyword;
  /// Align, Precision, Output, Over: the word after the keyword. Blocks, Slots, Quantize, Branch,
  /// Recurrence, State, Assign: the name.
  Name word;
  /// Queries, Keys: the tensors. Recurrence: the batch spaces.
  std::vector<Name> names;
  bool hasNames = false; ///< Recurrence: `per [...]` is written
  /// Blocks: the space of the members. Recurrence: the time. Quantize: the format. Output: the
  /// input whose memory it may have, if one is named.
  Name other;
  /// Scale, Score, Mask, Sink, Out, Skip, Tile, Every, State (initial value), Assign, Slots and
  /// Blocks (the extent).
  Expr *expr = nullptr;
  /// Blocks: the stride, and whether each block has all of its members.
  Expr *stride = nullptr;
  bool isFull = false;
  /// Let, Def, Transform, Output with a value, State (its axes).
  Definition definition;
  /// Quantize.
  std::vector<Option> options;
  /// Input.
  std::vector<Input> inputs;
  /// Branch, Recurrence.
  std::vector<Statement> body;
};

struct Attention {
  Name name;
  bool isRecurrence = false;
  Statement recurrence; ///< time and batch spaces
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
