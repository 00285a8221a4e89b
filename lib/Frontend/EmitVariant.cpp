// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Declarations and statements: symbols, the regions of the attend op, and what may be said how
// often.
#include "Emitter.h"
#include "Parser.h"
#include "attnc/Frontend/Frontend.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Verifier.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include <cmath>

using namespace attnc;
using namespace attnc::frontend;
using namespace mlir;
using llvm::formatv;
using llvm::SMRange;
using llvm::StringRef;

OwningOpRef<ModuleOp> frontend::parseSpec(llvm::SourceMgr &sources, MLIRContext *context,
                                          const Dumps &dumps) {
  context->loadDialect<attn::AttnDialect, arith::ArithDialect, math::MathDialect>();
  Reporter reporter(sources, context);
  const llvm::MemoryBuffer *buffer = sources.getMemoryBuffer(sources.getMainFileID());
  OwningOpRef<ModuleOp> module =
      ModuleOp::create(FileLineColLoc::get(context, buffer->getBufferIdentifier(), 1, 1));
  SpecFile file;
  Parser parser(buffer->getBuffer(), reporter, file);
  parser.parseFile();
  Emitter emitter(reporter, file, *module);
  for (const Attention &attention : file.attentions) {
    bool isDumped =
        dumps.variant.empty() ? file.attentions.size() == 1 : attention.name.text == dumps.variant;
    if (!attention.name.text.empty()) // else its header is broken, which is reported
      emitter.emit(attention, isDumped ? ArrayRef(dumps.names) : ArrayRef<std::string>());
  }
  if (reporter.hasErrors() || emitter.hasFailed() || failed(verify(*module)))
    return nullptr;
  return module;
}

Emitter::Emitter(Reporter &reporter, const SpecFile &file, ModuleOp module)
    : reporter(reporter), file(file), module(module), builder(module.getContext()) {
  for (const Definition &definition : file.definitions)
    emitHelper(definition, fileScope);
}

bool attnc::frontend::isPredefined(StringRef name) {
  return name == "s" || name == "Q" || name == "K" || name == "V" || name == "inf" ||
         name == "size" || name == "i32" || name == "f32" || attn::isIndexSpace(name);
}

void Emitter::nameValue(Value value, StringRef name) {
  Operation *op = value ? value.getDefiningOp() : nullptr;
  if (!op || op->getNumResults() != 1 || op->getParentOp() != variant)
    return;
  Location plain = op->getLoc();
  if (auto named = dyn_cast<NameLoc>(plain))
    plain = named.getChildLoc();
  op->setLoc(NameLoc::get(builder.getStringAttr(name), plain));
}

bool Emitter::declare(const Name &name, Symbol symbol) {
  symbol.range = name.range;
  nameValue(symbol.value, name.text);
  if (isPredefined(name.text) || attn::findSpace(variant, name.text)) {
    error(name.range, "`" + name.text + "` has a meaning in the language and cannot be declared");
    refused.insert(name.text); // its uses mean what was refused
    return false;
  }
  auto [it, isNew] = scope.try_emplace(name.text, symbol);
  if (!isNew)
    error(name.range, "`" + name.text + "` is declared twice")
        .note(it->second.range, "first declared here");
  return isNew;
}

void Emitter::emitHelper(const Definition &definition, llvm::StringMap<Symbol> &into) {
  const Name &name = definition.name;
  if (isPredefined(name.text) || llvm::is_contained(builtinNames(), name.text)) {
    error(name.range, "`" + name.text + "` has a meaning in the language and cannot be declared");
    return;
  }
  llvm::StringMap<SMRange> params;
  for (const Name &param : definition.params)
    if (!params.try_emplace(param.text, param.range).second)
      error(param.range, "`" + param.text + "` is declared twice")
          .note(params[param.text], "first declared here");
  Symbol symbol{Symbol::Helper, name.range, {}, &definition};
  auto [it, isNew] = into.try_emplace(name.text, symbol);
  if (!isNew)
    error(name.range, "`" + name.text + "` is declared twice")
        .note(it->second.range, "first declared here");
}

