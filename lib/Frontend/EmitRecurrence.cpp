// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Recurrences. Statements that do not depend on the state are stages before the recurrence; the
// others make up its step, in the order in which they are written. A state's name stands for its
// current value.
#include "Emitter.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/FormatVariadic.h"

using namespace attnc;
using namespace attnc::frontend;
using namespace mlir;
using llvm::formatv;
using llvm::StringRef;

void Emitter::emitRecurrence(const Statement &header, const Name &name,
                             const std::vector<Statement> &body, bool isTopLevel) {
  if (inRecurrence) {
    error(name.range, "a recurrence cannot stand in another one");
    return;
  }
  // `out` and `every` of this recurrence, not of what is around it.
  llvm::StringMap<llvm::SMRange> seenAround = seen;
  seen.erase("out");
  seen.erase("every");
  auto restore = llvm::scope_exit([&] {
    if (!isTopLevel)
      std::swap(seen, seenAround);
  });
  StringRef time = header.other.text.empty() ? StringRef("t") : header.other.text;
  SmallVector<StringRef> batch;
  if (!header.hasNames)
    batch = {"b", "h"};

  // Spaces of the header may be declared in the body, so stages come first. Stages behind the last
  // statement of the step see what it puts out, and follow the recurrence.
  SmallVector<const Statement *> steps, behind;
  auto isBatch = [&](StringRef space) {
    return llvm::is_contained(batch, space) ||
           llvm::any_of(header.names, [&](const Name &name) { return name.text == space; });
  };
  llvm::StringSet<> ofStep; // states, and tensors of the step
  auto speaksOfStep = [&](const Expr *expr) {
    return anyName(expr, [&](StringRef name) { return ofStep.contains(name); });
  };
  for (const Statement &s : body)
    if (s.kind == StatementKind::State)
      ofStep.insert(s.word.text), namesOfStep[s.word.text] = s.word.range;
    else if (s.kind == StatementKind::Let && !s.definition.axes && speaksOfStep(s.definition.body))
      ofStep.insert(s.definition.name.text);
    else if (s.kind == StatementKind::Let && s.definition.axes &&
             llvm::none_of(*s.definition.axes, [&](const Name &axis) {
               return axis.text == time || isBatch(axis.text);
             }))
      ofStep.insert(s.definition.name.text),
          namesOfStep[s.definition.name.text] = s.definition.name.range;
  auto isStage = [&](const Statement &s) {
    switch (s.kind) {
    case StatementKind::Let:
      if (!s.definition
               .axes) // a formula: visible to all that follows, unless it speaks of the step
        return isTopLevel && !speaksOfStep(s.definition.body);
      [[fallthrough]];
    case StatementKind::Output:
      // What has an axis of time or of the batch is no part of a step.
      return isTopLevel && s.definition.axes &&
             llvm::any_of(*s.definition.axes, [&](const Name &axis) {
               return axis.text == time || isBatch(axis.text);
             });
    case StatementKind::State:
    case StatementKind::Assign:
    case StatementKind::Every:
    case StatementKind::Out:
      return false;
    default:
      return isTopLevel;
    }
  };
  auto isOutput = [](const Statement &s) {
    return s.kind == StatementKind::Output && !s.definition.body;
  };
  size_t end = body.size();
  while (end && (isStage(body[end - 1]) || isOutput(body[end - 1])))
    --end;
  for (auto [i, statement] : llvm::enumerate(body)) {
    if (!isStage(statement))
      steps.push_back(&statement);
    else if (i < end || end == 0)
      emitStatement(statement);
    else
      behind.push_back(&statement);
  }
  if ((!header.other.text.empty() && !isSpace(time)) || !checkAxes(header.names, batch)) {
    if (!isSpace(time))
      error(header.other.range, "`" + time + "` is not an index space")
          .note(header.other.range, "index spaces are " + spaceNames());
    return;
  }

  Block *outer = stages;
  Value every;
  SmallVector<Value> inits;
  std::vector<const Statement *> states;
  for (const Statement *statement : steps) {
    if (statement->kind == StatementKind::Every) {
      if (!once(seen, *statement, "the steps are grouped in one way"))
        continue;
      top.end = OpBuilder::InsertPoint(outer, outer->end());
      top.what = "`every`";
      top.lets.clear();
      every = require(emitIn(top, statement->expr), builder.getI32Type(), statement->expr, "every");
    }
    if (statement->kind != StatementKind::State)
      continue;
    SmallVector<StringRef> axes, initAxes;
    if (!checkAxes(*statement->definition.axes, axes))
      return;
    for (StringRef axis : axes)
      if (axis == time || llvm::is_contained(batch, axis)) {
        error(statement->word.range,
              formatv("the state `{0}` exists for each `{1}` already", statement->word.text, axis)
                  .str());
        return;
      }
    if (statement->expr)
      initAxes = batch;
    initAxes.append(axes);
    Value init = statement->expr
                     ? emitTensor(statement->expr, initAxes, builder.getF32Type(), "state")
                     : emitCompute(initAxes, "a state", statement->keyword, [&] {
                         return constant(reporter.location(statement->keyword), 0.0);
                       });
    if (!init)
      return;
    inits.push_back(init);
    states.push_back(statement);
  }

  Region region;
  Block &step = region.emplaceBlock();
  // If the recurrence is left without an op, its values go with the region: names must not lead to
  // them.
  bool isComplete = false;
  auto forget = llvm::scope_exit([&] {
    groupStarts.clear();
    for (auto &entry : scope)
      if (Value value = entry.second.value;
          !isComplete && value && value.getParentBlock() == &step) {
        entry.second.value = Value();
        entry.second.isBroken = true;
      }
  });
  stepCoordinates.clear();
  groupStarts.clear();
  stepOuts.clear();
  stateNames.clear();
  SmallVector<StringRef> spaces(batch);
  spaces.push_back(time);
  Location loc = reporter.location(name.range);
  for (StringRef space : spaces)
    stepCoordinates[space] =
        step.addArgument(builder.getI32Type(), NameLoc::get(builder.getStringAttr(space), loc));
  auto stateType = [&](const Statement *state) {
    SmallVector<StringRef> axes;
    for (const Name &axis : *state->definition.axes)
      axes.push_back(axis.text);
    return tensorType(axes, builder.getF32Type());
  };
  for (bool isStart : {false, true})
    for (const Statement *state : states) {
      if (isStart && !every)
        continue;
      Value arg =
          step.addArgument(stateType(state), NameLoc::get(builder.getStringAttr(state->word.text),
                                                          reporter.location(state->word.range)));
      groupStarts[state->word.text] = arg;
      if (isStart)
        continue;
      Symbol symbol{Symbol::Tensor, {}, arg};
      symbol.isState = true;
      if (!declare(state->word, symbol))
        return;
      stateNames.push_back(state->word.text.str());
    }

  stages = &step;
  closeScratch();
  inRecurrence = true;
  for (const Statement *statement : steps)
    emitStep(*statement, isTopLevel);
  closeScratch();
  inRecurrence = false;
  stages = outer;
  if (reporter.hasErrors())
    return;

  // What stages behind the recurrence read of its step is put out for them.
  auto isPutOut = [&](StringRef name) {
    return llvm::any_of(stepOuts, [&](auto &entry) { return entry.first == name; });
  };
  llvm::StringSet<> seenBehind;
  SmallVector<const Expr *> readBehind;
  for (const Statement *statement : behind)
    readBehind.append({statement->expr, statement->definition.body});
  while (!readBehind.empty()) {
    const Expr *expr = readBehind.pop_back_val();
    if (!expr)
      continue;
    readBehind.push_back(expr->condition);
    readBehind.append(expr->operands.begin(), expr->operands.end());
    Symbol *symbol = lookup(expr->text);
    if (!symbol || !seenBehind.insert(expr->text).second)
      continue;
    if (symbol->kind == Symbol::Let || symbol->kind == Symbol::Helper)
      readBehind.push_back(symbol->definition->body);
    else if (symbol->value && !symbol->isState && symbol->value.getParentBlock() == &step &&
             !isPutOut(expr->text))
      stepOuts.emplace_back(expr->text.str(), symbol->value);
  }

  SmallVector<Value> yielded;
  SmallVector<Type> results;
  auto resultType = [&](Value value, bool isState) {
    auto type = cast<attn::AttnTensorType>(value.getType());
    SmallVector<Attribute> axes;
    for (StringRef space : ArrayRef(spaces).drop_back(isState))
      axes.push_back(builder.getStringAttr(space));
    axes.append(type.getAxes().begin(), type.getAxes().end());
    return attn::AttnTensorType::get(builder.getContext(), axes,
                                     isState ? Type(builder.getF32Type())
                                             : Type(builder.getNoneType()));
  };
  for (auto &[result, value] : stepOuts) {
    yielded.push_back(value);
    results.push_back(resultType(value, false));
    // Only `out` has the dtype of the operands.
    if (result != "out")
      results.back() = attn::AttnTensorType::get(
          builder.getContext(), cast<attn::AttnTensorType>(results.back()).getAxes(),
          cast<attn::AttnTensorType>(value.getType()).getElementType());
  }
  for (const std::string &state : stateNames) {
    yielded.push_back(scope[state].value);
    results.push_back(resultType(yielded.back(), true));
  }
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToEnd(&step);
  attn::YieldOp::create(builder, loc, yielded);
  builder.setInsertionPointToEnd(outer);
  SmallVector<Attribute> batchNames;
  for (StringRef space : batch)
    batchNames.push_back(builder.getStringAttr(space));
  auto op = attn::RecurOp::create(builder, loc, results, builder.getStringAttr(time),
                                  builder.getArrayAttr(batchNames), inits, every);
  op.getBody().takeBody(region);
  isComplete = true;

  // What else belongs to the step has no value behind it.
  for (auto it = scope.begin(); it != scope.end();) {
    auto entry = it++;
    Value value = entry->second.value;
    if (value && value.getParentBlock() == &op.getBody().front() && !entry->second.isState &&
        !isPutOut(entry->getKey()))
      scope.erase(entry);
  }
  // Behind the recurrence a state's name stands for its last value.
  auto bind = [&](StringRef result, Value value) {
    scope[isTopLevel ? result.str() : (name.text + "." + result).str()] =
        Symbol{Symbol::Tensor, name.range, value};
  };
  for (auto [i, state] : llvm::enumerate(stateNames)) {
    scope.erase(state);
    bind(state, op.getResult(stepOuts.size() + i));
  }
  for (auto [i, entry] : llvm::enumerate(stepOuts)) {
    scope.erase(entry.first);
    bind(entry.first, op.getResult(i));
  }
  for (const Statement *statement : behind)
    emitStatement(*statement);
  if (auto it = scope.find("out"); isTopLevel && it != scope.end())
    out = it->second.value;
}

