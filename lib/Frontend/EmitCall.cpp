// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Calls: built-in functions, casts, sizes, and helpers, which are inlined.
#include "Emitter.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/Support/FormatVariadic.h"

using namespace attnc;
using namespace attnc::frontend;
using namespace mlir;
using llvm::formatv;
using llvm::StringRef;

llvm::ArrayRef<StringRef> attnc::frontend::builtinNames() {
  static const StringRef names[] = {
      "min",  "max",   "abs",  "sign", "floor", "ceil", "round", "exp",     "exp2", "ln",  "log2",
      "sqrt", "rsqrt", "tanh", "sin",  "cos",   "erf",  "pow",   "sigmoid", "size", "f32", "i32"};
  return names;
}

void Emitter::reportUnknownName(const Expr *expr, bool isFunction) {
  StringRef name = expr->text;
  SmallVector<StringRef> candidates;
  SmallVector<std::pair<StringRef, StringRef>> kinds;
  for (auto *table : {&scope, &fileScope})
    for (auto &entry : *table) {
      candidates.push_back(entry.getKey());
      static const StringRef words[] = {"parameter", "input", "tensor", "`let`", "helper"};
      kinds.emplace_back(entry.getKey(), words[entry.second.kind]);
    }
  if (!frames.empty())
    for (auto &entry : frames.back().args)
      candidates.push_back(entry.getKey());
  if (isFunction)
    candidates.append(builtinNames().begin(), builtinNames().end());
  else
    candidates.push_back("kv");
  // Iteration order of a string map is not stable; messages are.
  llvm::sort(candidates);
  auto e = error(expr->anchor,
                 "`" + name + (isFunction ? "` is not a function" : "` is not declared here"));
  StringRef fix = llvm::StringSwitch<StringRef>(name)
                      .Cases({"log", "loge"}, "ln")
                      .Cases({"minimum", "fmin"}, "min")
                      .Cases({"maximum", "fmax"}, "max")
                      .Cases({"fabs"}, "abs")
                      .Cases({"float"}, "f32")
                      .Cases({"int"}, "i32")
                      .Cases({"k", "k_idx", "kv_idx", "j"}, "kv")
                      .Cases({"q_idx", "i"}, "q")
                      .Cases({"score"}, "s")
                      .Default("");
  if (auto it = namesOfStep.find(name); !isFunction && it != namesOfStep.end() && !inRecurrence) {
    e.note(it->second, "it belongs to the step; a stage over time or the batch stands outside: "
                       "write its own axes only, as in `let x[e]`");
    return;
  }
  if (name == "out" && !isFunction) {
    e.note(expr->anchor, "put the attention stage into `branch name { ... }` and use `name.out`");
    return;
  }
  if ((name == "len" || name == "length" || name == "shape") && isFunction) {
    e.note(expr->anchor, "`size(kv)` is the number of indices of a space");
    return;
  }
  bool fixIsFunction = llvm::is_contained(builtinNames(), fix);
  if (!fix.empty() && fixIsFunction == isFunction)
    e.fix(expr->anchor, fix, "did you mean `" + fix + "`?");
  else if (auto near = nearestName(name, candidates)) {
    auto kind = llvm::find_if(kinds, [&](auto &entry) { return entry.first == *near; });
    std::string text = kind == kinds.end() ? "" : ("the " + kind->second + " ").str();
    e.fix(expr->anchor, *near, "did you mean " + text + "`" + *near + "`?");
  }
}

Value Emitter::emitCall(const Expr *expr) {
  StringRef name = expr->text;
  if (!expr->member.text.empty()) {
    Value merged = emitMerged(expr);
    return merged ? emitRead(expr, "merge", merged, {}) : Value();
  }
  // What is called is looked up among functions, so that a value may have the name of one: `top(x
  // over p, top)`.
  Symbol *symbol = lookup(name);
  if (symbol && symbol->kind != Symbol::Helper && llvm::is_contained(builtinNames(), name))
    symbol = nullptr;
  bool hasClauses = !expr->loops.empty() || !expr->over.empty();
  if (!symbol) {
    bool isFold = (name == "min" || name == "max") && expr->loops.empty();
    if (isReduction(name) && !isFold && expr->over.empty())
      return emitReduction(expr);
    if (isRowFunction(name) && expr->loops.empty())
      return emitRowFunction(expr);
    if (hasClauses) {
      error(expr->anchor,
            isReduction(name) || isRowFunction(name)
                ? formatv("`{0}` is written with `{1}`", name, isRowFunction(name) ? "over" : "for")
                      .str()
                : formatv("`{0}` takes neither `for` nor `over`", name).str());
      return {};
    }
    if (name == "size")
      return emitSize(expr);
    if (name == "first" || name == "last")
      return emitBlockBound(expr);
    if (name == "uniform")
      return emitUniform(expr);
    if (name == "start")
      return emitGroupStart(expr);
    if (name == "grad")
      return emitGradient(expr);
  } else if (symbol->kind == Symbol::Helper && !hasClauses) {
    return emitHelperCall(expr, *symbol->definition);
  } else {
    auto e = error(expr->anchor, "`" + name + "` is not a function");
    e.note(symbol->range, symbol->kind == Symbol::Input || symbol->kind == Symbol::Tensor
                              ? "declared as a tensor here; index it with [ ]"
                              : "declared here");
    return {};
  }
  SmallVector<Value> args;
  for (const Expr *operand : expr->operands) {
    Value arg = emitExpr(operand);
    if (!arg)
      return {};
    args.push_back(arg);
  }
  if (llvm::is_contained(builtinNames(), name))
    return emitBuiltin(expr, args);
  if (name == "silu" || name == "softplus" || name == "relu" || name == "gelu" || name == "merge" ||
      name == "dot" || name == "l2norm" || name == "rope")
    error(expr->anchor, "`" + name + "` is not a function")
        .note(expr->anchor, name == "silu"       ? "write `x * sigmoid(x)`"
                            : name == "softplus" ? "write `max(x, 0) + ln(1 + exp(-abs(x)))`"
                            : name == "relu"     ? "write `max(x, 0)`"
                            : name == "gelu"     ? "write `0.5 * x * (1 + erf(x / sqrt(2.0)))`"
                            : name == "merge"    ? "branches are merged by `out merge(a, b)`"
                            : name == "dot"
                                ? "write `sum(x * y for d)`"
                                : "specs define it by `def`, as those of the gallery do");
  else
    reportUnknownName(expr, /*isFunction=*/true);
  return {};
}