attn::AttnTensorType Emitter::tensorType(ArrayRef<StringRef> axes, Type element) {
  SmallVector<Attribute> names;
  for (StringRef axis : axes)
    names.push_back(builder.getStringAttr(axis));
  return attn::AttnTensorType::get(builder.getContext(), names, element);
}

std::string Emitter::spaceNames() const {
  SmallVector<std::string> names;
  for (StringRef space : attn::indexSpaces())
    names.push_back(space.str());
  for (auto space : const_cast<Emitter *>(this)->variant.getBody().getOps<attn::SpaceOp>())
    names.push_back(space.getName().str());
  std::string text = llvm::join(ArrayRef(names).drop_back(), ", ");
  return text + " and " + names.back();
}

/// Q, K or V, with the axes that they have in the family: declared when first used, so that a
/// variant that does without one does not ask for it.
Value Emitter::operandNamed(StringRef name) {
  if (auto it = scope.find(name); it != scope.end())
    return it->second.value;
  StringRef rows = isRecurrence ? "t" : name == "Q" ? "q" : "kv";
  StringRef heads = isRecurrence || name == "Q" ? "h" : "g";
  auto type = tensorType({"b", heads, rows, name == "V" ? "e" : "d"}, builder.getNoneType());
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToEnd(&variant.getBody().front());
  auto input =
      attn::InputOp::create(builder, variant.getLoc(), type, builder.getStringAttr(name), nullptr);
  nameValue(input, name);
  scope.try_emplace(name, Symbol{Symbol::Input, {}, input});
  return input;
}

Value Emitter::tensorNamed(const Name &name) {
  if (name.text == "Q" || name.text == "K" || name.text == "V")
    return operandNamed(name.text);
  Symbol *symbol = lookup(name.text);
  if (symbol && (symbol->kind == Symbol::Input || symbol->kind == Symbol::Tensor))
    return symbol->value;
  if (symbol) {
    error(name.range, "`" + name.text + "` is not a tensor").note(symbol->range, "declared here");
    return {};
  }
  Expr expr;
  expr.kind = ExprKind::Name;
  expr.text = name.text;
  expr.range = expr.anchor = name.range;
  reportUnknownName(&expr, /*isFunction=*/false);
  return {};
}

void Emitter::emit(const Attention &attention, ArrayRef<std::string> dumped) {
  dumps = dumped;
  scope.clear();
  seen.clear();
  align.reset();
  isRecurrence = attention.isRecurrence;
  own.emplace();
  statements = &attention.statements;
  out = lse = {};
  ownAttend = {};
  outputs.clear();
  reusing.clear();
  lateOutputs.clear();
  branches.clear();
  usedBranches.clear();
  merges.clear();
  namesOfStep.clear();
  refused.clear();
  numOperations = 0;
  attentionRange = attention.name.range;
  hasSteps =
      attention.isRecurrence || llvm::any_of(attention.statements, [](const Statement &s) {
        return llvm::any_of(s.inputs, [](const Input &input) {
          return llvm::any_of(input.axes, [](const Token &axis) { return axis.text == "t"; });
        });
      });

  builder.setInsertionPointToEnd(module.getBody());
  Location loc = reporter.location(attention.name.range);
  for (auto earlier : module.getBody()->getOps<attn::VariantOp>())
    if (earlier.getSymName() == attention.name.text) {
      error(attention.name.range, "`" + attention.name.text + "` is declared twice");
      return;
    }
  variant = attn::VariantOp::create(builder, loc, attention.name.text);
  stages = &variant.getBody().emplaceBlock();
  builder.setInsertionPointToEnd(stages);
  top = EmitContext();
  top.what = "`scale`";

  for (const Param &param : attention.params)
    emitParam(param);
  // An attention stage of its own, unless `out` says what the output is, or nothing but tensors is
  // declared and put out.
  auto any = [&](llvm::function_ref<bool(const Statement &)> test) {
    return llvm::any_of(attention.statements, test);
  };
  bool hasOut = any([](const Statement &s) {
    return s.kind == StatementKind::Out ||
           (s.kind == StatementKind::Output && s.definition.body && s.word.text == "out");
  });
  bool hasTensors =
      any([](const Statement &s) { return s.kind == StatementKind::Output && s.definition.body; });
  bool hasAttention = any([](const Statement &s) {
    return s.kind == StatementKind::Scale || s.kind == StatementKind::Score ||
           s.kind == StatementKind::Mask || s.kind == StatementKind::Sink ||
           s.kind == StatementKind::Over || s.kind == StatementKind::Precision ||
           s.kind == StatementKind::Tile || s.kind == StatementKind::Queries ||
           s.kind == StatementKind::Keys || s.kind == StatementKind::Align ||
           (s.kind == StatementKind::Output && s.word.text == "lse");
  });
  isPlain = !attention.isRecurrence && !hasOut && (hasAttention || !hasTensors);
  auto declaresOperand = [&](StringRef name) {
    return llvm::any_of(attention.statements, [&](const Statement &s) {
      return llvm::any_of(s.inputs, [&](const Input &input) { return input.name.text == name; });
    });
  };
  if (isPlain)
    for (StringRef name : {"Q", "K", "V"})
      if (!declaresOperand(name))
        operandNamed(name);
  if (attention.isRecurrence) {
    emitRecurrence(attention.recurrence, attention.name, attention.statements, /*isTopLevel=*/true);
  } else {
    for (const Statement &statement : attention.statements)
      emitStatement(statement);
  }
  closeScratch();
  if (!reporter.hasErrors())
    emitReturn(attention);
  if (!reporter.hasErrors())
    checkSizes();
  for (const Name &branch : branches)
    if (!reporter.hasErrors() && !usedBranches.count(branch.text))
      error(branch.range, "nothing uses the branch `" + branch.text + "`")
          .note(branch.range, "its results are " + branch.text + ".out, " + branch.text +
                                  ".lse and " + branch.text + ".p: add `out " + branch.text +
                                  ".out`, say");
}