void Emitter::emitStep(const Statement &statement, bool isTopLevel) {
  switch (statement.kind) {
  case StatementKind::State:
  case StatementKind::Every:
    return;
  case StatementKind::Let:
    return emitLet(statement);
  case StatementKind::Output: {
    const Name &name = statement.word;
    if (statement.definition.body)
      emitLet(statement);
    Symbol *symbol = lookup(name.text);
    bool isOfStep = symbol && symbol->kind == Symbol::Tensor && symbol->value && !symbol->isState &&
                    symbol->value.getParentBlock() == stages;
    if (isOfStep && llvm::none_of(stepOuts, [&](auto &entry) { return entry.first == name.text; }))
      stepOuts.emplace_back(name.text.str(), symbol->value);
    if (symbol && symbol->isBroken)
      return;
    // Of a recurrence that is the spec, outputs are the variant's; of a stage they are its results.
    if (isTopLevel) {
      lateOutputs.push_back(&statement);
      if (statement.other.range.isValid())
        reusing.push_back(&statement);
    } else if (statement.other.range.isValid()) {
      error(statement.other.range, "`" + name.text +
                                       "` is no output of the spec, but a result of "
                                       "this stage, which has memory of its own");
    } else if (!isOfStep && !(symbol && symbol->isState)) {
      error(name.range, "`" + name.text + "` is neither a state nor a tensor of this step")
          .note(name.range, "a result of a recurrence is one of its step, `let " + name.text +
                                "[axes] = ...` without its time");
    }
    return;
  }
  case StatementKind::Assign: {
    Symbol *symbol = lookup(statement.word.text);
    if (!symbol || !symbol->isState) {
      auto e = error(statement.word.range,
                     "`" + statement.word.text + "` is not a state of this recurrence");
      SmallVector<StringRef> names(stateNames.begin(), stateNames.end());
      if (symbol && symbol->range.isValid())
        e.note(symbol->range, "declared here");
      else if (auto near = nearestName(statement.word.text, names))
        e.fix(statement.word.range, *near, "did you mean `" + *near + "`?");
      return;
    }
    if (symbol->isBroken || !symbol->value)
      return;
    auto type = cast<attn::AttnTensorType>(symbol->value.getType());
    SmallVector<StringRef> axes;
    for (unsigned i = 0; i < type.getRank(); ++i)
      axes.push_back(type.getAxisName(i));
    Value next = emitTensor(statement.expr, axes, builder.getF32Type(), statement.word.text);
    if (next)
      scope[statement.word.text].value = next;
    return;
  }
  case StatementKind::Out: {
    if (!once(seen, statement, "there is one output of that name"))
      return;
    Value value = emitTensor(statement.expr, {"e"}, builder.getF32Type(), "out");
    if (value)
      stepOuts.emplace_back("out", value);
    return;
  }
  default:
    expectHere(statement, false, "the attention around the recurrence");
    return;
  }
}

