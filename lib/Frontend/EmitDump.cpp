// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Dumped values: tensors that a variant computes on its way, put out beside its outputs because
// someone wants to look at them. What stands before is emitted as without them, so that an executor
// computes the same thing; an executor that cannot yield one of them says so at its statement, as
// of any output.
#include "Emitter.h"
#include "attnc/Frontend/Frontend.h"
#include "llvm/ADT/StringExtras.h"

using namespace attnc;
using namespace attnc::frontend;
using namespace mlir;
using llvm::StringRef;

bool Emitter::isDumped(StringRef name) const { return llvm::is_contained(dumps, name); }

/// Names that a dump may have here, sorted.
SmallVector<StringRef> Emitter::dumpableNames() const {
  SmallVector<StringRef> names;
  for (auto &entry : scope)
    if (entry.second.kind == Symbol::Tensor && entry.second.value)
      names.push_back(entry.getKey());
  if (ownAttend)
    names.append({"out", "lse", "p"});
  llvm::sort(names);
  return names;
}

/// The tensor called `name` at the end of the variant; null, after an error, if there is none.
Value Emitter::dumpedValue(const Attention &attention, StringRef name) {
  if (ownAttend && name == "lse")
    return ownAttend.getLse();
  if (ownAttend && name == "p")
    return ownAttend.getWeights();
  std::string start = ("`" + name + "` cannot be dumped: ").str();
  Symbol *symbol = lookup(name);
  if (symbol && symbol->kind == Symbol::Tensor && symbol->value) {
    // A branch that nothing else uses has a use now.
    usedBranches[name.split('.').first] = true;
    return symbol->value;
  }
  if (symbol && symbol->kind == Symbol::Let)
    error(symbol->definition->name.range, start + "it is a formula, evaluated where it is used")
        .note(symbol->definition->name.range,
              "with axes it is a tensor: `let " + name.str() + "[b, h, q] = ...`");
  else if (symbol)
    error(symbol->range.isValid() ? symbol->range : attention.name.range,
          start + "it is " +
              (symbol->kind == Symbol::Input   ? "an input"
               : symbol->kind == Symbol::Param ? "a parameter"
                                               : "a helper"));
  else if (auto it = namesOfStep.find(name); it != namesOfStep.end())
    error(it->second, start + "it belongs to the step of the recurrence")
        .note(it->second, "`output " + name.str() + "` in the step puts it out for each t");
  else {
    SmallVector<StringRef> names = dumpableNames();
    auto e = error(attention.name.range,
                   start + "`" + attention.name.text + "` computes no tensor of that name");
    if (names.empty())
      e.note(attention.name.range, "it computes none but its outputs");
    else
      e.note(attention.name.range, "it computes " + llvm::join(names, ", "));
  }
  return {};
}

/// Whether the caller binds a tensor called `name`: what is made of it by a `transform` has its
/// name, but a program's tensors do not.
static bool isInput(Value value, StringRef name) {
  auto variant = value.getDefiningOp()->getParentOfType<attn::VariantOp>();
  return llvm::any_of(variant.getBody().getOps<attn::InputOp>(),
                      [&](attn::InputOp input) { return input.getName() == name; });
}

void Emitter::emitDumps(const Attention &attention, SmallVector<StringRef> &names,
                        SmallVector<Value> &values) {
  for (const std::string &name : dumps) {
    if (llvm::is_contained(names, name))
      continue; // an output already
    Value value = dumpedValue(attention, name);
    if (!value)
      return;
    names.push_back(isInput(value, name) ? builder.getStringAttr(transformedName(name)).getValue()
                                         : StringRef(name));
    values.push_back(value);
  }
}
