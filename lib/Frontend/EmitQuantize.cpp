// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// `quantize NAME as FORMAT ...`: its options, which of them go together, and the op.
#include "Emitter.h"
#include "llvm/Support/FormatVariadic.h"

using namespace attnc;
using namespace attnc::frontend;
using namespace mlir;
using llvm::formatv;
using llvm::SMRange;
using llvm::StringRef;

/// A region over the axes of `type` that yields `keys`: elements with equal keys belong together.
bool Emitter::emitKeys(Region &region, attn::AttnTensorType type, ArrayRef<Expr *> keys,
                       SMRange range) {
  SmallVector<StringRef> axes;
  for (unsigned i = 0; i < type.getRank(); ++i)
    axes.push_back(type.getAxisName(i));
  EmitContext into;
  openRegion(region, into, "`per`", {}, axes, range);
  OpBuilder::InsertionGuard guard(builder);
  builder.restoreInsertionPoint(into.end);
  EmitContext *saved = std::exchange(context, &into);
  SmallVector<Value> values;
  bool savedAxis = std::exchange(onQueryAxis, true); // groups count rows
  for (const Expr *key : keys) {
    Value value = emitExpr(key);
    if (value && !value.getType().isInteger(32)) {
      error(key->range, formatv("`per` needs ints, found {0}", nameOf(value.getType())).str());
      value = {};
    }
    if (!value)
      break;
    values.push_back(value);
  }
  onQueryAxis = savedAxis;
  context = saved;
  if (values.size() != keys.size())
    return false;
  attn::YieldOp::create(builder, reporter.location(range), values);
  return true;
}

/// The number that a literal is.
static std::optional<double> literal(const Expr *expr) {
  if (expr->kind == ExprKind::Integer)
    return static_cast<double>(expr->integer);
  if (expr->kind == ExprKind::Real)
    return expr->real;
  return std::nullopt;
}

/// What the options of a `quantize` say.
struct Emitter::QuantizeOptions {
  attn::Format format;
  attn::AttnTensorType type;
  Region group, smooth;
  attn::Rounding rounding = attn::Rounding::HalfEven;
  attn::Format scaleFormat = attn::Format::F32;
  double epsilon = 0;
  FloatAttr largest, fixed;
  bool isAsymmetric = false;
  llvm::StringMap<SMRange> given; ///< where each is written
};

/// `round NAME` or `scale NAME`.
bool Emitter::readNamedOption(const Option &option, QuantizeOptions &into) {
  bool isRound = option.word.text == "round";
  auto asRounding = attn::symbolizeRounding(option.argument->text);
  auto asFormat = attn::symbolizeFormat(option.argument->text);
  bool isFloat = asFormat && *asFormat >= attn::Format::F8E4M3 && *asFormat != attn::Format::F4E2M1;
  if (isRound ? !asRounding : !isFloat) {
    error(option.argument->range,
          formatv("expected {0}, found `{1}`",
                  isRound ? "half_even or half_away"
                          : "a format of scales (f32, f16, bf16, f8E4M3 or f8E5M2)",
                  option.argument->text)
              .str());
    return false;
  }
  if (isRound)
    into.rounding = *asRounding;
  else
    into.scaleFormat = *asFormat;
  return true;
}

/// `epsilon X`, `largest X` or `static X`.
bool Emitter::readNumberOption(const Option &option, StringRef formatName, QuantizeOptions &into) {
  StringRef word = option.word.text;
  std::optional<double> number = literal(option.value);
  if (!number || word == "group") {
    error(option.value->range,
          word == "group" ? "`group` is for the weights `P`; say what shares a scale by `per`"
                          : "`" + word.str() + "` needs a number that is written out");
    return false;
  }
  double most = attn::largestNumber(into.format);
  if (word == "epsilon")
    into.epsilon = *number;
  if (word == "largest")
    into.largest = builder.getF64FloatAttr(*number);
  if (word == "static")
    into.fixed = builder.getF64FloatAttr(*number);
  bool isWrong = word == "largest"  ? *number <= 0 || *number > most
                 : word == "static" ? *number <= 0
                                    : *number < 0;
  if (isWrong)
    error(option.value->range,
          word == "largest"
              ? formatv("the largest number is above 0 and at most {0}, which is that of {1}",
                        shortest(most), formatName)
                    .str()
          : word == "static" ? std::string("a scale is above 0")
                             : std::string("`epsilon` is at least 0"));
  return !isWrong;
}