void Emitter::emitParam(const Param &param) {
  bool isWhole = param.value.is(TokenKind::Integer), isReal = param.type.text == "f32";
  // After an error the parameter stays declared: its uses are none.
  if (!isReal && param.type.text != "int") {
    auto e = error(param.type.range, "`" + param.type.text + "` is not a type of a parameter");
    e.fix(param.type.range, isWhole ? "int" : "f32", "parameters are int or f32");
    isReal = !isWhole;
  }
  double number = 0;
  param.value.text.getAsDouble(number);
  if (param.negative)
    number = -number;
  float rounded = static_cast<float>(number);
  if (isReal &&
      ((rounded == 0 && number != 0) || (isWhole && static_cast<double>(rounded) != number)))
    error(param.value.range(), "`" + param.value.text + "` is not an f32 number")
        .note(param.value.range(), "parameters of type f32 are rounded to the nearest one; whole "
                                   "numbers up to 16777216 are kept");
  if (!isReal && (!isWhole || number < -2147483648.0 || number > 2147483647.0)) {
    error(param.value.range(),
          "expected a whole number of 32 bits as the default of an int, found " +
              describe(param.value))
        .note(param.type.range, "declared `int` here");
    number = 0;
  }
  TypedAttr attr = isReal ? TypedAttr(builder.getF32FloatAttr(rounded))
                          : builder.getI32IntegerAttr(static_cast<int32_t>(number));
  Location loc =
      NameLoc::get(builder.getStringAttr(param.name.text), reporter.location(param.name.range));
  Value value =
      attn::ParamOp::create(builder, loc, attr.getType(), builder.getStringAttr(param.name.text),
                            attr, param.isConst ? builder.getUnitAttr() : UnitAttr());
  declare(param.name, {Symbol::Param, {}, value});
}

/// The size of a space follows from an input over it, from its declaration, or, for blocks, from
/// their members.
bool Emitter::isSized(StringRef space) {
  for (auto input : variant.getBody().getOps<attn::InputOp>()) {
    attn::AttnTensorType type = input.getResult().getType();
    if (llvm::is_contained(type.getAxes(), builder.getStringAttr(space)))
      return true;
  }
  attn::SpaceOp declared = attn::findSpace(variant, space);
  return declared && declared.getExtent() &&
         (!declared.getParent() || isSized(*declared.getParent()));
}

