// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Declarations and statements: symbols, the regions of the attend op, and what may be said how often.
#include "Emitter.h"
#include "Parser.h"
#include "attnc/Frontend/Frontend.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Verifier.h"
#include "llvm/Support/FormatVariadic.h"

using namespace attnc;
using namespace attnc::frontend;
using namespace mlir;
using llvm::formatv;
using llvm::SMRange;
using llvm::StringRef;

OwningOpRef<ModuleOp> frontend::parseSpec(llvm::SourceMgr &sources, MLIRContext *context) {
  context->loadDialect<attn::AttnDialect, arith::ArithDialect, math::MathDialect>();
  Reporter reporter(sources, context);
  const llvm::MemoryBuffer *buffer = sources.getMemoryBuffer(sources.getMainFileID());
  OwningOpRef<ModuleOp> module =
      ModuleOp::create(FileLineColLoc::get(context, buffer->getBufferIdentifier(), 1, 1));
  SpecFile file;
  Parser parser(buffer->getBuffer(), reporter, file);
  parser.parseFile();
  Emitter emitter(reporter, file, *module);
  for (const Attention &attention : file.attentions)
    if (!attention.name.text.empty()) // else its header is broken, which is reported
      emitter.emit(attention);
  if (reporter.hasErrors() || failed(verify(*module)))
    return nullptr;
  return module;
}

Emitter::Emitter(Reporter &reporter, const SpecFile &file, ModuleOp module)
    : reporter(reporter), file(file), module(module), builder(module.getContext()) {
  for (const Definition &definition : file.definitions)
    emitHelper(definition, fileScope);
}

/// `name` cannot be declared: it is a coordinate, an operand or a function.
static bool isPredefined(StringRef name) {
  return name == "s" || name == "Q" || name == "K" || name == "V" || name == "inf" || name == "size" ||
         name == "i32" || name == "f32" || attn::isIndexSpace(name) ||
         llvm::is_contained(builtinNames(), name);
}

bool Emitter::declare(const Name &name, Symbol symbol) {
  symbol.range = name.range;
  if (isPredefined(name.text)) {
    error(name.range, "`" + name.text + "` has a meaning in the language and cannot be declared");
    return false;
  }
  auto [it, isNew] = scope.try_emplace(name.text, symbol);
  if (!isNew)
    error(name.range, "`" + name.text + "` is declared twice").note(it->second.range, "first declared here");
  return isNew;
}

void Emitter::emitHelper(const Definition &definition, llvm::StringMap<Symbol> &into) {
  const Name &name = definition.name;
  if (isPredefined(name.text)) {
    error(name.range, "`" + name.text + "` has a meaning in the language and cannot be declared");
    return;
  }
  llvm::StringMap<SMRange> params;
  for (const Name &param : definition.params)
    if (!params.try_emplace(param.text, param.range).second)
      error(param.range, "`" + param.text + "` is declared twice").note(params[param.text], "first declared here");
  Symbol symbol{Symbol::Helper, name.range, {}, &definition};
  auto [it, isNew] = into.try_emplace(name.text, symbol);
  if (!isNew)
    error(name.range, "`" + name.text + "` is declared twice").note(it->second.range, "first declared here");
}

