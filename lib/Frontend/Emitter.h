// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Checks one `attention` and emits it as `attn.variant`. Checking and emission are one walk: the type of an
// expression is the type of the value that was emitted for it. A `let` is checked where it is declared and
// emitted again where it is used, since each region has its own coordinates.
#ifndef ATTNC_LIB_FRONTEND_EMITTER_H
#define ATTNC_LIB_FRONTEND_EMITTER_H

#include "AST.h"
#include "dialects/Attn/Attn.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/StringMap.h"

namespace attnc::frontend {

/// What a name stands for.
struct Symbol {
  enum Kind : uint8_t { Param, Input, Let, Helper } kind;
  llvm::SMRange range;
  mlir::Value value;                      ///< Param, Input
  const Definition *definition = nullptr; ///< Let, Helper
  bool isBroken = false;                  ///< Let: an error was reported; its uses stay silent
};

/// The place that expressions are emitted to: a region and the coordinates that it has.
struct EmitContext {
  llvm::StringRef what; ///< "a mask", for messages
  mlir::Value s, b, h, q, kv;
  mlir::Value group, position; ///< emitted on first use
  llvm::StringMap<mlir::Value> lets;
  mlir::OpBuilder::InsertPoint end;
};

class Emitter {
public:
  Emitter(Reporter &reporter, const SpecFile &file, mlir::ModuleOp module);
  /// Appends the variant to the module; leaves out what is in error.
  void emit(const Attention &attention);

private:
  // EmitVariant.cpp
  void emitParam(const Param &param);
  void emitStatement(const Statement &statement);
  void emitAlign(const Statement &statement);
  void emitPrecision(const Statement &statement);
  void emitInput(const Input &input);
  attn::SampleAttr sampleOf(const Input &input);
  void emitLet(const Statement &statement);
  void emitHelper(const Definition &definition, llvm::StringMap<Symbol> &scope);
  void emitScore(const Statement &statement);
  void emitAttend(const Attention &attention);
  bool declare(const Name &name, Symbol symbol);
  bool once(const Statement &statement, llvm::StringRef hint);
  void openRegion(mlir::Region &region, EmitContext &context, llvm::StringRef what,
                  llvm::ArrayRef<llvm::StringRef> coordinates, llvm::SMRange range);
  void closeRegion(EmitContext &context, mlir::Value value, llvm::SMRange range);

  // EmitExpr.cpp
  mlir::Value emitIn(EmitContext &context, const Expr *expr);
  mlir::Value emitExpr(const Expr *expr);
  mlir::Value emitName(const Expr *expr);
  mlir::Value emitCoordinate(const Expr *expr, bool &isCoordinate);
  mlir::Value emitPosition(const Expr *expr);
  mlir::Value emitLetUse(const Expr *expr, Symbol &symbol);
  mlir::Value emitIndex(const Expr *expr);
  mlir::Value emitUnary(const Expr *expr);
  mlir::Value emitBinary(const Expr *expr);
  mlir::Value emitArithmetic(const Expr *expr, mlir::Value lhs, mlir::Value rhs);
  mlir::Value emitDivision(const Expr *expr, mlir::Value lhs, mlir::Value rhs);
  mlir::Value emitComparison(const Expr *expr, mlir::Value lhs, mlir::Value rhs);
  mlir::Value emitIf(const Expr *expr);
  mlir::Value emitInteger(const Expr *expr, int64_t value);

  // EmitCall.cpp
  mlir::Value emitCall(const Expr *expr);
  mlir::Value emitSize(const Expr *expr);
  mlir::Value emitCast(const Expr *expr, mlir::Value value, bool toReal);
  mlir::Value emitBuiltin(const Expr *expr, llvm::ArrayRef<mlir::Value> args);
  mlir::Value emitHelperCall(const Expr *expr, const Definition &definition, llvm::ArrayRef<mlir::Value> args);

  /// `value` as f32; integers are converted.
  mlir::Value toReal(mlir::Value value, mlir::Location loc);
  /// `value` converted to what a statement needs, or an error.
  mlir::Value require(mlir::Value value, mlir::Type type, const Expr *expr, llvm::StringRef statement);
  mlir::Value constant(mlir::Location loc, double value);
  mlir::Value constant(mlir::Location loc, int32_t value);
  mlir::Location locationOf(const Expr *expr) const;
  Reporter::Error error(llvm::SMRange range, const llvm::Twine &message);
  void reportUnknownName(const Expr *expr, bool isFunction);
  Symbol *lookup(llvm::StringRef name);

  /// A helper call that is being inlined.
  struct Frame {
    const Definition *definition;
    llvm::SMRange call;
    mlir::Location location;
    llvm::StringMap<mlir::Value> args;
  };

  static constexpr unsigned maxOperations = 100000;

  Reporter &reporter;
  const SpecFile &file;
  mlir::ModuleOp module;
  mlir::OpBuilder builder;
  llvm::StringMap<Symbol> fileScope;

  // The attention that is being emitted.
  llvm::StringMap<Symbol> scope;
  llvm::StringMap<llvm::SMRange> seen;
  attn::VariantOp variant;
  mlir::Value query, key, value, scale;
  std::optional<attn::Align> align;
  attn::Precision precision = attn::Precision::F32;
  bool hasLSE = false;
  mlir::Region scoreRegion, maskRegion, sinkRegion;
  EmitContext top, score;
  llvm::SMRange lastScore;

  EmitContext *context = nullptr;
  bool onQueryAxis = false;
  std::vector<Frame> frames;
  unsigned numOperations = 0;
};

/// The built-in functions, for suggestions.
llvm::ArrayRef<llvm::StringRef> builtinNames();

} // namespace attnc::frontend

#endif // ATTNC_LIB_FRONTEND_EMITTER_H