/// Reports the first stage over a space that nothing gives a size.
void Emitter::checkSizes() {
  variant.walk([&](Operation *op) {
    SmallVector<StringRef> spaces;
    if (auto reduce = dyn_cast<attn::ReduceOp>(op))
      spaces.push_back(reduce.getSpace());
    if (auto compute = dyn_cast<attn::ComputeOp>(op))
      for (unsigned i = 0; i < compute.getResult().getType().getRank(); ++i)
        spaces.push_back(compute.getResult().getType().getAxisName(i));
    if (auto recur = dyn_cast<attn::RecurOp>(op)) {
      spaces.push_back(recur.getTime());
      llvm::append_range(spaces, recur.getBatch().getAsValueRange<StringAttr>());
    }
    for (StringRef space : spaces)
      if (!isSized(space)) {
        isInvalid = true;
        emitError(op->getLoc()) << "no input has an axis `" << space
                                << "`, so its size is not known";
        return WalkResult::interrupt();
      }
    return WalkResult::advance();
  });
}

bool Emitter::once(llvm::StringMap<SMRange> &seen, const Statement &statement, StringRef hint) {
  StringRef word(statement.keyword.Start.getPointer(),
                 statement.keyword.End.getPointer() - statement.keyword.Start.getPointer());
  auto [it, isNew] = seen.try_emplace(word, statement.keyword);
  if (!isNew)
    error(statement.keyword, formatv("`{0}` is written twice; {1}", word, hint).str())
        .note(it->second, "first written here");
  return isNew;
}

bool Emitter::expectHere(const Statement &statement, bool isHere, StringRef place) {
  if (isHere)
    return true;
  StringRef word(statement.keyword.Start.getPointer(),
                 statement.keyword.End.getPointer() - statement.keyword.Start.getPointer());
  if (statement.kind == StatementKind::Assign)
    error(statement.keyword, formatv("`{0} = ...` belongs into {1}", word, place).str())
        .note(statement.keyword, "a tensor is declared by `let name[axes] = ...`");
  else
    error(statement.keyword, formatv("`{0}` belongs into {1}", word, place).str());
  return false;
}

void Emitter::emitStatement(const Statement &statement) {
  switch (statement.kind) {
  case StatementKind::Align:
    return emitAlign(statement);
  case StatementKind::Input:
    for (const Input &input : statement.inputs)
      emitInput(input);
    return;
  case StatementKind::Let:
    return emitLet(statement);
  case StatementKind::Def:
    if (!fileScope.count(statement.definition.name.text))
      return emitHelper(statement.definition, scope);
    error(statement.definition.name.range,
          "`" + statement.definition.name.text + "` is declared twice")
        .note(fileScope[statement.definition.name.text].range, "first declared here");
    return;
  case StatementKind::Output:
    return emitOutput(statement);
  case StatementKind::Blocks:
  case StatementKind::Slots:
    return emitSpace(statement);
  case StatementKind::Transform:
    return emitTransform(statement);
  case StatementKind::Quantize:
    return statement.word.text == "P" ? emitBranchStatement(*own, statement)
                                      : emitQuantize(statement);
  case StatementKind::Precision:
  case StatementKind::Scale:
  case StatementKind::Score:
  case StatementKind::Mask:
  case StatementKind::Sink:
  case StatementKind::Queries:
  case StatementKind::Keys:
  case StatementKind::Over:
  case StatementKind::Tile:
  case StatementKind::Skip:
    if (expectHere(statement, !isRecurrence, "an `attention` or a `branch`"))
      emitBranchStatement(*own, statement);
    return;
  case StatementKind::Branch:
    return emitBranch(statement);
  case StatementKind::Out:
    return emitOut(statement);
  case StatementKind::Recurrence:
    return emitRecurrence(statement, statement.word, statement.body, /*isTopLevel=*/false);
  case StatementKind::State:
  case StatementKind::Assign:
  case StatementKind::Every:
    expectHere(statement, false, "a `recurrence`");
    return;
  }
}