Value Emitter::emitSize(const Expr *expr) {
  const Expr *space = expr->operands.size() == 1 ? expr->operands.front() : nullptr;
  if (!space || space->kind != ExprKind::Name) {
    error(expr->range, "`size` takes one index space, as in `size(kv)`");
    return {};
  }
  if (!isSpace(space->text)) {
    error(space->range, "`" + space->text + "` is not an index space")
        .note(space->range, "index spaces are " + spaceNames());
    return {};
  }
  return attn::SizeOp::create(builder, locationOf(expr), builder.getI32Type(), space->text);
}

Value Emitter::emitCast(const Expr *expr, Value value, bool toReal) {
  Location loc = locationOf(expr);
  bool isReal = value.getType().isF32(), isCondition = value.getType().isInteger(1);
  if (isReal == toReal && !isCondition)
    return value;
  if (isCondition)
    return toReal ? builder.createOrFold<arith::UIToFPOp>(loc, builder.getF32Type(), value)
                  : builder.createOrFold<arith::ExtUIOp>(loc, builder.getI32Type(), value);
  if (toReal)
    return this->toReal(value, loc);
  // fptosi is undefined outside of the int range. maxnumf turns NaN into the smallest int.
  value = builder.createOrFold<arith::MaxNumFOp>(loc, value, constant(loc, -2147483648.0));
  value = builder.createOrFold<arith::MinNumFOp>(loc, value, constant(loc, 2147483520.0));
  return builder.createOrFold<arith::FPToSIOp>(loc, builder.getI32Type(), value);
}

