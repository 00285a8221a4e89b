// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Checks one `attention` and emits it as `attn.variant`. Checking and emission are one walk: the
// type of an expression is the type of the value that was emitted for it. A `let` is checked where
// it is declared and emitted again where it is used, since each region has its own coordinates.
#ifndef ATTNC_LIB_FRONTEND_EMITTER_H
#define ATTNC_LIB_FRONTEND_EMITTER_H

#include "AST.h"
#include "dialects/Attn/Attn.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSet.h"

namespace attnc::frontend {

/// What a name stands for.
struct Symbol {
  enum Kind : uint8_t {
    Param,
    Input,  ///< a tensor that is bound
    Tensor, ///< a tensor that a stage yields, or a state
    Let,    ///< a formula without axes
    Helper
  } kind;
  llvm::SMRange range;
  mlir::Value value;                      ///< Param, Input, Tensor
  const Definition *definition = nullptr; ///< Let, Helper
  bool isBroken = false;                  ///< an error was reported; its uses stay silent
  bool isState = false;                   ///< Tensor: assignments change what it stands for
};

/// The place that expressions are emitted to: a region and the coordinates that it has.
struct EmitContext {
  std::string what; ///< "a mask", for messages
  /// Indices of the spaces that have one here, and the words of the region (`s`, `tile_max`).
  llvm::StringMap<mlir::Value> coordinates, words;
  /// What follows from the coordinates, emitted on first use: `g` from `h`, blocks from members,
  /// `position`.
  llvm::StringMap<mlir::Value> derived;
  llvm::StringMap<mlir::Value> lets;
  mlir::OpBuilder::InsertPoint end;
  /// The axes of the stage that the region computes, for functions of rows; null if they cannot
  /// stand here.
  const llvm::SmallVector<llvm::StringRef> *stageAxes = nullptr;
  /// Changes with each reduction that is entered: what was emitted for another version has other
  /// coordinates.
  unsigned version = 0;
  bool isScratch = false; ///< the region is thrown away after it was checked
};

/// An attention stage that is being declared: the variant's own, or a `branch`.
struct BranchState {
  mlir::Value query, key, value, scale, set;
  std::optional<attn::Precision> precision;
  mlir::Region scoreRegion, maskRegion, sinkRegion, skipRegion;
  EmitContext score;
  llvm::SMRange lastScore;
  mlir::Value tile, weightGroup;
  llvm::StringRef skipRows;
  std::optional<attn::Format> weightFormat;
  std::optional<double> weightScale;
  llvm::StringMap<llvm::SMRange> seen;
  llvm::SMRange firstStatement; ///< of a branch's own statements, if there was one
};

class Emitter {
public:
  Emitter(Reporter &reporter, const SpecFile &file, mlir::ModuleOp module);
  /// Appends the variant to the module; leaves out what is in error. The tensors called `dumped`
  /// are put out beside its outputs.
  void emit(const Attention &attention, llvm::ArrayRef<std::string> dumped = {});
  /// True if an error was found in the module and not at a place of the source.
  bool hasFailed() const { return isInvalid; }

private:
  // EmitVariant.cpp
  void emitParam(const Param &param);
  void emitStatement(const Statement &statement);
  void emitAlign(const Statement &statement);
  void emitInput(const Input &input);
  attn::SampleAttr sampleOf(const Input &input);
  void emitHelper(const Definition &definition, llvm::StringMap<Symbol> &scope);
  void emitOutput(const Statement &statement);
  /// The input that `statement`, an output, names behind `reuses`; null, after an error, if it is
  /// none.
  attn::InputOp reusedInput(const Statement &statement);
  mlir::Type storedAs(const Statement &statement);
  /// What each of the outputs reuses, or null if none does. Wrong ones are errors.
  mlir::ArrayAttr reuses(llvm::ArrayRef<llvm::StringRef> names, llvm::ArrayRef<mlir::Value> values);
  void emitReturn(const Attention &attention);
  bool isSized(llvm::StringRef space);
  void checkSizes();
  bool declare(const Name &name, Symbol symbol);
  /// Puts what the spec calls a value into its location, for whoever prints it. Nothing for one
  /// result of several, and inside regions.
  void nameValue(mlir::Value value, llvm::StringRef name);
  bool once(llvm::StringMap<llvm::SMRange> &seen, const Statement &statement, llvm::StringRef hint);
  bool expectHere(const Statement &statement, bool isHere, llvm::StringRef place);
  /// The tensor that `name` stands for; Q, K and V are declared when they are first used.
  mlir::Value tensorNamed(const Name &name);
  mlir::Value operandNamed(llvm::StringRef name);
  std::string spaceNames() const;
  bool isSpace(llvm::StringRef name) const { return attn::isKnownSpace(variant, name); }
  attn::AttnTensorType tensorType(llvm::ArrayRef<llvm::StringRef> axes, mlir::Type element);