void Emitter::emit(const Attention &attention) {
  scope.clear();
  seen.clear();
  align.reset();
  precision = attn::Precision::F32;
  hasLSE = false;
  scale = {};
  score = EmitContext();
  numOperations = 0;
  for (Region *region : {&scoreRegion, &maskRegion, &sinkRegion})
    region->getBlocks().clear();

  builder.setInsertionPointToEnd(module.getBody());
  Location loc = reporter.location(attention.name.range);
  for (auto earlier : module.getBody()->getOps<attn::VariantOp>())
    if (earlier.getSymName() == attention.name.text) {
      error(attention.name.range, "`" + attention.name.text + "` is declared twice");
      return;
    }
  variant = attn::VariantOp::create(builder, loc, attention.name.text);
  Block &body = variant.getBody().emplaceBlock();
  builder.setInsertionPointToEnd(&body);
  top = EmitContext();
  top.what = "`scale`";
  top.end = builder.saveInsertionPoint();

  auto operand = [&](StringRef name, ArrayRef<StringRef> axes) -> Value {
    SmallVector<Attribute> names;
    for (StringRef axis : axes)
      names.push_back(builder.getStringAttr(axis));
    auto type = attn::AttnTensorType::get(builder.getContext(), names, builder.getNoneType());
    return attn::InputOp::create(builder, loc, type, builder.getStringAttr(name), nullptr);
  };
  for (const Param &param : attention.params)
    emitParam(param);
  query = operand("Q", {"b", "h", "q", "d"});
  key = operand("K", {"b", "g", "kv", "d"});
  value = operand("V", {"b", "g", "kv", "e"});
  for (const Statement &statement : attention.statements)
    emitStatement(statement);
  emitAttend(attention);
}

void Emitter::emitParam(const Param &param) {
  bool isReal = param.type.text == "f32";
  if (!isReal && param.type.text != "int") {
    auto e = error(param.type.range, "`" + param.type.text + "` is not a type of a parameter");
    bool whole = param.value.is(TokenKind::Integer);
    e.fix(param.type.range, whole ? "int" : "f32", "parameters are int or f32");
    return;
  }
  double number = 0;
  param.value.text.getAsDouble(number);
  if (param.negative)
    number = -number;
  TypedAttr attr = builder.getF32FloatAttr(static_cast<float>(number));
  if (!isReal) {
    if (!param.value.is(TokenKind::Integer) || number < -2147483648.0 || number > 2147483647.0) {
      error(param.value.range(), "expected a whole number of 32 bits as the default of an int, found " +
                                     describe(param.value))
          .note(param.type.range, "declared `int` here");
      return;
    }
    attr = builder.getI32IntegerAttr(static_cast<int32_t>(number));
  }
  Location loc = NameLoc::get(builder.getStringAttr(param.name.text), reporter.location(param.name.range));
  Value value = attn::ParamOp::create(builder, loc, attr.getType(), builder.getStringAttr(param.name.text), attr,
                                      param.isConst ? builder.getUnitAttr() : UnitAttr());
  declare(param.name, {Symbol::Param, {}, value});
}

bool Emitter::once(const Statement &statement, StringRef hint) {
  StringRef word(statement.keyword.Start.getPointer(),
                 statement.keyword.End.getPointer() - statement.keyword.Start.getPointer());
  auto [it, isNew] = seen.try_emplace(word, statement.keyword);
  if (!isNew)
    error(statement.keyword, formatv("`{0}` is written twice; {1}", word, hint).str())
        .note(it->second, "first written here");
  return isNew;
}

void Emitter::emitStatement(const Statement &statement) {
  switch (statement.kind) {
  case StatementKind::Align:
    return emitAlign(statement);
  case StatementKind::Precision:
    return emitPrecision(statement);
  case StatementKind::Input:
    for (const Input &input : statement.inputs)
      emitInput(input);
    return;
  case StatementKind::Let:
    return emitLet(statement);
  case StatementKind::Def:
    if (!fileScope.count(statement.definition.name.text))
      return emitHelper(statement.definition, scope);
    error(statement.definition.name.range, "`" + statement.definition.name.text + "` is declared twice")
        .note(fileScope[statement.definition.name.text].range, "first declared here");
    return;
  case StatementKind::Scale: {
    if (!once(statement, "the last one would win"))
      return;
    Value v = require(emitIn(top, statement.expr), builder.getF32Type(), statement.expr, "scale");
    scale = v;
    return;
  }
  case StatementKind::Score:
    return emitScore(statement);
  case StatementKind::Mask: {
    if (!once(statement, "join the conditions with `and` or `or`"))
      return;
    EmitContext mask;
    openRegion(maskRegion, mask, "a mask", {"b", "h", "q", "kv"}, statement.keyword);
    Value v = require(emitIn(mask, statement.expr), builder.getI1Type(), statement.expr, "mask");
    return closeRegion(mask, v, statement.keyword);
  }
  case StatementKind::Sink: {
    if (!once(statement, "one logit joins the denominator"))
      return;
    EmitContext sink;
    openRegion(sinkRegion, sink, "a sink", {"b", "h", "q"}, statement.keyword);
    Value v = require(emitIn(sink, statement.expr), builder.getF32Type(), statement.expr, "sink");
    return closeRegion(sink, v, statement.keyword);
  }
  case StatementKind::Output:
    if (statement.word.text == "lse") {
      if (once(statement, "`lse` is one output"))
        hasLSE = true;
      return;
    }
    error(statement.word.range, "only `output lse` is supported yet, found `" + statement.word.text + "`")
        .note(statement.word.range, "`out` is always an output");
    return;
  }
}

