// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Formulas at other indices than the current ones, `f(X)[kv = i]`, and what is read where an index
// lies outside of its axis, `X[kv = i else 0.0]`. Neither is an operation of the dialect: the first
// is the formula emitted with another coordinate, the second a select on the index.
#include "Emitter.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/Support/FormatVariadic.h"

using namespace attnc;
using namespace attnc::frontend;
using namespace mlir;
using llvm::formatv;
using llvm::StringRef;

/// True if `name` is an argument of the helper that is being inlined and stands for a formula,
/// which has an element wherever its indices have values.
bool Emitter::isFormulaArgument(StringRef name) {
  for (const Frame &frame : llvm::reverse(frames)) {
    auto it = frame.args.find(name);
    if (it == frame.args.end())
      return false;
    if (it->second.expr->kind != ExprKind::Name)
      return true;
    name = it->second.expr->text;
  }
  return false;
}

/// The index that an operand of a bracket is, on the axis `axis`; null after an error.
Value Emitter::emitIndexValue(const Expr *operand, StringRef axis) {
  bool saved = std::exchange(onQueryAxis, axis == "q");
  Value index = emitExpr(operand);
  onQueryAxis = saved;
  if (!index || index.getType().isInteger(32))
    return index;
  error(operand->range,
        formatv("an index must be an int, found {0}", nameOf(index.getType())).str())
      .note(operand->range, "`i32(x)` rounds a real toward zero");
  return {};
}

/// `formula` where the indices of `expr`, a bracket with an axis for each, are the current ones.
Value Emitter::emitElsewhere(const Expr *expr, llvm::function_ref<Value()> formula) {
  Location loc = locationOf(expr);
  llvm::StringMap<Value> moved;
  SmallVector<std::pair<Value, Value>> indices;
  for (auto [operand, axis] : llvm::zip(expr->indices(), expr->axes())) {
    if (axis.text.empty()) {
      error(operand->range, "a formula has no order of axes")
          .note(operand->range, "write the index with its axis, as in `[kv = i]`");
      return {};
    }
    if (!isSpace(axis.text)) {
      error(axis.range, "`" + axis.text + "` is not an index space")
          .note(axis.range, "index spaces are " + spaceNames());
      return {};
    }
    Value index = emitIndexValue(operand, axis.text);
    if (!index)
      return {};
    if (!moved.try_emplace(axis.text, index).second) {
      error(axis.range, "`" + axis.text + "` has one index");
      return {};
    }
    if (expr->hasFill)
      indices.emplace_back(index,
                           attn::SizeOp::create(builder, loc, builder.getI32Type(), axis.text));
  }
  EmitContext outer = *context;
  for (auto &entry : moved)
    context->coordinates[entry.getKey()] = entry.second;
  // What was emitted for other coordinates does not hold here, and a score is that of its own pair.
  context->derived.clear();
  context->lets.clear();
  context->words.clear();
  context->version = ++numVersions;
  Value value = formula();
  auto end = context->end;
  *context = std::move(outer);
  context->end = end;
  return value && expr->hasFill ? emitFill(expr, value, indices) : value;
}

/// `value`, or what follows `else` where one of the `indices` is not below its size, or negative.
Value Emitter::emitFill(const Expr *expr, Value value, ArrayRef<std::pair<Value, Value>> indices) {
  Location loc = locationOf(expr);
  Value isInside;
  for (auto [index, size] : indices)
    for (auto [predicate, bound] : {std::pair(arith::CmpIPredicate::sge, constant(loc, 0)),
                                    std::pair(arith::CmpIPredicate::slt, size)}) {
      Value holds = builder.createOrFold<arith::CmpIOp>(loc, predicate, index, bound);
      isInside = isInside ? builder.createOrFold<arith::AndIOp>(loc, isInside, holds) : holds;
    }
  Value fill = emitExpr(expr->operands.back());
  if (!fill || !isInside)
    return {};
  return emitChoice(expr, "`else` of an index needs the kind of the tensor", isInside, value, fill);
}

/// `helper(...)[axis = i]`, `merge(a, b).out[axis = i]`.
Value Emitter::emitAt(const Expr *expr) {
  const Expr *call = expr->operands.front();
  if (!call->member.text.empty()) {
    Value merged = emitMerged(call);
    return merged ? emitRead(expr, "merge", merged, {}) : Value();
  }
  Symbol *symbol = lookup(call->text);
  if (!symbol || symbol->kind != Symbol::Helper) {
    error(call->anchor, formatv("the result of `{0}` takes no index", call->text).str())
        .note(call->anchor, "tensors, helpers and results of `merge` do; give it a name by "
                            "`let name[axes] = ...`");
    return {};
  }
  return emitElsewhere(expr, [&] { return emitCall(call); });
}

/// The tensor that `merge(...).out` or `merge(...).lse` is; null after an error.
Value Emitter::emitMerged(const Expr *call) {
  StringRef result = call->member.text;
  if (call->text != "merge" || lookup("merge")) {
    error(call->member.range, formatv("`{0}(...)` has no results with names", call->text).str())
        .note(call->member.range, "`merge(a, b).out` and `merge(a, b).lse` do");
    return {};
  }
  if (result != "out" && result != "lse") {
    error(call->member.range,
          formatv("`merge` has the results `out` and `lse`, found `{0}`", result).str());
    return {};
  }
  std::string branches;
  for (const Expr *branch : call->operands)
    branches += branch->text.str() + ",";
  auto [it, isNew] = merges.try_emplace(branches);
  if (isNew)
    it->second = emitMerge(call);
  return result == "out" ? it->second.first : it->second.second;
}
