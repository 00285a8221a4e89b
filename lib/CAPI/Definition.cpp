// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Ops, operands, attributes and regions as JSON. Nothing here knows what an op means: a new op
// needs no change, unless it has an enum, which would be a bare number.
#include "Definition.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/JSON.h"
#include <cmath>

using namespace attnc;
using namespace mlir;

namespace {

class Writer {
public:
  explicit Writer(llvm::raw_ostream &os) : json(os) {}

  void block(Block &ops) {
    json.array([&] {
      for (Operation &op : ops)
        operation(op);
    });
  }

private:
  void operation(Operation &op) {
    json.object([&] {
      json.attribute("op", op.getName().getStringRef());
      if (auto loc = op.getLoc()->findInstanceOf<FileLineColLoc>())
        json.attribute("line", loc.getLine());
      json.attributeArray("operands", [&] {
        for (Value operand : op.getOperands())
          json.value(number(operand));
      });
      json.attributeArray("results", [&] {
        for (Value result : op.getResults())
          value(result);
      });
      json.attributeObject("attributes", [&] {
        for (NamedAttribute attribute : op.getAttrDictionary()) {
          json.attributeBegin(attribute.getName().getValue());
          std::string text = enumeration(op, attribute.getName().getValue());
          if (text.empty())
            constant(attribute.getValue());
          else
            json.value(text);
          json.attributeEnd();
        }
      });
      json.attributeArray("regions", [&] {
        for (Region &region : op.getRegions())
          json.object([&] {
            // A region that is not written has no block.
            if (region.empty())
              return;
            json.attributeArray("arguments", [&] {
              for (Value argument : region.getArguments())
                value(argument);
            });
            json.attributeBegin("ops");
            block(region.front());
            json.attributeEnd();
          });
      });
    });
  }

  /// Values are numbered in the order in which they are defined.
  int64_t number(Value value) {
    return numbers.try_emplace(value, static_cast<int64_t>(numbers.size())).first->second;
  }

  void value(Value value) {
    json.object([&] {
      json.attribute("id", number(value));
      auto tensor = dyn_cast<attn::AttnTensorType>(value.getType());
      if (!tensor)
        return json.attribute("type", text(value.getType()));
      json.attribute("type",
                     tensor.hasOperandElementType() ? "dtype" : text(tensor.getElementType()));
      json.attributeArray("axes", [&] {
        for (Attribute axis : tensor.getAxes())
          constant(axis);
      });
    });
  }

  void constant(Attribute attribute) {
    if (auto string = dyn_cast<StringAttr>(attribute))
      return json.value(string.getValue());
    if (auto flag = dyn_cast<BoolAttr>(attribute))
      return json.value(flag.getValue());
    if (auto integer = dyn_cast<IntegerAttr>(attribute))
      return json.value(integer.getValue().getSExtValue());
    if (auto real = dyn_cast<FloatAttr>(attribute)) {
      // JSON has no infinity and no NaN: they are strings that every float parser reads.
      double number = real.getValueAsDouble();
      if (std::isnan(number))
        return json.value("nan");
      if (std::isinf(number))
        return json.value(number < 0 ? "-inf" : "inf");
      return json.value(number);
    }
    if (isa<UnitAttr>(attribute))
      return json.value(true);
    if (auto array = dyn_cast<ArrayAttr>(attribute))
      return json.array([&] {
        for (Attribute element : array)
          constant(element);
      });
    if (auto array = dyn_cast<DenseI32ArrayAttr>(attribute))
      return json.array([&] {
        for (int32_t element : array.asArrayRef())
          json.value(element);
      });
    json.value(text(attribute));
  }

  /// The word for an attribute that is stored as a number; empty for others.
  static std::string enumeration(Operation &op, llvm::StringRef name) {
    using Words = llvm::StringRef;
    return llvm::TypeSwitch<Operation *, Words>(&op)
        .Case([&](arith::CmpIOp compare) {
          return name == "predicate" ? arith::stringifyCmpIPredicate(compare.getPredicate()) : "";
        })
        .Case([&](arith::CmpFOp compare) {
          return name == "predicate" ? arith::stringifyCmpFPredicate(compare.getPredicate()) : "";
        })
        .Case([&](attn::PositionOp position) {
          return name == "align" ? attn::stringifyAlign(position.getAlign()) : "";
        })
        .Case([&](attn::ReduceOp reduce) {
          return name == "kind" ? attn::stringifyReduction(reduce.getKind()) : "";
        })
        .Case([&](attn::SelectOp select) {
          return name == "rule" ? attn::stringifySelection(select.getRule()) : "";
        })
        .Case([&](attn::AttendOp attend) {
          return name == "precision" ? attn::stringifyPrecision(attend.getPrecision()) : "";
        })
        .Default([](Operation *) { return Words(); })
        .str();
  }

  template <typename T> static std::string text(T printed) {
    std::string result;
    llvm::raw_string_ostream(result) << printed;
    return result;
  }

  llvm::json::OStream json;
  llvm::DenseMap<Value, int64_t> numbers;
};

} // namespace

std::string capi::definitionJSON(attn::VariantOp variant) {
  std::string text;
  llvm::raw_string_ostream os(text);
  Writer(os).block(variant.getBody().front());
  return text;
}