bool Emitter::readQuantizeOptions(const Statement &statement, QuantizeOptions &into) {
  for (const Option &option : statement.options) {
    StringRef word = option.word.text;
    auto [earlier, isNew] = into.given.try_emplace(word, option.word.range);
    if (!isNew) {
      error(option.word.range, "`" + word + "` is written twice")
          .note(earlier->second, "first written here");
      return false;
    }
    bool isGood = true;
    if (option.list)
      isGood = emitKeys(word == "per" ? into.group : into.smooth, into.type, *option.list,
                        option.word.range);
    else if (word == "asymmetric")
      into.isAsymmetric = true;
    else if (word == "round" || word == "scale")
      isGood = readNamedOption(option, into);
    else
      isGood = readNumberOption(option, statement.other.text, into);
    if (!isGood)
      return false;
  }
  return true;
}

/// Whether the options have something to say about the format, and no two of them say the same.
bool Emitter::checkQuantizeOptions(const Name &format, QuantizeOptions &options) {
  bool isPlain = options.format >= attn::Format::F16, hasScale = !isPlain && !options.fixed;
  bool isInt = options.format == attn::Format::Int8 || options.format == attn::Format::Int4;
  unsigned errorsBefore = reporter.getNumErrors();
  if (options.fixed && (options.largest || !options.group.empty()))
    error(options.given.lookup("static"),
          formatv("`static` gives the scale, so `{0}` has nothing to say",
                  options.largest ? "largest" : "per")
              .str());
  else if (hasScale == options.group.empty())
    error(format.range, hasScale
                            ? "say what shares a scale, as in `per [b, g, kv]`"
                            : "`" + format.text.str() + "` has no scale, so nothing shares one");
  else if (isPlain && (options.largest || options.epsilon != 0 || options.isAsymmetric ||
                       options.given.count("scale")))
    error(format.range, "`" + format.text.str() +
                            "` has no scale, so only `round` and `smooth` say something about it");
  else if (options.isAsymmetric && options.fixed)
    error(options.given.lookup("static"),
          "`asymmetric` takes its scale from the group, `static` gives it: write one of them");
  else if (options.isAsymmetric && !isInt)
    error(format.range, "only int formats can be `asymmetric`");
  return reporter.getNumErrors() == errorsBefore;
}

void Emitter::emitQuantize(const Statement &statement) {
  Value tensor = tensorNamed(statement.word);
  auto format = attn::symbolizeFormat(statement.other.text);
  if (!format) {
    auto e = error(statement.other.range, "`" + statement.other.text + "` is not a format");
    e.note(statement.other.range,
           "formats are int8, int4, f8E4M3, f8E5M2, f4E2M1, f16, bf16 and f32");
  }
  if (!tensor || !format)
    return;
  QuantizeOptions options;
  options.format = *format;
  options.type = cast<attn::AttnTensorType>(tensor.getType());
  if (isa<IntegerType>(options.type.getElementType())) {
    error(statement.word.range, "`quantize` needs a tensor of reals");
    return;
  }
  if (!readQuantizeOptions(statement, options) || !checkQuantizeOptions(statement.other, options))
    return;
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToEnd(stages);
  MLIRContext *ir = builder.getContext();
  auto result = attn::AttnTensorType::get(ir, options.type.getAxes(), builder.getF32Type());
  auto op = attn::QuantizeOp::create(
      builder, reporter.location(statement.keyword), result, tensor,
      attn::FormatAttr::get(ir, *format), attn::RoundingAttr::get(ir, options.rounding),
      attn::FormatAttr::get(ir, options.scaleFormat), builder.getF64FloatAttr(options.epsilon),
      options.largest, options.fixed, options.isAsymmetric ? builder.getUnitAttr() : UnitAttr());
  op.getGroup().takeBody(options.group);
  op.getSmooth().takeBody(options.smooth);
  Symbol &symbol = scope[statement.word.text];
  symbol.kind = Symbol::Tensor;
  symbol.value = op.getResult();
  nameValue(symbol.value, statement.word.text);
}
