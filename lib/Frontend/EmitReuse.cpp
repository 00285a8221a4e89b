// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// `output X reuses Y`: outputs that may be in the memory of an input. The input is looked up by the
// name that a caller passes it by, whatever a `transform` has made of that name.
#include "Emitter.h"

using namespace attnc;
using namespace attnc::frontend;
using namespace mlir;

/// "f32[b, h, 64]".
static std::string typeText(attn::AttnTensorType type) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  if (type.hasOperandElementType())
    stream << "dtype";
  else if (type.getElementType().isInteger(1))
    stream << "bool";
  else
    stream << type.getElementType();
  stream << '[';
  for (unsigned i = 0; i < type.getRank(); ++i) {
    stream << (i ? ", " : "") << type.getAxisName(i);
    if (type.getAxisName(i).empty())
      stream << type.getAxisSize(i);
  }
  stream << ']';
  return text;
}

attn::InputOp Emitter::reusedInput(const Statement &statement) {
  const Name &name = statement.other;
  if (name.text == "Q" || name.text == "K" || name.text == "V")
    operandNamed(name.text); // declared by being named
  SmallVector<StringRef> names;
  for (auto input : variant.getBody().getOps<attn::InputOp>()) {
    if (input.getName() == name.text)
      return input;
    names.push_back(input.getName());
  }
  auto e = error(name.range,
                 "`" + name.text + "` is not an input of `" + variant.getSymName().str() + "`");
  if (std::optional<StringRef> near = nearestName(name.text, names))
    e.fix(name.range, *near, "did you mean `" + near->str() + "`?");
  else
    e.note(name.range,
           "an output may be in the memory of an input, which a caller passes for both");
  return {};
}

ArrayAttr Emitter::reuses(ArrayRef<StringRef> names, ArrayRef<Value> values) {
  if (reusing.empty())
    return {};
  SmallVector<StringRef> reused(names.size(), "");
  llvm::StringMap<SMRange> taken;
  for (const Statement *statement : reusing) {
    attn::InputOp input = reusedInput(*statement);
    const Name &name = statement->other;
    const StringRef output = statement->word.text;
    if (!input)
      return {};
    if (auto [first, isNew] = taken.try_emplace(name.text, name.range); !isNew) {
      error(name.range, "two outputs cannot be in the memory of `" + name.text.str() + "`")
          .note(first->second, "the first one is here");
      return {};
    }
    size_t number = llvm::find(names, output) - names.begin();
    auto type = cast<attn::AttnTensorType>(values[number].getType());
    if (input.getType() != type) {
      error(name.range, "`" + output.str() + "` is " + typeText(type) + ", and `" +
                            name.text.str() + "` is " + typeText(input.getType()))
          .note(name.range, "an output has each element where the input had it: type and axes are "
                            "the same");
      return {};
    }
    reused[number] = name.text;
  }
  return builder.getStrArrayAttr(reused);
}