  // EmitDump.cpp
  bool isDumped(llvm::StringRef name) const;
  llvm::SmallVector<llvm::StringRef> dumpableNames() const;
  mlir::Value dumpedValue(const Attention &attention, llvm::StringRef name);
  /// Appends the dumped values to the outputs, by name.
  void emitDumps(const Attention &attention, llvm::SmallVector<llvm::StringRef> &names,
                 llvm::SmallVector<mlir::Value> &values);

  // EmitStage.cpp
  void emitSpace(const Statement &statement);
  EmitContext &openScratch(llvm::SMRange range);
  void closeScratch();
  void emitLet(const Statement &statement);
  void emitTransform(const Statement &statement);
  bool checkAxes(const std::vector<Name> &axes, llvm::SmallVector<llvm::StringRef> &names);
  /// The stage that computes `expr` over `axes`; null after an error. `element` is what it must
  /// yield, or null.
  mlir::Value emitTensor(const Expr *expr, llvm::ArrayRef<llvm::StringRef> axes, mlir::Type element,
                         llvm::StringRef statement, mlir::Type stored = {});
  /// One op with a region over `axes`: `body` emits what is yielded.
  mlir::Value emitCompute(llvm::ArrayRef<llvm::StringRef> axes, llvm::StringRef what,
                          llvm::SMRange range, llvm::function_ref<mlir::Value()> body,
                          mlir::Type stored = {});
  mlir::Value emitRowFunction(const Expr *expr);
  mlir::Value emitRowTensor(const Expr *expr, llvm::ArrayRef<llvm::StringRef> axes);
  mlir::Value emitScan(llvm::StringRef name, mlir::Value tensor, attn::AttnTensorType result,
                       llvm::StringRef space, mlir::Location loc);
  mlir::Value emitSelection(const Expr *expr, mlir::Value ranks,
                            llvm::ArrayRef<llvm::StringRef> axes);

  // EmitQuantize.cpp
  struct QuantizeOptions;
  void emitQuantize(const Statement &statement);
  bool emitKeys(mlir::Region &region, attn::AttnTensorType type, llvm::ArrayRef<Expr *> keys,
                llvm::SMRange range);
  bool readNamedOption(const Option &option, QuantizeOptions &into);
  bool readNumberOption(const Option &option, llvm::StringRef formatName, QuantizeOptions &into);
  bool readQuantizeOptions(const Statement &statement, QuantizeOptions &into);
  bool checkQuantizeOptions(const Name &format, QuantizeOptions &options);

  // EmitBranch.cpp
  void emitBranchStatement(BranchState &branch, const Statement &statement);
  void emitBranch(const Statement &statement);
  void emitSkip(BranchState &branch, const Statement &statement);
  void emitBranchOperands(BranchState &branch, const Statement &statement);
  void emitSet(BranchState &branch, const Statement &statement);
  /// A number of keys that does not depend on the row: `tile`, `group`.
  mlir::Value emitCount(const Expr *expr, llvm::StringRef what);
  void emitWeights(BranchState &branch, const Statement &statement);
  void emitScore(BranchState &branch, const Statement &statement);
  void emitOut(const Statement &statement);
  /// The output and the log-sum-exp of `merge(...)`; null after an error.
  std::pair<mlir::Value, mlir::Value> emitMerge(const Expr *expr);
  bool checkOperands(const BranchState &branch);
  attn::AttendOp emitAttend(BranchState &branch, mlir::Location loc, bool hasWeights);
  void openBranchRegion(BranchState &branch, mlir::Region &region, EmitContext &context,
                        llvm::StringRef what, bool hasScore, bool hasKey, llvm::SMRange range);
  void openRegion(mlir::Region &region, EmitContext &context, llvm::StringRef what,
                  llvm::ArrayRef<llvm::StringRef> words, llvm::ArrayRef<llvm::StringRef> spaces,
                  llvm::SMRange range);
  void closeRegion(EmitContext &context, mlir::Value value, llvm::SMRange range);

