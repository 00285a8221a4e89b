// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Reads of tensors at the current indices, and reductions. A tensor's name stands for its element
// at the current index of each of its axes; an index that is written replaces that of one axis.
#include "Emitter.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FormatVariadic.h"

using namespace attnc;
using namespace attnc::frontend;
using namespace mlir;
using llvm::formatv;
using llvm::SMRange;
using llvm::StringRef;

static std::string axesOf(attn::AttnTensorType type, StringRef forSize) {
  std::string axes;
  for (unsigned i = 0; i < type.getRank(); ++i) {
    StringRef name = type.getAxisName(i);
    axes += (i ? ", " : "") + (!name.empty()     ? name.str()
                               : forSize.empty() ? std::to_string(type.getAxisSize(i))
                                                 : forSize.str());
  }
  return axes;
}

Value Emitter::indexOf(StringRef space, Location loc) {
  if (auto it = context->coordinates.find(space); it != context->coordinates.end())
    return it->second;
  if (auto it = context->derived.find(space); it != context->derived.end())
    return it->second;
  StringRef parent = attn::blockParent(variant, space);
  if (parent.empty())
    return {};
  attn::SpaceOp declared = attn::findSpace(variant, space);
  if (declared && declared.getStride())
    return {}; // blocks that overlap: a member is in several
  Value member = indexOf(parent, loc);
  if (!member)
    return {};
  Value extent;
  if (declared) {
    extent = declared.getExtent();
  } else {
    Value heads = attn::SizeOp::create(builder, loc, builder.getI32Type(), "h");
    Value groups = attn::SizeOp::create(builder, loc, builder.getI32Type(), "g");
    extent = arith::FloorDivSIOp::create(builder, loc, heads, groups);
  }
  Value index = arith::FloorDivSIOp::create(builder, loc, member, extent);
  context->derived[space] = index;
  return index;
}

/// True if `name` is an argument of the helper that is being inlined and stands for a tensor, which
/// is then `tensor`.
bool Emitter::tensorArgument(StringRef name, StringRef &tensor) {
  tensor = name;
  for (const Frame &frame : llvm::reverse(frames)) {
    auto it = frame.args.find(tensor);
    if (it == frame.args.end() || it->second.expr->kind != ExprKind::Name)
      return it == frame.args.end() && tensor != name;
    tensor = it->second.expr->text;
  }
  return tensor != name;
}

Value Emitter::emitIndex(const Expr *expr) {
  StringRef name = expr->text;
  if (isFormulaArgument(name))
    return emitElsewhere(expr, [&] { return emitArgument(frames.back().args[name]); });
  StringRef tensor;
  if (!frames.empty() && tensorArgument(name, tensor))
    name = tensor;
  if (name == "Q" || name == "K" || name == "V")
    operandNamed(name);
  Symbol *symbol = lookup(name);
  if (!symbol || (symbol->kind != Symbol::Input && symbol->kind != Symbol::Tensor)) {
    if (symbol)
      error(expr->anchor, "`" + name + "` is not a tensor and takes no index")
          .note(symbol->range, "declared here");
    else
      reportUnknownName(expr, /*isFunction=*/false);
    return {};
  }
  if (symbol->isState && context->isScratch) {
    error(expr->range,
          "a `let` without axes cannot read the state `" + name + "`, which changes within a step")
        .note(symbol->range,
              "declared here; a tensor of the step has axes, as in `let x[e] = ...`");
    return {};
  }
  return symbol->isBroken ? Value() : emitRead(expr, name, symbol->value, symbol->range);
}

