// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Attention stages: the regions of attend, branches and their merges, and what becomes the output.
#include "Emitter.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/Support/FormatVariadic.h"

using namespace attnc;
using namespace attnc::frontend;
using namespace mlir;
using llvm::formatv;
using llvm::SMRange;
using llvm::StringRef;

/// Adds to `region` a block whose arguments are words (reals) and indices. The region becomes part
/// of the module later. Within a recurrence the indices of the step are known too.
void Emitter::openRegion(Region &region, EmitContext &into, StringRef what,
                         ArrayRef<StringRef> words, ArrayRef<StringRef> spaces, SMRange range) {
  Block &block = region.emplaceBlock();
  into.what = what.str();
  if (inRecurrence)
    for (auto &entry : stepCoordinates)
      into.coordinates[entry.getKey()] = entry.second;
  auto add = [&](StringRef name, Type type) {
    return block.addArgument(type,
                             NameLoc::get(builder.getStringAttr(name), reporter.location(range)));
  };
  for (StringRef word : words)
    into.words[word] = add(word, builder.getF32Type());
  for (StringRef space : spaces)
    into.coordinates[space] = add(space, builder.getI32Type());
  into.end = OpBuilder::InsertPoint(&block, block.end());
}

void Emitter::closeRegion(EmitContext &from, Value value, SMRange range) {
  if (!value)
    return;
  OpBuilder::InsertionGuard guard(builder);
  builder.restoreInsertionPoint(from.end);
  attn::YieldOp::create(builder, reporter.location(range), value);
}

/// Opens a region over the rows of the branch's queries and, with `hasKey`, its keys.
void Emitter::openBranchRegion(BranchState &branch, Region &region, EmitContext &into,
                               StringRef what, bool hasScore, bool hasKey, SMRange range) {
  for (auto [name, value] :
       {std::pair("Q", &branch.query), std::pair("K", &branch.key), std::pair("V", &branch.value)})
    if (!*value)
      *value = operandNamed(name);
  auto queryType = cast<attn::AttnTensorType>(branch.query.getType());
  auto keyType = cast<attn::AttnTensorType>(branch.key.getType());
  SmallVector<StringRef> spaces, words;
  for (unsigned i = 0; i + 1 < queryType.getRank(); ++i)
    spaces.push_back(queryType.getAxisName(i));
  if (hasKey && keyType.getRank() >= 2)
    spaces.push_back(keyType.getAxisName(keyType.getRank() - 2));
  if (hasScore)
    words.push_back("s");
  openRegion(region, into, what, words, spaces, range);
}

void Emitter::emitBranchStatement(BranchState &branch, const Statement &statement) {
  if (!branch.firstStatement.isValid())
    branch.firstStatement = statement.keyword;
  switch (statement.kind) {
  case StatementKind::Precision: {
    if (!once(branch.seen, statement, "the products have one precision"))
      return;
    auto parsed = attn::symbolizePrecision(statement.word.text);
    if (!parsed)
      error(statement.word.range, "expected f32 or tf32, found `" + statement.word.text + "`")
          .note(statement.word.range, "16-bit products follow from the dtype of Q, K and V");
    branch.precision = parsed.value_or(attn::Precision::F32);
    return;
  }
  case StatementKind::Scale: {
    if (!once(branch.seen, statement, "the last one would win"))
      return;
    Block *body = &variant.getBody().front();
    top.end = OpBuilder::InsertPoint(body, body->end());
    top.what = "`scale`";
    top.lets.clear();
    branch.scale =
        require(emitIn(top, statement.expr), builder.getF32Type(), statement.expr, "scale");
    return;
  }
  case StatementKind::Score:
    return emitScore(branch, statement);
  case StatementKind::Mask: {
    if (!once(branch.seen, statement, "join the conditions with `and` or `or`"))
      return;
    EmitContext mask;
    openBranchRegion(branch, branch.maskRegion, mask, "a mask", /*hasScore=*/false, /*hasKey=*/true,
                     statement.keyword);
    Value v = require(emitIn(mask, statement.expr), builder.getI1Type(), statement.expr, "mask");
    return closeRegion(mask, v, statement.keyword);
  }
  case StatementKind::Sink: {
    if (!once(branch.seen, statement, "one logit joins the denominator"))
      return;
    EmitContext sink;
    openBranchRegion(branch, branch.sinkRegion, sink, "a sink", /*hasScore=*/false,
                     /*hasKey=*/false, statement.keyword);
    Value v = require(emitIn(sink, statement.expr), builder.getF32Type(), statement.expr, "sink");
    return closeRegion(sink, v, statement.keyword);
  }
  case StatementKind::Skip:
    if (once(branch.seen, statement, "join the conditions with `or`"))
      emitSkip(branch, statement);
    return;
  case StatementKind::Tile:
    if (!once(branch.seen, statement, "the keys are taken in tiles of one size"))
      return;
    branch.tile = emitCount(statement.expr, "tile");
    return;
  case StatementKind::Queries:
  case StatementKind::Keys:
    if (once(branch.seen, statement, "a branch has one of them"))
      emitBranchOperands(branch, statement);
    return;
  case StatementKind::Over:
    if (once(branch.seen, statement, "join the sets with `and` or `or` in a `let`"))
      emitSet(branch, statement);
    return;
  case StatementKind::Quantize:
    return emitWeights(branch, statement);
  default:
    expectHere(statement, false, "the attention around the branch");
    return;
  }
}

