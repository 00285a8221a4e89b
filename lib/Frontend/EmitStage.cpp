// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Stages: tensors by a formula, functions of rows, and the index spaces that they run over.
#include "Emitter.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/FormatVariadic.h"

using namespace attnc;
using namespace attnc::frontend;
using namespace mlir;
using llvm::formatv;
using llvm::SMRange;
using llvm::StringRef;

bool attnc::frontend::isRowFunction(StringRef name) {
  return llvm::is_contained<StringRef>(
      {"softmax", "cumsum", "cumprod", "cummax", "rank", "order", "top", "cover"}, name);
}

void Emitter::emitSpace(const Statement &statement) {
  const Name &name = statement.word;
  if (isPredefined(name.text) || attn::findSpace(variant, name.text) || lookup(name.text)) {
    error(name.range, "`" + name.text + "` has a meaning already and cannot be declared");
    return;
  }
  bool isBlocks = statement.kind == StatementKind::Blocks;
  if (isBlocks && !isSpace(statement.other.text)) {
    error(statement.other.range, "`" + statement.other.text + "` is not an index space")
        .note(statement.other.range, "index spaces are " + spaceNames());
    return;
  }
  Block *body = &variant.getBody().front();
  top.end = OpBuilder::InsertPoint(body, body->end());
  top.what = isBlocks ? "the size of a block" : "a number of slots";
  top.lets.clear();
  top.derived.clear();
  Value extent;
  if (statement.expr)
    extent = require(emitIn(top, statement.expr), builder.getI32Type(), statement.expr,
                     isBlocks ? "blocks" : "slots");
  Value stride = statement.stride ? require(emitIn(top, statement.stride), builder.getI32Type(),
                                            statement.stride, "stride")
                                  : Value();
  if ((statement.expr && !extent) || (statement.stride && !stride))
    return;
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToEnd(body);
  attn::SpaceOp::create(builder, reporter.location(name.range), builder.getStringAttr(name.text),
                        isBlocks ? builder.getStringAttr(statement.other.text) : StringAttr(),
                        extent, stride, statement.isFull);
}

bool Emitter::checkAxes(const std::vector<Name> &axes, SmallVector<StringRef> &names) {
  for (const Name &axis : axes) {
    if (!isSpace(axis.text)) {
      error(axis.range, "`" + axis.text + "` is not an index space")
          .note(axis.range, "index spaces are " + spaceNames());
      return false;
    }
    if (llvm::is_contained(names, axis.text)) {
      error(axis.range, "`" + axis.text + "` is an axis of this tensor twice");
      return false;
    }
    names.push_back(axis.text);
  }
  return true;
}

Value Emitter::emitCompute(ArrayRef<StringRef> axes, StringRef what, SMRange range,
                           llvm::function_ref<Value()> body, Type stored) {
  Location loc = reporter.location(range);
  Region region;
  EmitContext into;
  openRegion(region, into, what, {}, axes, range);
  SmallVector<StringRef> stageAxes(axes);
  into.stageAxes = &stageAxes;
  OpBuilder::InsertionGuard guard(builder);
  builder.restoreInsertionPoint(into.end);
  EmitContext *saved = std::exchange(context, &into);
  bool savedAxis = std::exchange(onQueryAxis, false);
  Value value = body();
  context = saved;
  onQueryAxis = savedAxis;
  if (!value)
    return {};
  attn::YieldOp::create(builder, loc, value);
  builder.setInsertionPointToEnd(stages);
  auto op =
      attn::ComputeOp::create(builder, loc, tensorType(axes, stored ? stored : value.getType()));
  op.getBody().takeBody(region);
  return op.getResult();
}

Value Emitter::emitTensor(const Expr *expr, ArrayRef<StringRef> axes, Type element,
                          StringRef statement, Type stored) {
  return emitCompute(
      axes, ("`" + statement + "`").str(), expr->range,
      [&] {
        Value v = emitExpr(expr);
        return v && element ? require(v, element, expr, statement) : v;
      },
      stored);
}

