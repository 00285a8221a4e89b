// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Attributes of the attn dialect: syntax and verification.
#include "dialects/Attn/Attn.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"
#include <cmath>

using namespace mlir;
using namespace attnc::attn;

#define GET_ATTRDEF_CLASSES
#include "dialects/Attn/AttnAttrs.cpp.inc"

void AttnDialect::registerAttributes() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/Attn/AttnAttrs.cpp.inc"
      >();
}

LogicalResult SampleAttr::verify(llvm::function_ref<InFlightDiagnostic()> emitError,
                                 Distribution distribution, llvm::ArrayRef<Attribute> args) {
  // #attn.sample C1
  size_t arity = distribution == Distribution::Bernoulli ? 1 : 2;
  if (args.size() != arity)
    return emitError() << "expects " << arity << " argument" << (arity == 1 ? "" : "s") << " of `"
                       << stringifyDistribution(distribution) << "`, found " << args.size();
  for (Attribute arg : args) {
    if (isa<StringAttr>(arg)) // of a space, which its use knows: attn.input C3
      continue;
    if (!isa<FloatAttr>(arg) || !cast<FloatAttr>(arg).getType().isF64())
      return emitError() << "expects a number or the size of an index space, found " << arg;
  }
  return success();
}

LogicalResult PartsAttr::verify(llvm::function_ref<InFlightDiagnostic()> emitError,
                                StringAttr space, int64_t keys, FloatAttr unit) {
  // #attn.parts C1
  double number = unit.getValueAsDouble();
  if (keys < 1 || !(number > 0) || !std::isfinite(number))
    return emitError() << "expects parts of at least one key and a positive unit, found " << keys
                       << " and " << number;
  return success();
}

// `<` distribution `(` (number | `size` `(` space `)`),* `)` `>`
Attribute SampleAttr::parse(AsmParser &parser, Type) {
  Builder builder(parser.getContext());
  SMLoc loc = parser.getCurrentLocation();
  StringRef name;
  if (parser.parseLess() || parser.parseKeyword(&name))
    return {};
  std::optional<Distribution> distribution = symbolizeDistribution(name);
  if (!distribution) {
    parser.emitError(loc) << "expects a distribution (uniform, normal, sorted, bernoulli, "
                             "geometric), found `"
                          << name << "`";
    return {};
  }
  SmallVector<Attribute> args;
  auto parseArg = [&]() -> ParseResult {
    if (succeeded(parser.parseOptionalKeyword("size"))) {
      StringRef space;
      if (parser.parseLParen() || parser.parseKeyword(&space) || parser.parseRParen())
        return failure();
      args.push_back(builder.getStringAttr(space));
      return success();
    }
    // The sign apart: an optional integer would take it from a float.
    bool isNegative = succeeded(parser.parseOptionalMinus());
    double value;
    int64_t integer;
    OptionalParseResult parsed = parser.parseOptionalInteger(integer);
    if (parsed.has_value() && failed(*parsed))
      return failure();
    if (parsed.has_value())
      value = static_cast<double>(integer);
    else if (parser.parseFloat(value))
      return failure();
    args.push_back(builder.getF64FloatAttr(isNegative ? -value : value));
    return success();
  };
  if (parser.parseCommaSeparatedList(AsmParser::Delimiter::Paren, parseArg) ||
      parser.parseGreater())
    return {};
  return parser.getChecked<SampleAttr>(loc, parser.getContext(), *distribution, args);
}

void SampleAttr::print(AsmPrinter &printer) const {
  printer << "<" << stringifyDistribution(getDistribution()) << "(";
  llvm::interleaveComma(getArgs(), printer, [&](Attribute arg) {
    if (auto space = dyn_cast<StringAttr>(arg)) {
      printer << "size(" << space.getValue() << ")";
      return;
    }
    printer.printFloat(cast<FloatAttr>(arg).getValue());
  });
  printer << ")>";
}