/// `skip X [per blocks]`: when a tile of keys is left out.
void Emitter::emitSkip(BranchState &branch, const Statement &statement) {
  EmitContext skip;
  openRegion(branch.skipRegion, skip, "`skip`", {"tile_max", "running_max"}, {}, statement.keyword);
  Value v = require(emitIn(skip, statement.expr), builder.getI1Type(), statement.expr, "skip");
  closeRegion(skip, v, statement.keyword);
  if (statement.word.text.empty())
    return;
  attn::SpaceOp blocks = attn::findSpace(variant, statement.word.text);
  auto query =
      cast<attn::AttnTensorType>((branch.query ? branch.query : operandNamed("Q")).getType());
  StringRef rows = query.getRank() < 2 ? StringRef() : query.getAxisName(query.getRank() - 2);
  if (!blocks || blocks.getParent() != rows || blocks.getStride())
    error(statement.word.range,
          formatv("`skip` works on blocks of `{0}` that do not overlap, found `{1}`", rows,
                  statement.word.text)
              .str())
        .note(statement.word.range,
              formatv("declare `blocks {0} of {1} by n`", statement.word.text, rows).str());
  else
    branch.skipRows = statement.word.text;
}

/// `queries A` or `keys A, B`.
void Emitter::emitBranchOperands(BranchState &branch, const Statement &statement) {
  bool isQueries = statement.kind == StatementKind::Queries;
  if (!branch.scoreRegion.empty() || !branch.maskRegion.empty() || !branch.sinkRegion.empty()) {
    error(statement.keyword,
          formatv("`{0}` stands before score, mask and sink, which are over its axes",
                  isQueries ? "queries" : "keys")
              .str());
    return;
  }
  Value first = tensorNamed(statement.names[0]);
  (isQueries ? branch.query : branch.key) = first;
  if (!isQueries)
    branch.value = tensorNamed(statement.names[1]);
}

/// `over name`: the keys of a set.
void Emitter::emitSet(BranchState &branch, const Statement &statement) {
  const Name &name = statement.word;
  branch.set = tensorNamed(name);
  if (!branch.set)
    return;
  auto type = cast<attn::AttnTensorType>(branch.set.getType());
  auto key = cast<attn::AttnTensorType>((branch.key ? branch.key : operandNamed("K")).getType());
  StringRef keys = key.getRank() < 2 ? StringRef() : key.getAxisName(key.getRank() - 2);
  StringRef last = type.getRank() ? type.getAxisName(type.getRank() - 1) : StringRef();
  if (!type.getElementType().isInteger(1))
    error(name.range,
          "`over` takes a set, which is a tensor of conditions; `" + name.text + "` is not one")
        .note(name.range, "compare, or use `top` or `cover`, as in `let keep[...] = top(" +
                              name.text + " over p, n)`");
  else if (!attn::isBlockOf(variant, last, keys))
    error(
        name.range,
        formatv(
            "the last axis of a set is the space of keys (`{0}` here) or blocks of it, found `{1}`",
            keys, last)
            .str());
  else
    return;
  branch.set = {};
}