/// The place where formulas are checked. It stays open for the next ones, so that what they share
/// is emitted once, until there are other coordinates.
EmitContext &Emitter::openScratch(SMRange range) {
  SmallVector<StringRef> spaces{"b", "h", "q", "kv"};
  for (StringRef space : attn::indexSpaces())
    if (space != "g" && (space != "t" || hasSteps) && !llvm::is_contained(spaces, space))
      spaces.push_back(space);
  for (auto space : variant.getBody().getOps<attn::SpaceOp>())
    spaces.push_back(space.getName());
  if (scratchRegion && scratchIsStep == inRecurrence && scratchSpaces == spaces.size())
    return scratch;
  closeScratch();
  scratchRegion = std::make_unique<Region>();
  scratchIsStep = inRecurrence;
  scratchSpaces = spaces.size();
  openRegion(*scratchRegion, scratch, "a `let`", {}, spaces, range);
  scratch.isScratch = true;
  return scratch;
}

void Emitter::closeScratch() {
  scratch = EmitContext();
  scratchRegion.reset();
}

/// A real output that reuses an input has its type; what reads it reads it as it is computed.
/// Null: the type of its formula.
Type Emitter::storedAs(const Statement &statement) {
  if (statement.kind != StatementKind::Output || !statement.other.range.isValid() || inRecurrence)
    return {};
  attn::InputOp input = reusedInput(statement);
  bool isReal = input && !isa<IntegerType>(input.getType().getElementType());
  return isReal ? input.getType().getElementType() : Type();
}

void Emitter::emitLet(const Statement &statement) {
  const Definition &definition = statement.definition;
  Symbol symbol{Symbol::Let, {}, {}, &definition};
  if (!definition.axes) {
    // A formula is checked here and emitted again where it is used, since each region has its own
    // coordinates.
    symbol.isBroken = !emitIn(openScratch(statement.keyword), definition.body);
    declare(definition.name, symbol);
    return;
  }
  symbol.kind = Symbol::Tensor;
  SmallVector<StringRef> axes;
  if (checkAxes(*definition.axes, axes)) {
    const Expr *body = definition.body;
    Type stored = storedAs(statement);
    Symbol *helper = lookup(body->text);
    if (body->kind == ExprKind::Call && isRowFunction(body->text) &&
        !(helper && helper->kind == Symbol::Helper))
      symbol.value = emitRowTensor(body, axes);
    else
      symbol.value = emitTensor(body, axes, stored ? builder.getF32Type() : Type(), "let", stored);
  }
  symbol.isBroken = !symbol.value;
  declare(definition.name, symbol);
}

/// Gives the name of a tensor another value over the same axes.
void Emitter::emitTransform(const Statement &statement) {
  const Definition &definition = statement.definition;
  if (definition.axes) {
    error(definition.name.range, "`transform` keeps the axes of its tensor")
        .note(definition.name.range,
              "a tensor over other axes is declared by `let name[axes] = ...`");
    return;
  }
  Value tensor = tensorNamed(definition.name);
  if (!tensor)
    return;
  auto type = cast<attn::AttnTensorType>(tensor.getType());
  SmallVector<StringRef> axes;
  for (unsigned i = 0; i < type.getRank(); ++i)
    axes.push_back(type.getAxisName(i));
  if (llvm::is_contained(axes, "")) {
    error(definition.name.range, "`transform` needs a tensor whose axes all have names");
    return;
  }
  Type element =
      isa<IntegerType>(type.getElementType()) ? type.getElementType() : Type(builder.getF32Type());
  // An output keeps the dtype of the operands.
  Type stored = definition.name.text == "out" && type.hasOperandElementType()
                    ? Type(builder.getNoneType())
                    : Type();
  Value result = emitTensor(definition.body, axes, element, "transform", stored);
  Symbol &symbol = scope[definition.name.text];
  symbol.kind = Symbol::Tensor;
  symbol.isBroken |= !result;
  if (result)
    symbol.value = result;
  nameValue(result, definition.name.text);
}

