// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The expansion of calls; see Inline.h. One level at a time, so that the budget is shared by all
// calls of a level when functions recurse.
#include "Inline.h"

#include <algorithm>
#include <map>

namespace attnc::emu {
namespace {

bool isCall(const Instr &i) { return i.opcode == "call"; }

/// Operands of `call{.uni} (ret), f, (params)`; each list may be missing.
struct CallOperands {
  std::vector<Operand> returns, params;
  const Operand *callee = nullptr;
};

CallOperands operandsOf(const Instr &call) {
  CallOperands c;
  size_t at = 0;
  const auto &o = call.operands;
  if (at < o.size() && o[at].kind == Operand::List)
    c.returns = o[at++].elems;
  if (at < o.size())
    c.callee = &o[at++];
  if (at < o.size() && o[at].kind == Operand::List)
    c.params = o[at++].elems;
  if (!c.callee || c.callee->kind != Operand::Symbol || at != o.size())
    throw PtxError(call.pos, "only direct calls are supported\n  in: " + call.text);
  return c;
}

/// Pairs the formal parameters with the .param variables of the caller that stand for them.
void bind(const Instr &call, const std::vector<Variable> &formals,
          const std::vector<Operand> &actuals, std::map<std::string, std::string> &names) {
  if (formals.size() != actuals.size())
    throw PtxError(call.pos, "the call passes " + std::to_string(actuals.size()) +
                                 " parameters, the function has " + std::to_string(formals.size()) +
                                 "\n  in: " + call.text);
  for (size_t i = 0; i < formals.size(); ++i) {
    if (actuals[i].kind != Operand::Symbol || actuals[i].imm)
      throw PtxError(call.pos, "parameters must be .param variables\n  in: " + call.text);
    names[formals[i].name] = actuals[i].name;
  }
}

class Expansion {
public:
  Expansion(const Module &m, Function f) : module(m), f(std::move(f)) {}

  Function run() {
    for (unsigned depth = 0; depth < maxCallDepth && expandLevel(); ++depth) {
    }
    return std::move(f);
  }

private:
  /// Expands every call that is there now; false when there was none, or no room.
  bool expandLevel() {
    std::vector<Instr> old = std::move(f.body);
    f.body.clear();
    std::vector<int64_t> newIndex(old.size() + 1);
    std::vector<bool> isOld; ///< by new statement: its labels are still old indices
    bool expanded = false;
    for (size_t i = 0; i < old.size(); ++i) {
      newIndex[i] = static_cast<int64_t>(f.body.size());
      const Function *callee = isCall(old[i]) ? calleeOf(module, old[i]) : nullptr;
      size_t rest = old.size() - i;
      if (callee && f.body.size() + rest + callee->body.size() < maxExpandedInstructions) {
        expand(old[i], *callee);
        expanded = true;
        isOld.resize(f.body.size(), false);
      } else {
        f.body.push_back(std::move(old[i]));
        isOld.push_back(true);
      }
    }
    newIndex[old.size()] = static_cast<int64_t>(f.body.size());
    for (size_t i = 0; i < f.body.size(); ++i)
      for (Operand &o : f.body[i].operands)
        if (isOld[i] && o.kind == Operand::Label)
          o.imm = newIndex[static_cast<size_t>(o.imm)];
    return expanded;
  }

  void expand(const Instr &call, const Function &callee) {
    CallOperands c = operandsOf(call);
    std::map<std::string, std::string> names;
    bind(call, callee.returns, c.returns, names);
    bind(call, callee.params, c.params, names);
    std::string frame = callee.name + "#" + std::to_string(++frames) + ":";
    for (const Variable &v : callee.variables) {
      // A shared variable exists once per block, whoever calls; the others once per call.
      std::string name = (v.space == Space::Shared ? callee.name + ":" : frame) + v.name;
      names[v.name] = name;
      addVariable(v, name);
    }
    int32_t firstRegister = static_cast<int32_t>(f.registers.size());
    f.registers.insert(f.registers.end(), callee.registers.begin(), callee.registers.end());
    bool guarded = call.guard >= 0;
    int64_t begin = static_cast<int64_t>(f.body.size()) + (guarded ? 1 : 0),
            end = begin + static_cast<int64_t>(callee.body.size());
    if (guarded)
      f.body.push_back(jump(call, end, call.guard, !call.guardNegated));
    for (const Instr &from : callee.body) {
      Instr i = from;
      if (i.guard >= 0)
        i.guard += firstRegister;
      if (i.opcode == "ret") {
        f.body.push_back(jump(i, end, i.guard, i.guardNegated));
        continue;
      }
      for (Operand &o : i.operands)
        rename(o, firstRegister, begin, names);
      f.body.push_back(std::move(i));
    }
  }

  static Instr jump(const Instr &at, int64_t target, int32_t guard, bool negated) {
    Instr i = at;
    i.opcode = "bra";
    i.mods.clear();
    Operand o;
    o.kind = Operand::Label;
    o.imm = target;
    i.operands = {o};
    i.guard = guard;
    i.guardNegated = negated;
    return i;
  }

  static void rename(Operand &o, int32_t firstRegister, int64_t begin,
                     const std::map<std::string, std::string> &names) {
    if (o.kind == Operand::Reg)
      o.reg += firstRegister;
    if (o.pair >= 0)
      o.pair += firstRegister;
    if (o.kind == Operand::Label)
      o.imm += begin;
    if (o.kind == Operand::Symbol)
      if (auto it = names.find(o.name); it != names.end())
        o.name = it->second;
    for (Operand &e : o.elems)
      rename(e, firstRegister, begin, names);
  }

  void addVariable(const Variable &v, const std::string &name) {
    for (Variable &have : f.variables)
      if (have.name == name) {
        have.size = std::max(have.size, v.size);
        have.align = std::max(have.align, v.align);
        return;
      }
    f.variables.push_back(v);
    f.variables.back().name = name;
  }

  const Module &module;
  Function f;
  unsigned frames = 0;
};

} // namespace

bool hasCalls(const Function &f) { return std::any_of(f.body.begin(), f.body.end(), isCall); }

const Function *calleeOf(const Module &m, const Instr &call) {
  const std::string &name = operandsOf(call).callee->name;
  for (const Function &f : m.functions)
    if (f.name == name && !f.isDeclaration)
      return &f;
  return nullptr;
}

Function expandCalls(const Module &m, const Function &kernel) { return Expansion(m, kernel).run(); }

} // namespace attnc::emu