Value Emitter::emitCount(const Expr *expr, StringRef what) {
  if (expr->kind == ExprKind::Integer && expr->integer < 1) {
    error(expr->range,
          formatv("`{0}` needs at least one key, found {1}", what, expr->integer).str());
    return {};
  }
  Block *body = &variant.getBody().front();
  top.end = OpBuilder::InsertPoint(body, body->end());
  top.what = ("`" + what + "`").str();
  top.lets.clear();
  return require(emitIn(top, expr), builder.getI32Type(), expr, what);
}

/// `quantize P as format [static x] [group n]`: the weights, tile by tile.
void Emitter::emitWeights(BranchState &branch, const Statement &statement) {
  if (statement.word.text != "P") {
    error(statement.word.range, "a branch quantizes its weights `P` only")
        .note(statement.word.range, "quantize tensors before the branch");
    return;
  }
  if (!once(branch.seen, statement, "the weights are rounded once"))
    return;
  branch.weightFormat = attn::symbolizeFormat(statement.other.text);
  if (!branch.weightFormat)
    error(statement.other.range, "`" + statement.other.text + "` is not a format")
        .note(statement.other.range,
              "formats are int8, int4, f8E4M3, f8E5M2, f4E2M1, f16, bf16 and f32");
  for (const Option &option : statement.options) {
    bool isStatic = option.word.text == "static", isGroup = option.word.text == "group";
    const Expr *value = option.value;
    bool isNumber = value && (value->kind == ExprKind::Integer || value->kind == ExprKind::Real);
    if ((!isStatic && !isGroup) || (isStatic && !isNumber)) {
      error(option.word.range, "the weights take `static` with a number that is written out, or "
                               "`group` with a number of keys");
      return;
    }
    if (isGroup && branch.weightFormat >= attn::Format::F16) {
      error(option.word.range,
            "`" + statement.other.text + "` has no scale, so a group of weights shares none");
      return;
    }
    if (isStatic)
      branch.weightScale =
          value->kind == ExprKind::Integer ? static_cast<double>(value->integer) : value->real;
    else
      branch.weightGroup = emitCount(value, "group");
  }
  if (branch.weightFormat && branch.weightScale && !branch.weightGroup &&
      *branch.weightScale > attn::largestNumber(*branch.weightFormat))
    error(statement.word.range,
          formatv("weights reach 1, so `static {0}` goes beyond the largest number of {1}, {2}",
                  shortest(*branch.weightScale), statement.other.text,
                  shortest(attn::largestNumber(*branch.weightFormat)))
              .str());
}

void Emitter::emitScore(BranchState &branch, const Statement &statement) {
  EmitContext &score = branch.score;
  if (branch.scoreRegion.empty())
    openBranchRegion(branch, branch.scoreRegion, score, "a score", /*hasScore=*/true,
                     /*hasKey=*/true, statement.keyword);
  Value v = require(emitIn(score, statement.expr), builder.getF32Type(), statement.expr, "score");
  if (v)
    score.words["s"] = v;
  // The next statement sees the new score: what was emitted with the old one does not hold.
  score.lets.clear();
  branch.lastScore = statement.keyword;
}