  // EmitRecurrence.cpp
  void emitRecurrence(const Statement &header, const Name &name, const std::vector<Statement> &body,
                      bool isTopLevel);
  void emitStep(const Statement &statement, bool isTopLevel);
  mlir::Value emitGradient(const Expr *expr);
  mlir::Value emitGroupStart(const Expr *expr);

  // EmitExpr.cpp
  mlir::Value emitIn(EmitContext &context, const Expr *expr);
  mlir::Value emitExpr(const Expr *expr);
  mlir::Value emitName(const Expr *expr);
  mlir::Value emitCoordinate(const Expr *expr, bool &isCoordinate);
  mlir::Value emitPosition(const Expr *expr);
  mlir::Value emitLetUse(const Expr *expr, Symbol &symbol);
  mlir::Value emitUnary(const Expr *expr);
  mlir::Value emitBinary(const Expr *expr);
  mlir::Value emitArithmetic(const Expr *expr, mlir::Value lhs, mlir::Value rhs);
  mlir::Value emitDivision(const Expr *expr, mlir::Value lhs, mlir::Value rhs);
  mlir::Value emitComparison(const Expr *expr, mlir::Value lhs, mlir::Value rhs);
  mlir::Value emitIf(const Expr *expr);
  mlir::Value emitChoice(const Expr *expr, llvm::StringRef rule, mlir::Value condition,
                         mlir::Value a, mlir::Value b);
  mlir::Value emitInteger(const Expr *expr, int64_t value);

  // EmitRead.cpp
  mlir::Value emitIndex(const Expr *expr);
  mlir::Value emitRead(const Expr *expr, llvm::StringRef name, mlir::Value tensor,
                       llvm::SMRange declared);
  /// The index of `space` here, or null: a coordinate, or what follows from one.
  mlir::Value indexOf(llvm::StringRef space, mlir::Location loc);
  bool tensorArgument(llvm::StringRef name, llvm::StringRef &tensor);
  mlir::Value emitIndexValue(const Expr *operand, llvm::StringRef axis);
  mlir::Value emitReduction(const Expr *expr);
  mlir::Value emitLoop(const Expr *expr, attn::Reduction kind, unsigned depth);
  mlir::Value emitBlockBound(const Expr *expr);
  mlir::Value emitUniform(const Expr *expr);

  // EmitBits.cpp
  mlir::Value emitComplement(const Expr *expr, mlir::Value value);
  mlir::Value emitBits(const Expr *expr, mlir::Value lhs, mlir::Value rhs);
  mlir::Value emitShift(const Expr *expr, mlir::Value value, mlir::Value count);
  bool requireInt(const Expr *expr, const Expr *operand, mlir::Value value);

  // EmitElsewhere.cpp
  mlir::Value emitAt(const Expr *expr);
  mlir::Value emitMerged(const Expr *call);
  bool isFormulaArgument(llvm::StringRef name);
  mlir::Value emitElsewhere(const Expr *expr, llvm::function_ref<mlir::Value()> formula);
  /// `indices`: an index and the size of its axis, each.
  mlir::Value emitFill(const Expr *expr, mlir::Value value,
                       llvm::ArrayRef<std::pair<mlir::Value, mlir::Value>> indices);

  // EmitCall.cpp
  mlir::Value emitCall(const Expr *expr);
  mlir::Value emitSize(const Expr *expr);
  mlir::Value emitCast(const Expr *expr, mlir::Value value, bool toReal);
  mlir::Value emitBuiltin(const Expr *expr, llvm::ArrayRef<mlir::Value> args);
  mlir::Value emitHelperCall(const Expr *expr, const Definition &definition);

  /// `value` as f32; integers are converted.
  mlir::Value toReal(mlir::Value value, mlir::Location loc);
  /// `value` converted to what a statement needs, or an error.
  mlir::Value require(mlir::Value value, mlir::Type type, const Expr *expr,
                      llvm::StringRef statement);
  mlir::Value constant(mlir::Location loc, double value);
  mlir::Value constant(mlir::Location loc, int32_t value);
  mlir::Location locationOf(const Expr *expr) const;
  Reporter::Error error(llvm::SMRange range, const llvm::Twine &message);
  void reportUnknownName(const Expr *expr, bool isFunction);
  Symbol *lookup(llvm::StringRef name);