std::string attnc::frontend::shortest(double number) {
  std::string text;
  llvm::raw_string_ostream(text) << llvm::format("%g", number);
  return text;
}

/// A function of rows within a formula: its tensor is a stage before this one.
Value Emitter::emitRowFunction(const Expr *expr) {
  if (!context->stageAxes || context->version || !frames.empty()) {
    error(expr->anchor, formatv("`{0}` works on whole rows and cannot stand in {1}", expr->text,
                                context->version  ? "a reduction"
                                : !frames.empty() ? "a helper"
                                                  : context->what)
                            .str())
        .note(expr->anchor, "give it a name first: `let name[axes] = " + expr->text + "(...)`");
    return {};
  }
  SmallVector<StringRef> axes(*context->stageAxes);
  Value tensor = emitRowTensor(expr, axes);
  if (!tensor)
    return {};
  SmallVector<Value> indices;
  for (StringRef axis : axes)
    indices.push_back(context->coordinates[axis]);
  auto type = cast<attn::AttnTensorType>(tensor.getType());
  return attn::ReadOp::create(builder, locationOf(expr), type.getElementType(), tensor, indices);
}

Value Emitter::emitRowTensor(const Expr *expr, ArrayRef<StringRef> axes) {
  StringRef name = expr->text;
  bool isSelection = name == "top" || name == "cover";
  size_t most = name == "cover" ? 5 : isSelection ? 2 : 1, least = name == "cover" ? 3 : most;
  if (expr->over.empty()) {
    error(expr->anchor,
          formatv("`{0}` works on rows: say over which axis, as in `{0}(x over kv{1})`", name,
                  isSelection ? ", n" : "")
              .str());
    return {};
  }
  if (expr->operands.size() < least || expr->operands.size() > most) {
    error(expr->range, formatv("`{0}` takes {1}{2} argument{3}, found {4}", name, least,
                               most > least ? formatv(" to {0}", most).str() : "",
                               most == 1 ? "" : "s", expr->operands.size())
                           .str());
    return {};
  }
  for (const Name &space : expr->over)
    if (!llvm::is_contained(axes, space.text)) {
      error(space.range, formatv("`{0}` is not an axis of this stage", space.text).str())
          .note(expr->range, "the stage is over [" + llvm::join(axes, ", ") + "]");
      return {};
    }
  if (expr->over.size() > 1 && !isSelection) {
    error(expr->over[1].range, formatv("`{0}` takes one axis", name).str());
    return {};
  }
  bool takesInts = name.starts_with("cum") || name == "rank" || name == "order";
  const Expr *operand = expr->operands.front();
  Value tensor;
  if (operand->kind == ExprKind::Name && !expr->condition && frames.empty()) {
    Symbol *symbol = lookup(operand->text);
    if (symbol && symbol->value &&
        symbol->value.getType() == tensorType(axes, builder.getF32Type()))
      tensor = symbol->value;
  }
  if (!tensor)
    tensor = emitCompute(axes, ("`" + name + "`").str(), operand->range, [&]() -> Value {
      Value v = emitExpr(operand);
      if (!v)
        return {};
      if (!takesInts || expr->condition)
        v = require(v, builder.getF32Type(), operand, name);
      if (v && v.getType().isInteger(1)) {
        error(operand->range, formatv("`{0}` needs numbers, found a condition", name).str());
        return {};
      }
      if (!v || !expr->condition)
        return v;
      Value condition = emitExpr(expr->condition);
      condition =
          condition ? require(condition, builder.getI1Type(), expr->condition, "if") : condition;
      if (!condition)
        return {};
      Location loc = locationOf(expr);
      double identity = name == "cumsum"    ? 0.0
                        : name == "cumprod" ? 1.0
                                            : -std::numeric_limits<double>::infinity();
      Value rest = constant(loc, identity);
      return arith::SelectOp::create(builder, loc, condition, v, rest);
    });
  if (!tensor)
    return {};
  if (isSelection)
    return emitSelection(expr, tensor, axes);
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToEnd(stages);
  Location loc = locationOf(expr);
  Type element = cast<attn::AttnTensorType>(tensor.getType()).getElementType();
  auto same = tensorType(axes, element), real = tensorType(axes, builder.getF32Type());
  auto index = tensorType(axes, builder.getI32Type());
  StringRef space = expr->over.front().text;
  if (name == "softmax")
    return attn::SoftmaxOp::create(builder, loc, real, tensor, space);
  if (name == "cumsum")
    return attn::CumsumOp::create(builder, loc, same, tensor, space);
  if (name == "cumprod" || name == "cummax")
    return emitScan(name, tensor, same, space, loc);
  if (name == "rank")
    return attn::RankOp::create(builder, loc, index, tensor, space);
  return attn::OrderOp::create(builder, loc, index, tensor, space);
}