/// That queries, keys and values fit together, in the words of the spec.
bool Emitter::checkOperands(const BranchState &branch) {
  for (Value operand : {branch.query, branch.key, branch.value})
    for (auto &entry : scope)
      if (entry.second.value == operand && entry.second.isBroken)
        return false; // its declaration was reported
  struct Operand {
    std::string name;
    SMRange range;
    attn::AttnTensorType type;
    std::string axes; ///< `[b, g, kv, d]`
    std::string axis(unsigned fromEnd) const {
      StringRef space = type.getAxisName(type.getRank() - fromEnd);
      return space.empty() ? std::to_string(type.getAxisSize(type.getRank() - fromEnd))
                           : space.str();
    }
  };
  auto describe = [&](StringRef name, Value value) {
    Operand operand{name.str(), {}, cast<attn::AttnTensorType>(value.getType()), "["};
    for (auto &entry : scope)
      if (entry.second.value == value && entry.second.range.isValid()) {
        operand.name = entry.getKey().str();
        operand.range = entry.second.range;
      }
    if (!operand.range.isValid())
      operand.range = branch.firstStatement.isValid() ? branch.firstStatement : attentionRange;
    for (unsigned i = operand.type.getRank(); i > 0; --i)
      operand.axes += (operand.axes.size() > 1 ? ", " : "") + operand.axis(i);
    operand.axes += "]";
    return operand;
  };
  const Operand query = describe("Q", branch.query), key = describe("K", branch.key),
                value = describe("V", branch.value);
  for (const Operand *operand : {&query, &key, &value}) {
    unsigned rank = operand->type.getRank();
    if (rank < 2 || operand->type.getAxisName(rank - 2).empty()) {
      error(branch.firstStatement.isValid() ? branch.firstStatement : operand->range,
            "queries, keys and values end with an axis of rows and a dimension");
      return false;
    }
    if (isa<IntegerType>(operand->type.getElementType())) {
      error(operand->range, formatv("`{0}` takes part in products and must be real, found {1}",
                                    operand->name, nameOf(operand->type.getElementType()))
                                .str());
      return false;
    }
  }
  if (key.axis(2) != value.axis(2)) {
    error(key.range, formatv("`{0}` over {1} has its keys over `{2}`, `{3}` over {4} over `{5}`",
                             key.name, key.axes, key.axis(2), value.name, value.axes, value.axis(2))
                         .str())
        .note(key.range, "keys are [..., keys, d] and values [..., keys, e]");
    return false;
  }
  if (key.axis(1) != query.axis(1)) {
    error(key.range, formatv("`{0}` ends with the dimension `{1}`, `{2}` with `{3}`", key.name,
                             key.axis(1), query.name, query.axis(1))
                         .str())
        .note(key.range, "a score is a sum over the dimension that both have");
    return false;
  }
  for (unsigned i = 0; i < query.type.getRank(); ++i)
    if (query.type.getAxisName(i) == key.axis(2)) {
      error(key.range, formatv("`{0}` has its keys over `{1}`, which is an axis of `{2}` over {3}",
                               key.name, key.axis(2), query.name, query.axes)
                           .str());
      return false;
    }
  return true;
}

attn::AttendOp Emitter::emitAttend(BranchState &branch, Location loc, bool hasWeights) {
  if (!branch.scoreRegion.empty())
    closeRegion(branch.score, branch.score.words["s"], branch.lastScore);
  for (auto [name, value] :
       {std::pair("Q", &branch.query), std::pair("K", &branch.key), std::pair("V", &branch.value)})
    if (!*value)
      *value = operandNamed(name);
  if (reporter.hasErrors())
    return {};
  if ((!branch.skipRegion.empty() || branch.weightFormat) && !branch.tile) {
    error(branch.firstStatement, "`skip` and quantized weights depend on how keys are grouped")
        .note(branch.firstStatement,
              "add `tile 64`, say: the keys are taken in ascending tiles of that many");
    return {};
  }
  auto query = cast<attn::AttnTensorType>(branch.query.getType()),
       key = cast<attn::AttnTensorType>(branch.key.getType());
  auto value = cast<attn::AttnTensorType>(branch.value.getType());
  if (!checkOperands(branch))
    return {};
  SmallVector<Attribute> rows(query.getAxes().drop_back()), outAxes(rows), weightAxes(rows);
  outAxes.push_back(value.getAxes().back());
  weightAxes.push_back(key.getAxes()[key.getRank() - 2]);
  MLIRContext *ctx = builder.getContext();
  Type real = builder.getF32Type();
  Type outElement = query.hasOperandElementType() || key.hasOperandElementType()
                        ? Type(builder.getNoneType())
                        : real;
  builder.setInsertionPointToEnd(stages);
  auto attend = attn::AttendOp::create(
      builder, loc, attn::AttnTensorType::get(ctx, outAxes, outElement),
      attn::AttnTensorType::get(ctx, rows, real),
      hasWeights ? Type(attn::AttnTensorType::get(ctx, weightAxes, real)) : Type(),
      /*largest=*/Type(), branch.query, branch.key, branch.value, branch.scale, branch.set,
      branch.tile, branch.weightGroup, /*visits=*/Value(),
      attn::PrecisionAttr::get(ctx, branch.precision.value_or(attn::Precision::F32)),
      branch.skipRows.empty() ? StringAttr() : builder.getStringAttr(branch.skipRows),
      branch.weightFormat ? attn::FormatAttr::get(ctx, *branch.weightFormat) : attn::FormatAttr(),
      branch.weightScale ? builder.getF64FloatAttr(*branch.weightScale) : FloatAttr(),
      attn::PartsAttr(), /*visit_keys=*/IntegerAttr());
  attend.getScore().takeBody(branch.scoreRegion);
  attend.getMask().takeBody(branch.maskRegion);
  attend.getSink().takeBody(branch.sinkRegion);
  attend.getSkip().takeBody(branch.skipRegion);
  return attend;
}