  /// An argument of a helper: the expression of the call, evaluated where it is used, so that one
  /// that is used within a reduction of the helper is at the index of that reduction.
  struct Argument {
    const Expr *expr;
    mlir::Value value;
    unsigned version = 0;
    bool onQueryAxis = false; ///< of the place of the call
  };
  /// A helper call that is being inlined.
  struct Frame {
    const Definition *definition;
    llvm::SMRange call;
    mlir::Location location;
    llvm::StringMap<Argument> args;
  };
  mlir::Value emitArgument(Argument &argument);

  static constexpr unsigned maxOperations = 100000;

  Reporter &reporter;
  const SpecFile &file;
  mlir::ModuleOp module;
  mlir::OpBuilder builder;
  llvm::StringMap<Symbol> fileScope;

  // The variant that is being emitted.
  llvm::StringMap<Symbol> scope;
  llvm::StringMap<llvm::SMRange> seen;
  attn::VariantOp variant;
  bool isRecurrence = false, isPlain = false;
  std::optional<attn::Align> align;
  std::optional<BranchState> own;
  mlir::Block *stages = nullptr; ///< where stages go: the variant's body, or that of a recurrence
  mlir::Operation *lastInput = nullptr;
  llvm::StringMap<unsigned> operandOrder;
  EmitContext top;
  const std::vector<Statement> *statements = nullptr;
  mlir::Value out, lse;
  attn::AttendOp ownAttend; ///< once it is there, if the variant has one that is no branch
  llvm::ArrayRef<std::string> dumps;
  std::vector<std::pair<Name, mlir::Value>> outputs;
  std::vector<const Statement *> reusing; ///< outputs that may have the memory of an input
  /// Branches, and whether anything reads a result of them.
  std::vector<Name> branches;
  llvm::StringMap<bool> usedBranches;
  /// What `merge(...)` of these names is: written twice it is one.
  llvm::StringMap<std::pair<mlir::Value, mlir::Value>> merges;
  llvm::SmallVector<const Statement *> lateOutputs;

  // The recurrence that is being emitted.
  llvm::StringMap<mlir::Value> stepCoordinates;
  std::vector<std::string> stateNames;
  /// States and tensors of the step, for messages about what stands outside of it.
  llvm::StringMap<llvm::SMRange> namesOfStep;
  llvm::StringMap<mlir::Value> groupStarts;
  /// What each step puts out, by name.
  std::vector<std::pair<std::string, mlir::Value>> stepOuts;
  bool inRecurrence = false;

  EmitContext *context = nullptr;
  bool onQueryAxis = false;
  unsigned numVersions = 0;
  std::vector<Frame> frames;
  unsigned numOperations = 0;
  llvm::StringSet<> refused;    ///< names that cannot be declared and were
  llvm::SMRange attentionRange; ///< the attention's name
  bool hasSteps = false;        ///< something is over `t`
  /// Where formulas are checked, and the coordinates it was opened with.
  EmitContext scratch;
  std::unique_ptr<mlir::Region> scratchRegion;
  bool scratchIsStep = false;
  size_t scratchSpaces = 0;
  bool isInvalid = false;
};

/// Real arithmetic. Constants are not folded: a fold would round to f32 what the reference computes
/// in float64.
template <typename Op, typename... Operands>
mlir::Value emitReal(mlir::OpBuilder &builder, mlir::Location loc, Operands... operands) {
  bool allConstant = (mlir::matchPattern(operands, mlir::m_Constant()) && ...);
  return allConstant ? Op::create(builder, loc, operands...).getResult()
                     : builder.createOrFold<Op>(loc, operands...);
}

/// The built-in functions, for suggestions.
llvm::ArrayRef<llvm::StringRef> builtinNames();

/// True if `name` cannot be declared: it is a coordinate, an operand or a function.
bool isPredefined(llvm::StringRef name);
/// True if `test` holds for a name that occurs in `expr`, as a value or with an index.
bool anyName(const Expr *expr, llvm::function_ref<bool(llvm::StringRef)> test);
/// How messages call values of a type.
inline llvm::StringRef nameOf(mlir::Type type) {
  return type.isF32() ? "a real" : type.isInteger(1) ? "a condition" : "an int";
}
/// A number as messages print it: 448, 0.5.
std::string shortest(double number);
/// Reductions and functions of rows, which take clauses.
bool isReduction(llvm::StringRef name);
bool isRowFunction(llvm::StringRef name);

} // namespace attnc::frontend

#endif // ATTNC_LIB_FRONTEND_EMITTER_H
