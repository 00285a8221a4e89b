// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Operands: registers, numbers, special registers, addresses and groups. Their nesting is limited.
#include "Parser.h"

#include <cstring>

namespace attnc::emu {

/// `.x/.y/.z` names and plain ones; -1 when the word is no special register.
static int findSpecial(std::string_view word) {
  static const std::unordered_map<std::string_view, int> table = [] {
    std::unordered_map<std::string_view, int> t;
    for (int i = 0; i <= static_cast<int>(Special::IsExplicitCluster); ++i)
      t.emplace(nameOf(static_cast<Special>(i)), i);
    return t;
  }();
  auto it = table.find(word);
  return it == table.end() ? -1 : it->second;
}

Operand Parser::parseOperand(Function &f) {
  Operand o = parsePrimary(f);
  if (o.kind == Operand::Reg && accept('|')) {
    Token t = lex.peek();
    Operand second = parsePrimary(f);
    if (second.kind == Operand::Reg)
      o.pair = second.reg;
    else if (second.kind != Operand::Sink)
      fail(t, "expected a register after '|'");
  } else if (o.kind == Operand::Sink && accept('|')) {
    Operand second = parsePrimary(f);
    o.pair = second.reg;
  }
  return o;
}

Operand Parser::parsePrimary(Function &f) {
  Token t = lex.peek();
  constexpr unsigned deepest = 8; // an address with a vector of coordinates has two levels
  if (nesting == deepest)
    fail(t, "operands are nested too deeply");
  struct Level {
    unsigned &depth;
    explicit Level(unsigned &depth) : depth(++depth) {}
    ~Level() { --depth; }
  } level(nesting);
  Operand o;
  o.pos = t.pos;
  if (accept('!')) {
    o = parsePrimary(f);
    if (o.kind != Operand::Reg || f.registers[o.reg].type != Type::Pred)
      fail(t, "'!' needs a predicate register");
    o.negated = !o.negated;
    return o;
  }
  if (t.is('{'))
    return parseGroup(f, '}', Operand::Vector);
  if (t.is('('))
    return parseGroup(f, ')', Operand::List);
  if (t.is('['))
    return parseAddress(f);
  if (t.is('-') || t.is('+') || t.kind == Token::Int || t.kind == Token::Float32 ||
      t.kind == Token::Float64)
    return parseNumber();
  if (t.kind == Token::Word)
    return parseWordOperand(f);
  expected("an operand");
}

Operand Parser::parseNumber() {
  Operand o;
  o.pos = lex.peek().pos;
  bool negative = accept('-');
  if (!negative)
    accept('+');
  Token t = lex.next();
  if (t.kind == Token::Int)
    o.kind = Operand::Imm;
  else if (t.kind == Token::Float32)
    o.kind = Operand::F32;
  else if (t.kind == Token::Float64)
    o.kind = Operand::F64;
  else
    fail(t, "expected a number, found '" + std::string(t.text) + "'");
  o.imm = t.value;
  if (negative)
    o.imm = o.kind == Operand::Imm ? static_cast<int64_t>(0 - static_cast<uint64_t>(o.imm))
            : o.kind == Operand::F32
                ? o.imm ^ 0x80000000ll
                : static_cast<int64_t>(static_cast<uint64_t>(o.imm) ^ (1ull << 63));
  return o;
}

Operand Parser::parseWordOperand(Function &f) {
  Token t = lex.next();
  Operand o;
  o.pos = t.pos;
  if (t.text == "_")
    return o;
  if ((o.reg = findRegister(t.text)) >= 0) {
    o.kind = Operand::Reg;
    return o;
  }
  if (t.text == "WARP_SZ") {
    o.kind = Operand::Imm;
    o.imm = 32;
    return o;
  }
  if (t.text[0] == '%') {
    int s = findSpecial(t.text);
    if (s < 0)
      fail(t, "undeclared register or unsupported special register '" + std::string(t.text) + "'");
    o.kind = Operand::SpecialReg;
    o.special = static_cast<Special>(s);
    return o;
  }
  o.name = std::string(t.text);
  bool isVariable = module.findVariable(o.name) != nullptr;
  for (const std::vector<Variable> *list : {&f.params, &f.returns, &f.variables})
    for (const Variable &v : *list)
      isVariable |= v.name == o.name;
  for (const Function &g : module.functions)
    isVariable |= g.name == o.name;
  isVariable |= f.name == o.name; // it may call itself
  o.kind = isVariable ? Operand::Symbol : Operand::Label;
  if (isVariable && (lex.peek().is('+') || lex.peek().is('-')))
    o.imm = parseNumber().imm;
  else
    o.imm = isVariable ? 0 : -1;
  return o;
}

Operand Parser::parseGroup(Function &f, char close, Operand::Kind kind) {
  Operand o;
  o.pos = lex.next().pos;
  o.kind = kind;
  while (!lex.peek().is(close)) {
    o.elems.push_back(parseOperand(f));
    if (!accept(','))
      break;
  }
  expect(close);
  return o;
}

Operand Parser::parseAddress(Function &f) {
  Operand o;
  o.pos = lex.next().pos;
  o.kind = Operand::Address;
  Token baseToken = lex.peek();
  Operand base = parsePrimary(f);
  if (base.kind == Operand::Label)
    fail(baseToken, "undeclared symbol '" + base.name + "'");
  if (base.kind == Operand::Symbol)
    o.imm = base.imm, base.imm = 0;
  o.elems.push_back(std::move(base));
  while (accept('+') || lex.peek().is('-'))
    o.imm += parseNumber().imm;
  while (accept(','))
    o.elems.push_back(parseOperand(f));
  expect(']');
  return o;
}

} // namespace attnc::emu