/// True if the name occurs in a statement.
static bool mentions(const std::vector<Statement> &statements, StringRef name) {
  auto isIt = [&](StringRef other) { return other == name; };
  return llvm::any_of(statements, [&](const Statement &s) {
    return anyName(s.expr, isIt) || anyName(s.stride, isIt) || anyName(s.definition.body, isIt) ||
           mentions(s.body, name) ||
           llvm::any_of(s.names, [&](const Name &other) { return other.text == name; });
  });
}

void Emitter::emitBranch(const Statement &statement) {
  const Name &name = statement.word;
  std::string prefix = (name.text + ".").str();
  if (scope.count(prefix + "out") || lookup(name.text)) {
    error(name.range, "`" + name.text + "` is declared twice");
    return;
  }
  branches.push_back(name);
  auto bind = [&](StringRef result, Value value) {
    Symbol symbol{Symbol::Tensor, name.range, value};
    symbol.isBroken = !value;
    scope[prefix + result.str()] = symbol;
  };
  if (const Expr *merge = statement.expr) {
    if (merge->kind != ExprKind::Call || merge->text != "merge" || !merge->member.text.empty()) {
      error(merge->range, "a branch is `{ ... }` or a `merge(...)` of other branches");
      return;
    }
    auto [mergedOut, mergedLse] = emitMerge(merge);
    bind("out", mergedOut);
    bind("lse", mergedLse);
    return;
  }
  BranchState branch;
  for (const Statement &inner : statement.body)
    emitBranchStatement(branch, inner);
  branch.firstStatement = name.range;
  // The weights of all keys are a tensor only if something of this attention reads them.
  bool hasWeights = mentions(*statements, prefix + "p") || isDumped(prefix + "p");
  attn::AttendOp attend = emitAttend(branch, reporter.location(name.range), hasWeights);
  bind("out", attend ? Value(attend.getOut()) : Value());
  bind("lse", attend ? Value(attend.getLse()) : Value());
  if (hasWeights)
    bind("p", attend ? Value(attend.getWeights()) : Value());
}

/// `merge(a, b, ...)` of branches.
std::pair<Value, Value> Emitter::emitMerge(const Expr *expr) {
  SmallVector<Value> outs, lses;
  for (const Expr *branch : expr->operands) {
    auto part = [&](StringRef result) { return scope.find((branch->text + "." + result).str()); };
    if (branch->kind != ExprKind::Name || part("out") == scope.end() ||
        part("lse") == scope.end()) {
      error(branch->range, "`merge` takes branches")
          .note(branch->range, "declare one by `branch name { ... }`");
      return {};
    }
    if (part("out")->second.isBroken)
      return {};
    usedBranches[branch->text] = true;
    outs.push_back(part("out")->second.value);
    lses.push_back(part("lse")->second.value);
    auto axes = [](Value v) { return cast<attn::AttnTensorType>(v.getType()).getAxes(); };
    if (axes(outs.back()) != axes(outs.front())) {
      error(branch->range, "`merge` takes branches over the same axes");
      return {};
    }
  }
  if (outs.size() < 2) {
    error(expr->range, "`merge` takes at least two branches");
    return {};
  }
  // A stage of the variant, also for a step that reads it.
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToEnd(&variant.getBody().front());
  auto op = attn::MergeOp::create(builder, locationOf(expr), outs[0].getType(), lses[0].getType(),
                                  outs, lses);
  return {op.getOut(), op.getLse()};
}

void Emitter::emitOut(const Statement &statement) {
  if (!once(seen, statement, "there is one output of that name"))
    return;
  if (own->firstStatement.isValid()) {
    error(own->firstStatement, "with `out`, attention stages are branches")
        .note(statement.keyword,
              "`out` is written here; move the statement into `branch name { ... }`");
    return;
  }
  const Expr *expr = statement.expr;
  if (expr->kind == ExprKind::Call && expr->text == "merge" && expr->member.text.empty() &&
      !lookup("merge")) {
    std::tie(out, lse) = emitMerge(expr);
    return;
  }
  out = emitTensor(expr, {"b", "h", "q", "e"}, builder.getF32Type(), "out", builder.getNoneType());
}