void Emitter::emitOutput(const Statement &statement) {
  const Name &name = statement.word;
  if (statement.other.range.isValid())
    reusing.push_back(&statement);
  if (statement.definition.body) {
    emitLet(statement);
    if (Symbol *symbol = lookup(name.text); symbol && symbol->value)
      outputs.emplace_back(name, symbol->value);
    return;
  }
  for (const Statement *earlier : lateOutputs)
    if (earlier->word.text == name.text) {
      error(statement.keyword, "`" + name.text + "` is one output")
          .note(earlier->keyword, "first written here");
      return;
    }
  lateOutputs.push_back(&statement);
}

/// Ends the variant: its own attention stage unless `out` says otherwise, and the outputs by name.
void Emitter::emitReturn(const Attention &attention) {
  Location loc = reporter.location(attention.name.range);
  builder.setInsertionPointToEnd(&variant.getBody().front());
  if (isPlain) {
    for (auto [name, value] :
         {std::pair("Q", &own->query), std::pair("K", &own->key), std::pair("V", &own->value)})
      if (!*value)
        *value = operandNamed(name);
    attn::AttendOp attend = emitAttend(*own, loc, /*hasWeights=*/isDumped("p"));
    if (!attend)
      return;
    ownAttend = attend;
    out = attend.getOut();
    lse = attend.getLse();
  }
  SmallVector<StringRef> names;
  SmallVector<Value> values;
  if (out) {
    names.push_back("out");
    values.push_back(out);
  }
  for (const Statement *statement : lateOutputs) {
    const Name &name = statement->word;
    Symbol *symbol = lookup(name.text);
    Value value = symbol ? symbol->value : Value();
    if (name.text == "lse" && !value)
      value = lse;
    if (!value || !isa<attn::AttnTensorType>(value.getType())) {
      auto e = error(name.range, "`" + name.text + "` is not a tensor that could be an output");
      if (name.text == "lse")
        e.note(
            name.range,
            "`out` is no attention stage here; name one, as in `output lse[b, h, q] = near.lse`");
      else
        e.note(name.range, "`out` is always an output, and `output lse` adds the log-sum-exp");
      return;
    }
    outputs.emplace_back(name, value);
  }
  for (auto &[name, value] : outputs) {
    for (auto input : variant.getBody().getOps<attn::InputOp>())
      if (input.getName() == name.text) {
        error(name.range, "`" + name.text + "` is an input of that name already")
            .note(name.range, "give the output a name of its own: `output other[b, h] = " +
                                  name.text + "`, with the axes it has");
        return;
      }
    names.push_back(name.text);
    values.push_back(value);
  }
  if (values.empty()) {
    error(attention.name.range, "`" + attention.name.text + "` has no output")
        .note(attention.name.range, "add `out` or `output`");
    return;
  }
  emitDumps(attention, names, values);
  ArrayAttr reused = reuses(names, values);
  if (!reporter.hasErrors())
    attn::ReturnOp::create(builder, loc, builder.getStrArrayAttr(names), values, reused);
}

void Emitter::emitAlign(const Statement &statement) {
  if (!once(seen, statement, "queries have one place on the key axis"))
    return;
  align = attn::symbolizeAlign(statement.word.text);
  if (align)
    return;
  auto e = error(statement.word.range,
                 "expected none, top_left or bottom_right, found `" + statement.word.text + "`");
  if (auto near = nearestName(statement.word.text, {"none", "top_left", "bottom_right"}))
    e.fix(statement.word.range, *near, "did you mean `" + *near + "`?");
  align = attn::Align::TopLeft; // one error is enough
}