/// `start(S)`: the state as it was when the group of steps began.
Value Emitter::emitGroupStart(const Expr *expr) {
  const Expr *state = expr->operands.size() == 1 ? expr->operands.front() : nullptr;
  auto it = inRecurrence && state && state->kind == ExprKind::Name ? groupStarts.find(state->text)
                                                                   : groupStarts.end();
  if (!inRecurrence || it == groupStarts.end()) {
    error(expr->range, "`start` takes a state of a recurrence, as in `start(W)`");
    return {};
  }
  if (context->isScratch) {
    error(expr->range, "a `let` without axes cannot read a state");
    return {};
  }
  return emitRead(state, state->text, it->second, {});
}

/// `grad(L, start(W))`: the derivative of a number with respect to each entry of the state.
Value Emitter::emitGradient(const Expr *expr) {
  const Expr *loss = expr->operands.size() == 2 ? expr->operands[0] : nullptr;
  const Expr *of = expr->operands.size() == 2 ? expr->operands[1] : nullptr;
  bool isStart = of && of->kind == ExprKind::Call && of->text == "start" &&
                 of->operands.size() == 1 && of->operands[0]->kind == ExprKind::Name;
  auto it = isStart && inRecurrence ? groupStarts.find(of->operands[0]->text) : groupStarts.end();
  Symbol *symbol = loss && loss->kind == ExprKind::Name ? lookup(loss->text) : nullptr;
  auto type = symbol && symbol->kind == Symbol::Tensor && symbol->value
                  ? cast<attn::AttnTensorType>(symbol->value.getType())
                  : attn::AttnTensorType();
  if (!inRecurrence || it == groupStarts.end() || !type || type.getRank() ||
      !type.getElementType().isF32()) {
    if (symbol && symbol->isBroken)
      return {};
    error(expr->range, "`grad` takes a number and a state, as in `grad(L, start(W))`")
        .note(expr->range, "the number is declared by `let L[] = ...` and reads `start(W)`");
    return {};
  }
  if (context->isScratch) {
    error(expr->range, "a `let` without axes cannot read a state");
    return {};
  }
  Value gradient;
  {
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToEnd(stages);
    gradient = attn::GradOp::create(builder, locationOf(expr), it->second.getType(), symbol->value,
                                    it->second);
  }
  Expr name = *expr;
  name.kind = ExprKind::Name;
  return emitRead(&name, "the gradient", gradient, {});
}