void Emitter::emitAlign(const Statement &statement) {
  if (!once(statement, "queries have one place on the key axis"))
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

void Emitter::emitPrecision(const Statement &statement) {
  if (!once(statement, "the products have one precision"))
    return;
  auto parsed = attn::symbolizePrecision(statement.word.text);
  if (!parsed)
    error(statement.word.range, "expected f32 or tf32, found `" + statement.word.text + "`")
        .note(statement.word.range, "16-bit products follow from the dtype of Q, K and V");
  precision = parsed.value_or(attn::Precision::F32);
}

attn::SampleAttr Emitter::sampleOf(const Input &input) {
  if (!input.distribution)
    return {};
  const Name &name = *input.distribution;
  auto distribution = attn::symbolizeDistribution(name.text);
  if (!distribution) {
    auto e = error(name.range, "`" + name.text + "` is not a distribution");
    if (auto near = nearestName(name.text, {"uniform", "normal", "sorted", "bernoulli", "geometric"}))
      e.fix(name.range, *near, "did you mean `" + *near + "`?");
    else
      e.note(name.range, "distributions are uniform, normal, sorted, bernoulli and geometric");
    return {};
  }
  size_t arity = *distribution == attn::Distribution::Bernoulli ? 1 : 2;
  if (input.sampleArgs.size() != arity) {
    error(name.range, formatv("`{0}` takes {1} argument{2}, found {3}", name.text, arity, arity == 1 ? "" : "s",
                              input.sampleArgs.size())
                          .str());
    return {};
  }
  SmallVector<Attribute> args;
  for (const SampleArg &arg : input.sampleArgs) {
    if (arg.number) {
      args.push_back(builder.getF64FloatAttr(*arg.number));
      continue;
    }
    if (!attn::isIndexSpace(arg.space)) {
      error(arg.range, "`" + arg.space + "` is not an index space")
          .note(arg.range, "index spaces are b, h, g, q, kv, d and e");
      return {};
    }
    args.push_back(builder.getStringAttr(arg.space));
  }
  return attn::SampleAttr::get(builder.getContext(), *distribution, args);
}

void Emitter::emitInput(const Input &input) {
  Type element = llvm::StringSwitch<Type>(input.type.text)
                     .Case("f32", builder.getF32Type())
                     .Case("f16", builder.getF16Type())
                     .Case("bf16", builder.getBF16Type())
                     .Case("i32", builder.getI32Type())
                     .Case("bool", builder.getI1Type())
                     .Default(Type());
  if (!element) {
    auto e = error(input.type.range, "`" + input.type.text + "` is not an element type");
    StringRef fix = llvm::StringSwitch<StringRef>(input.type.text)
                        .Cases({"int", "i64", "int32", "int64"}, "i32")
                        .Cases({"float", "f64", "float32", "double"}, "f32")
                        .Cases({"i1", "i8", "u8"}, "bool")
                        .Default("");
    if (!fix.empty())
      e.fix(input.type.range, fix, "did you mean `" + fix + "`?");
    else
      e.note(input.type.range, "element types are f32, f16, bf16, i32 and bool");
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
    if (!attn::isIndexSpace(axis.text)) {
      error(axis.range(), describe(axis) + " is not an index space")
          .note(axis.range(), "index spaces are b, h, g, q, kv, d and e; a number is a fixed size");
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
  Location loc = NameLoc::get(builder.getStringAttr(input.name.text), reporter.location(input.name.range));
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToEnd(&variant.getBody().front());
  Value value = attn::InputOp::create(builder, loc, type, builder.getStringAttr(input.name.text), sample);
  declare(input.name, {Symbol::Input, {}, value});
}

/// Adds to `region` a block whose arguments are the coordinates. The region becomes part of the module later.
void Emitter::openRegion(Region &region, EmitContext &into, StringRef what, ArrayRef<StringRef> coordinates,
                         SMRange range) {
  Block &block = region.emplaceBlock();
  into.what = what;
  for (StringRef name : coordinates) {
    Type type = name == "s" ? Type(builder.getF32Type()) : Type(builder.getI32Type());
    Value arg = block.addArgument(type, NameLoc::get(builder.getStringAttr(name), reporter.location(range)));
    (name == "s" ? into.s : name == "b" ? into.b : name == "h" ? into.h : name == "q" ? into.q : into.kv) = arg;
  }
  into.end = OpBuilder::InsertPoint(&block, block.end());
}

void Emitter::closeRegion(EmitContext &from, Value value, SMRange range) {
  if (!value)
    return;
  OpBuilder::InsertionGuard guard(builder);
  builder.restoreInsertionPoint(from.end);
  attn::YieldOp::create(builder, reporter.location(range), value);
}

void Emitter::emitLet(const Statement &statement) {
  const Definition &definition = statement.definition;
  Symbol symbol{Symbol::Let, {}, {}, &definition};
  EmitContext scratch;
  Region region;
  openRegion(region, scratch, "a `let`", {"b", "h", "q", "kv"}, statement.keyword);
  symbol.isBroken = !emitIn(scratch, definition.body);
  declare(definition.name, symbol);
}

void Emitter::emitScore(const Statement &statement) {
  if (scoreRegion.empty())
    openRegion(scoreRegion, score, "a score", {"s", "b", "h", "q", "kv"}, statement.keyword);
  Value v = require(emitIn(score, statement.expr), builder.getF32Type(), statement.expr, "score");
  if (v)
    score.s = v;
  lastScore = statement.keyword;
}

void Emitter::emitAttend(const Attention &attention) {
  if (!scoreRegion.empty())
    closeRegion(score, score.s, lastScore);
  if (reporter.hasErrors())
    return;
  builder.setInsertionPointToEnd(&variant.getBody().front());
  Location loc = reporter.location(attention.name.range);
  auto named = [&](ArrayRef<StringRef> axes, Type element) {
    SmallVector<Attribute> names;
    for (StringRef axis : axes)
      names.push_back(builder.getStringAttr(axis));
    return attn::AttnTensorType::get(builder.getContext(), names, element);
  };
  auto outType = named({"b", "h", "q", "e"}, builder.getNoneType());
  auto lseType = named({"b", "h", "q"}, builder.getF32Type());
  auto attend = attn::AttendOp::create(builder, loc, outType, lseType, query, key, value, scale, precision);
  attend.getScore().takeBody(scoreRegion);
  attend.getMask().takeBody(maskRegion);
  attend.getSink().takeBody(sinkRegion);
  SmallVector<StringRef> names{"out"};
  SmallVector<Value> values{attend.getOut()};
  if (hasLSE) {
    names.push_back("lse");
    values.push_back(attend.getLse());
  }
  attn::ReturnOp::create(builder, loc, builder.getStrArrayAttr(names), values);
}