/// `cumprod` and `cummax`: a scan whose combiner is one operation.
Value Emitter::emitScan(StringRef name, Value tensor, attn::AttnTensorType result, StringRef space,
                        Location loc) {
  bool isProduct = name == "cumprod", isReal = result.getElementType().isF32();
  Value identity = isReal
                       ? constant(loc, isProduct ? 1.0 : -std::numeric_limits<double>::infinity())
                       : constant(loc, isProduct ? 1 : std::numeric_limits<int32_t>::min());
  Region region;
  Block &body = region.emplaceBlock();
  Type element = identity.getType();
  Value all = body.addArgument(element, loc), next = body.addArgument(element, loc), combined;
  {
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToEnd(&body);
    if (isProduct)
      combined = isReal ? Value(arith::MulFOp::create(builder, loc, all, next))
                        : Value(arith::MulIOp::create(builder, loc, all, next));
    else
      combined = isReal ? Value(arith::MaximumFOp::create(builder, loc, all, next))
                        : Value(arith::MaxSIOp::create(builder, loc, all, next));
    attn::YieldOp::create(builder, loc, combined);
  }
  auto op = attn::ScanOp::create(builder, loc, TypeRange{result}, space, /*reverse=*/false,
                                 /*exclusive=*/false, ValueRange{tensor}, ValueRange{identity});
  op.getBody().takeBody(region);
  return op.getResult(0);
}

Value Emitter::emitSelection(const Expr *expr, Value ranks, ArrayRef<StringRef> axes) {
  SmallVector<StringRef> rest, spaces;
  for (const Name &space : expr->over)
    spaces.push_back(space.text);
  for (StringRef axis : axes)
    if (!llvm::is_contained(spaces, axis))
      rest.push_back(axis);
  auto rule = attn::Selection::Top;
  if (expr->text == "cover") {
    const Expr *word = expr->operands[2];
    bool isWord =
        word->kind == ExprKind::Name && (word->text == "inclusive" || word->text == "exclusive");
    if (!isWord) {
      error(word->range,
            "expected `inclusive` (the entry that crosses the threshold is kept) or `exclusive`");
      return {};
    }
    rule = word->text == "inclusive" ? attn::Selection::CoverInclusive
                                     : attn::Selection::CoverExclusive;
  }
  bool isTop = rule == attn::Selection::Top;
  SmallVector<Value> amounts;
  for (auto [i, operand] : llvm::enumerate(expr->operands)) {
    if (i == 0 || (!isTop && i == 2))
      continue;
    Type element = !isTop && i == 1 ? Type(builder.getF32Type()) : Type(builder.getI32Type());
    Value amount = emitTensor(operand, rest, element, expr->text);
    if (!amount)
      return {};
    amounts.push_back(amount);
  }
  amounts.resize(3);
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToEnd(stages);
  return attn::SelectOp::create(builder, locationOf(expr), tensorType(axes, builder.getI1Type()),
                                rule, ranks, amounts[0], amounts[1], amounts[2],
                                builder.getStrArrayAttr(spaces));
}