Value Emitter::emitBuiltin(const Expr *expr, ArrayRef<Value> args) {
  StringRef name = expr->text;
  Location loc = locationOf(expr);
  bool isFold = name == "min" || name == "max";
  size_t arity = name == "pow" ? 2 : 1;
  if (isFold ? args.size() < 2 : args.size() != arity) {
    error(expr->range, formatv("`{0}` takes {1} argument{2}, found {3}", name,
                               isFold       ? "two or more"
                               : arity == 2 ? "2"
                                            : "1",
                               isFold || arity == 2 ? "s" : "", args.size())
                           .str());
    return {};
  }
  if (name == "f32" || name == "i32")
    return emitCast(expr, args[0], name == "f32");
  bool anyReal = false;
  for (auto [arg, operand] : llvm::zip_equal(args, expr->operands)) {
    if (arg.getType().isInteger(1)) {
      error(operand->range, formatv("`{0}` needs numbers, found a condition", name).str());
      return {};
    }
    anyReal |= arg.getType().isF32();
  }
  bool keepsInts = isFold || name == "abs" || name == "sign";
  SmallVector<Value> v(args);
  if (anyReal || !keepsInts)
    for (Value &value : v)
      value = toReal(value, loc);
  bool isReal = v[0].getType().isF32();
  if (isFold) {
    // minimumf and maximumf propagate NaN.
    Value result = v[0];
    for (Value next : llvm::drop_begin(v))
      result = isReal ? (name == "min" ? builder.createOrFold<arith::MinimumFOp>(loc, result, next)
                                       : builder.createOrFold<arith::MaximumFOp>(loc, result, next))
                      : (name == "min" ? builder.createOrFold<arith::MinSIOp>(loc, result, next)
                                       : builder.createOrFold<arith::MaxSIOp>(loc, result, next));
    return result;
  }
  if (name == "abs")
    return isReal ? builder.createOrFold<math::AbsFOp>(loc, v[0])
                  : builder.createOrFold<math::AbsIOp>(loc, v[0]);
  if (name == "sign" && !isReal)
    return builder.createOrFold<arith::MaxSIOp>(
        loc, builder.createOrFold<arith::MinSIOp>(loc, v[0], constant(loc, 1)), constant(loc, -1));
  if (name == "sign") {
    // Neither comparison holds for zero and NaN, which are their own sign.
    Value zero = constant(loc, 0.0);
    Value above = builder.createOrFold<arith::CmpFOp>(loc, arith::CmpFPredicate::OGT, v[0], zero);
    Value below = builder.createOrFold<arith::CmpFOp>(loc, arith::CmpFPredicate::OLT, v[0], zero);
    Value rest = builder.createOrFold<arith::SelectOp>(loc, below, constant(loc, -1.0), v[0]);
    return builder.createOrFold<arith::SelectOp>(loc, above, constant(loc, 1.0), rest);
  }
  if (name == "sigmoid") {
    Value e =
        builder.createOrFold<math::ExpOp>(loc, builder.createOrFold<arith::NegFOp>(loc, v[0]));
    Value one = constant(loc, 1.0);
    return builder.createOrFold<arith::DivFOp>(loc, one,
                                               builder.createOrFold<arith::AddFOp>(loc, one, e));
  }
  if (name == "pow")
    return emitReal<math::PowFOp>(builder, loc, v[0], v[1]);
  using Make = Value (*)(OpBuilder &, Location, Value);
  auto make = llvm::StringSwitch<Make>(name)
#define ATTNC_UNARY(NAME, OP)                                                                      \
  .Case(NAME, [](OpBuilder &b, Location l, Value x) { return emitReal<math::OP>(b, l, x); })
                  ATTNC_UNARY("floor", FloorOp) ATTNC_UNARY("ceil", CeilOp)
                      ATTNC_UNARY("round", RoundEvenOp) ATTNC_UNARY("exp", ExpOp)
                          ATTNC_UNARY("exp2", Exp2Op) ATTNC_UNARY("ln", LogOp)
                              ATTNC_UNARY("log2", Log2Op) ATTNC_UNARY("sqrt", SqrtOp)
                                  ATTNC_UNARY("rsqrt", RsqrtOp) ATTNC_UNARY("tanh", TanhOp)
                                      ATTNC_UNARY("sin", SinOp) ATTNC_UNARY("cos", CosOp)
                                          ATTNC_UNARY("erf", ErfOp)
#undef ATTNC_UNARY
                                              .Default(nullptr);
  return make(builder, loc, v[0]);
}

bool attnc::frontend::anyName(const Expr *expr, llvm::function_ref<bool(StringRef)> test) {
  if (!expr)
    return false;
  if ((expr->kind == ExprKind::Name || expr->kind == ExprKind::Index ||
       !expr->member.text.empty()) &&
      test(expr->text))
    return true;
  return anyName(expr->condition, test) ||
         llvm::any_of(expr->operands, [&](const Expr *operand) { return anyName(operand, test); });
}

Value Emitter::emitHelperCall(const Expr *expr, const Definition &definition) {
  for (const Frame &frame : frames)
    if (frame.definition == &definition) {
      error(expr->anchor, "`" + definition.name.text + "` calls itself")
          .note(definition.name.range, "helpers are inlined, so they cannot be recursive");
      return {};
    }
  if (frames.size() >= 500) {
    error(expr->anchor, "helpers call each other more than 500 deep");
    return {};
  }
  if (expr->operands.size() != definition.params.size()) {
    error(expr->range, formatv("`{0}` takes {1} argument{2}, found {3}", definition.name.text,
                               definition.params.size(), definition.params.size() == 1 ? "" : "s",
                               expr->operands.size())
                           .str())
        .note(definition.name.range, "defined here");
    return {};
  }
  auto isTensor = [&](StringRef name) {
    if (name == "Q" || name == "K" || name == "V" || name == "merge")
      return true;
    if (!frames.empty() && frames.back().args.count(name))
      return !frames.back().args[name].value;
    if (isSpace(name)) // an index that only a reduction of the helper gives a value
      return !context->coordinates.count(name) && !indexOf(name, locationOf(expr));
    Symbol *symbol = lookup(name);
    return symbol && (symbol->kind == Symbol::Input || symbol->kind == Symbol::Tensor ||
                      symbol->kind == Symbol::Let);
  };
  Frame frame{&definition, expr->range, locationOf(expr), {}};
  for (auto [param, operand] : llvm::zip_equal(definition.params, expr->operands)) {
    Argument &argument = frame.args[param.text];
    argument.expr = operand;
    argument.version = context->version;
    argument.onQueryAxis = onQueryAxis;
    // What reads a tensor at the current indices depends on where it is evaluated.
    if (anyName(operand, isTensor))
      continue;
    // Evaluated here, so that an error in an argument that is not used is still one.
    argument.value = emitExpr(operand);
    if (!argument.value)
      return {};
  }
  bool saved = std::exchange(onQueryAxis, false);
  frames.push_back(std::move(frame));
  Value result = emitExpr(definition.body);
  frames.pop_back();
  onQueryAxis = saved;
  return result;
}