/// Reads `tensor` with the indices of `expr`; axes without one are read at the current index.
Value Emitter::emitRead(const Expr *expr, StringRef name, Value tensor, SMRange declared) {
  auto type = cast<attn::AttnTensorType>(tensor.getType());
  bool isIndexed = expr->kind == ExprKind::Index || expr->kind == ExprKind::At;
  ArrayRef<Expr *> written = isIndexed ? expr->indices() : ArrayRef<Expr *>();
  ArrayRef<Name> axes = isIndexed ? expr->axes() : ArrayRef<Name>();
  bool isNamed = !axes.empty() && !axes.front().text.empty();
  auto note = [&](Reporter::Error e) {
    if (declared.isValid())
      e.note(declared, "declared over [" + axesOf(type, "") + "] here");
  };
  if (isIndexed && !isNamed && type.getRank() != written.size()) {
    note(error(expr->range, formatv("`{0}` has {1} ax{2}s, found {3} ind{4}", name, type.getRank(),
                                    type.getRank() == 1 ? "i" : "e", written.size(),
                                    written.size() == 1 ? "ex" : "ices")
                                .str()));
    return {};
  }
  SmallVector<const Expr *> given(type.getRank(), nullptr);
  for (size_t i = 0; i < written.size(); ++i) {
    const Name &axis = axes[i];
    if (axis.text.empty() != !isNamed) {
      error(written[i]->range, "indices are written for all axes in order, or each with its axis")
          .note(expr->range, "as in `X[b, h, i]` or `X[q = i]`");
      return {};
    }
    size_t at = i;
    if (isNamed) {
      for (at = 0; at < type.getRank() && type.getAxisName(at) != axis.text; ++at)
        ;
      if (at == type.getRank() || given[at]) {
        note(error(axis.range, formatv(at == type.getRank() ? "`{0}` has no axis `{1}`"
                                                            : "`{0}` has one axis `{1}`",
                                       name, axis.text)
                                   .str()));
        return {};
      }
    }
    given[at] = written[i];
  }
  Location loc = locationOf(expr);
  SmallVector<Value> indices;
  SmallVector<std::pair<Value, Value>> bounded; // indices that are written, and sizes
  for (unsigned i = 0; i < type.getRank(); ++i) {
    StringRef axis = type.getAxisName(i);
    Value index;
    if (given[i]) {
      index = emitIndexValue(given[i], axis);
      if (!index)
        return {};
      if (expr->hasFill)
        bounded.emplace_back(
            index, axis.empty() ? constant(loc, static_cast<int32_t>(type.getAxisSize(i)))
                                : attn::SizeOp::create(builder, loc, builder.getI32Type(), axis));
    } else if (!axis.empty()) {
      index = indexOf(axis, loc);
    }
    if (!index) {
      std::string example = (name + "[" + axesOf(type, "0") + "]").str();
      if (axis.empty())
        error(expr->range, "`" + name + "` is a tensor and needs an index")
            .fix(expr->range, example, "for example `" + example + "`");
      else
        error(expr->range, formatv("`{0}` is a tensor, and its axis `{1}` has no value in {2}",
                                   name, axis, context->what)
                               .str())
            .note(expr->range,
                  formatv("reduce over it, as in `sum({0} for {1}{2})`, or write an index, as in "
                          "`{0}[{1} = 0]`",
                          name, axis, axis == "h" && context->coordinates.count("g") ? " in g" : "")
                      .str());
      return {};
    }
    indices.push_back(index);
  }
  Type element = type.getElementType();
  Type result = isa<IntegerType>(element) ? element : Type(builder.getF32Type());
  Value value = attn::ReadOp::create(builder, loc, result, tensor, indices);
  return expr->hasFill ? emitFill(expr, value, bounded) : value;
}

bool attnc::frontend::isReduction(StringRef name) {
  return attn::symbolizeReduction(name).has_value();
}

Value Emitter::emitReduction(const Expr *expr) {
  attn::Reduction kind = *attn::symbolizeReduction(expr->text);
  if (expr->loops.empty()) {
    error(expr->anchor,
          formatv("`{0}` reduces over an index space, as in `{0}(x for d)`", expr->text).str());
    return {};
  }
  if (expr->operands.size() != 1) {
    error(expr->range,
          formatv("`{0}` reduces one value, found {1}", expr->text, expr->operands.size()).str());
    return {};
  }
  // Means of rows of equal length nest; indices do not.
  bool isRegular = !expr->condition && llvm::none_of(expr->loops, [](const Loop &loop) {
    return loop.block.has_value();
  });
  bool nests = kind == attn::Reduction::Mean
                   ? isRegular
                   : kind != attn::Reduction::Argmax && kind != attn::Reduction::Argmin;
  if (!nests && expr->loops.size() > 1) {
    error(
        expr->loops[1].name.range,
        formatv("`{0}` takes one `for`{1}", expr->text,
                kind == attn::Reduction::Mean ? " when blocks or a condition leave values out" : "")
            .str());
    return {};
  }
  return emitLoop(expr, kind, 0);
}