attn::SampleAttr Emitter::sampleOf(const Input &input) {
  if (!input.distribution)
    return {};
  const Name &name = *input.distribution;
  auto distribution = attn::symbolizeDistribution(name.text);
  if (!distribution) {
    auto e = error(name.range, "`" + name.text + "` is not a distribution");
    if (auto near =
            nearestName(name.text, {"uniform", "normal", "sorted", "bernoulli", "geometric"}))
      e.fix(name.range, *near, "did you mean `" + *near + "`?");
    else
      e.note(name.range, "distributions are uniform, normal, sorted, bernoulli and geometric");
    return {};
  }
  size_t arity = *distribution == attn::Distribution::Bernoulli ? 1 : 2;
  if (input.sampleArgs.size() != arity) {
    error(name.range, formatv("`{0}` takes {1} argument{2}, found {3}", name.text, arity,
                              arity == 1 ? "" : "s", input.sampleArgs.size())
                          .str());
    return {};
  }
  SmallVector<Attribute> args;
  for (const SampleArg &arg : input.sampleArgs) {
    if (arg.number) {
      args.push_back(builder.getF64FloatAttr(*arg.number));
      continue;
    }
    if (!isSpace(arg.space)) {
      error(arg.range, "`" + arg.space + "` is not an index space")
          .note(arg.range, "index spaces are " + spaceNames());
      return {};
    }
    args.push_back(builder.getStringAttr(arg.space));
  }
  return attn::SampleAttr::get(builder.getContext(), *distribution, args);
}

void Emitter::emitInput(const Input &input) {
  unsigned errorsBefore = reporter.getNumErrors();
  Type element = llvm::StringSwitch<Type>(input.type.text)
                     .Case("f32", builder.getF32Type())
                     .Case("f16", builder.getF16Type())
                     .Case("bf16", builder.getBF16Type())
                     .Case("i32", builder.getI32Type())
                     .Case("bool", builder.getI1Type())
                     .Case("dtype", builder.getNoneType())
                     .Default(Type());
  if (!element) {
    auto e = error(input.type.range, "`" + input.type.text + "` is not an element type");
    StringRef fix = llvm::StringSwitch<StringRef>(input.type.text)
                        .Cases({"int", "i64", "int32", "int64"}, "i32")
                        .Cases({"float", "f64", "float32", "double"}, "f32")
                        .Cases({"i1"}, "bool")
                        .Cases({"i8", "u8", "i16", "u16", "u32", "int8", "int16"}, "i32")
                        .Default("");
    if (!fix.empty())
      e.fix(input.type.range, fix, "did you mean `" + fix + "`?");
    else
      e.note(input.type.range,
             "element types are f32, f16, bf16, i32, bool and dtype, the one of Q, K and V");
    element = builder.getF32Type();
  }
  SmallVector<Attribute> axes;
  for (const Token &axis : input.axes) {
    int64_t size = 0;
    if (axis.is(TokenKind::Integer)) {
      if (axis.text.getAsInteger(10, size) || size < 1 || size > INT32_MAX) {
        error(axis.range(), "the size of an axis is from 1 to 2147483647, found " + describe(axis));
        size = 1;
      }
      axes.push_back(builder.getI64IntegerAttr(size));
      continue;
    }
    if (!isSpace(axis.text)) {
      error(axis.range(), describe(axis) + " is not an index space")
          .note(axis.range(), "`slots " + axis.text +
                                  "` declares it, with as many indices as the "
                                  "tensor has there")
          .note(axis.range(), "index spaces are " + spaceNames() + "; a number is a fixed size");
      continue;
    }
    auto name = builder.getStringAttr(axis.text);
    if (llvm::is_contained(axes, name))
      error(axis.range(), describe(axis) + " is an axis of this input twice");
    else
      axes.push_back(name);
  }
  attn::SampleAttr sample = sampleOf(input);
  auto type = attn::AttnTensorType::get(builder.getContext(), axes, element);
  Location loc =
      NameLoc::get(builder.getStringAttr(input.name.text), reporter.location(input.name.range));
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToEnd(&variant.getBody().front());
  Value value =
      attn::InputOp::create(builder, loc, type, builder.getStringAttr(input.name.text), sample);
  Symbol symbol{Symbol::Input, input.name.range, value};
  symbol.isBroken = reporter.getNumErrors() != errorsBefore;
  // The operands may be declared too, to give them other axes.
  bool isOperand = input.name.text == "Q" || input.name.text == "K" || input.name.text == "V";
  if (!isOperand) {
    declare(input.name, symbol);
    return;
  }
  auto [it, isNew] = scope.try_emplace(input.name.text, symbol);
  if (!isNew)
    error(input.name.range, "`" + input.name.text + "` is declared after its first use, or twice")
        .note(it->second.range, "first used here");
}