Value Emitter::emitLoop(const Expr *expr, attn::Reduction kind, unsigned depth) {
  const Loop &loop = expr->loops[depth];
  Location loc = locationOf(expr);
  if (!isSpace(loop.name.text)) {
    error(loop.name.range, "`" + loop.name.text + "` is not an index space")
        .note(loop.name.range, "index spaces are " + spaceNames());
    return {};
  }
  Value block;
  if (loop.block) {
    if (attn::blockParent(variant, loop.block->text) != loop.name.text) {
      error(loop.block->range,
            formatv("`{0}` is not a space of blocks of `{1}`", loop.block->text, loop.name.text)
                .str())
          .note(
              loop.block->range,
              formatv("declare `blocks {0} of {1} by n`", loop.block->text, loop.name.text).str());
      return {};
    }
    block = indexOf(loop.block->text, loc);
    if (!block) {
      error(loop.block->range, "`" + loop.block->text + "` has no value in " + context->what);
      return {};
    }
  }
  Region region;
  Block &body = region.emplaceBlock();
  BlockArgument index =
      body.addArgument(builder.getI32Type(), NameLoc::get(builder.getStringAttr(loop.name.text),
                                                          reporter.location(loop.name.range)));
  EmitContext outer = *context;
  context->coordinates[loop.name.text] = index;
  // What was emitted for other coordinates does not hold here.
  context->derived.clear();
  context->lets.clear();
  context->version = ++numVersions;
  Value value, condition;
  {
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToEnd(&body);
    value = depth + 1 < expr->loops.size() ? emitLoop(expr, kind, depth + 1)
                                           : emitExpr(expr->operands[0]);
    if (value && expr->condition && depth + 1 == expr->loops.size()) {
      condition = emitExpr(expr->condition);
      if (condition && !condition.getType().isInteger(1)) {
        error(expr->condition->range,
              formatv("`if` needs a condition, found {0}", nameOf(condition.getType())).str());
        condition = {};
      }
      if (!condition)
        value = {};
    }
    bool isLogic = kind == attn::Reduction::Any || kind == attn::Reduction::All;
    if (value && isLogic != value.getType().isInteger(1)) {
      error(expr->operands[0]->range, formatv(isLogic ? "`{0}` joins conditions, found {1}"
                                                      : "`{0}` needs numbers, found {1}",
                                              expr->text, nameOf(value.getType()))
                                          .str());
      value = {};
    }
    if (value && kind == attn::Reduction::Mean)
      value = toReal(value, loc);
    if (value) {
      SmallVector<Value> yielded{value};
      if (condition)
        yielded.push_back(condition);
      attn::YieldOp::create(builder, loc, yielded);
    }
  }
  auto end = context->end;
  *context = std::move(outer);
  context->end = end;
  if (!value)
    return {};
  bool isArg = kind == attn::Reduction::Argmax || kind == attn::Reduction::Argmin;
  auto op = attn::ReduceOp::create(
      builder, loc, isArg ? Type(builder.getI32Type()) : value.getType(), kind,
      builder.getStringAttr(loop.name.text),
      loop.block ? builder.getStringAttr(loop.block->text) : StringAttr(), block);
  op.getBody().takeBody(region);
  return op.getResult();
}

/// `first(p)` and `last(p)`: the indices of the first and last member of the current block.
Value Emitter::emitBlockBound(const Expr *expr) {
  const Expr *space = expr->operands.size() == 1 ? expr->operands.front() : nullptr;
  attn::SpaceOp declared = space && space->kind == ExprKind::Name
                               ? attn::findSpace(variant, space->text)
                               : attn::SpaceOp();
  if (!declared || !declared.getParent()) {
    error(expr->range,
          formatv("`{0}` takes a declared space of blocks, as in `{0}(p)`", expr->text).str());
    return {};
  }
  Location loc = locationOf(expr);
  Value index = indexOf(space->text, loc);
  if (!index) {
    error(space->range, "`" + space->text + "` has no value in " + context->what);
    return {};
  }
  Value stride = declared.getStride() ? declared.getStride() : declared.getExtent();
  Value first = arith::MulIOp::create(builder, loc, index, stride);
  if (expr->text == "first")
    return first;
  Value end = arith::AddIOp::create(builder, loc, first, declared.getExtent());
  Value size = attn::SizeOp::create(builder, loc, builder.getI32Type(), *declared.getParent());
  Value bounded = arith::MinSIOp::create(builder, loc, end, size);
  return arith::SubIOp::create(builder, loc, bounded, constant(loc, 1));
}

/// `uniform(seed, counters...)`
Value Emitter::emitUniform(const Expr *expr) {
  if (expr->operands.empty() || expr->operands.size() > 5) {
    error(expr->range,
          formatv("`uniform` takes a seed and at most four counters, found {0} argument{1}",
                  expr->operands.size(), expr->operands.size() == 1 ? "" : "s")
              .str());
    return {};
  }
  SmallVector<Value> args;
  for (const Expr *operand : expr->operands) {
    bool saved = std::exchange(onQueryAxis, true); // counters count rows
    Value arg = emitExpr(operand);
    onQueryAxis = saved;
    if (!arg)
      return {};
    if (!arg.getType().isInteger(32)) {
      error(operand->range,
            formatv("`uniform` takes ints, found {0}", nameOf(arg.getType())).str());
      return {};
    }
    args.push_back(arg);
  }
  return attn::UniformOp::create(builder, locationOf(expr), builder.getF32Type(), args[0],
                                 ArrayRef(args).drop_front());
}
