// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The PTX reader: recursive descent over Lexer tokens, one method per construct. Braces inside a
// body open a scope for registers *and* labels (nvcc repeats `LAB_WAIT:` dozens of times), so names
// are looked up innermost first; forward branches are patched when the scope that can still define
// the label closes. Unknown directives are errors: skipping one could silently change a kernel.
#include "Parser.h"

#include <cstring>

namespace attnc::emu {
Module Parser::parse() {
  while (lex.peek().kind != Token::End)
    parseDirective();
  if (!module.versionMajor)
    fail(lex.peek(), "module has no .version directive");
  if (module.target.empty())
    fail(lex.peek(), "module has no .target directive");
  return std::move(module);
}

void Parser::parseDirective() {
  Token t = lex.peek();
  if (accept(';')) // an empty declaration
    return;
  if (t.kind != Token::Word || t.text[0] != '.')
    expected("a directive");
  lex.next();
  if (t.text == ".version") {
    Token v = lex.next();
    if (sscanf(std::string(v.text).c_str(), "%u.%u", &module.versionMajor, &module.versionMinor) !=
        2)
      fail(v, "expected a version such as 8.0, found '" + std::string(v.text) + "'");
  } else if (t.text == ".target") {
    parseTarget();
  } else if (t.text == ".address_size") {
    Token at = lex.peek();
    int64_t bits = expectInt("an address size");
    if (bits != 64)
      fail(at, "expected 64-bit addresses, found " + std::to_string(bits));
  } else if (t.text == ".file") {
    parseFile();
  } else if (t.text == ".visible" || t.text == ".weak" || t.text == ".common") {
    return; // linkage does not matter to one module
  } else if (t.text == ".extern") {
    // An extern function must be provided by the emulator (vprintf); an extern shared array is the
    // dynamic shared memory.
    return;
  } else if (t.text == ".global" || t.text == ".const" || t.text == ".shared") {
    Space s = t.text == ".global"  ? Space::Global
              : t.text == ".const" ? Space::Const
                                   : Space::Shared;
    for (Variable &v : parseVariables(s))
      module.variables.push_back(std::move(v));
  } else if (t.text == ".entry" || t.text == ".func") {
    parseFunction(t.text == ".entry");
  } else if (t.text == ".section") {
    expectWord("a section name");
    skipBlock();
  } else if (t.text == ".pragma" || t.text == ".alias") {
    skipToSemicolon();
  } else {
    fail(t, "unsupported directive '" + std::string(t.text) + "'");
  }
}

void Parser::parseTarget() {
  do {
    Token t = expectWord("a target");
    if (t.text.substr(0, 3) == "sm_") {
      module.target = std::string(t.text);
      module.targetNumber = static_cast<unsigned>(atoi(module.target.c_str() + 3));
    } else if (t.text != "debug" && t.text != "texmode_independent") {
      fail(t, "unsupported target option '" + std::string(t.text) + "'");
    }
  } while (accept(','));
}

void Parser::parseFile() {
  int64_t index = expectInt("a file number");
  Token name = lex.next();
  if (name.kind != Token::String)
    fail(name, "expected a file name in quotes");
  module.files[static_cast<uint32_t>(index)] =
      std::string(name.text.substr(1, name.text.size() - 2));
  while (accept(',')) // time stamp and size
    expectInt("a number");
}

void Parser::skipBlock() {
  Token open = lex.peek();
  expect('{');
  for (int depth = 1; depth;) {
    Token t = lex.next();
    if (t.kind == Token::End)
      fail(open, "'{' is never closed");
    depth += t.is('{') - t.is('}');
  }
}

void Parser::skipToSemicolon() {
  while (!lex.peek().is(';')) {
    if (lex.peek().kind == Token::End)
      expected("';'");
    lex.next();
  }
  lex.next();
}

/// Everything between the space and the name: `.align 16 .b8 name[32][2] = {..}`.
Variable Parser::parseVariable(Space space) {
  Variable v;
  v.space = space;
  Type element = Type::None;
  uint64_t lanes = 1;
  while (lex.peek().kind == Token::Word && lex.peek().text[0] == '.') {
    Token t = lex.next();
    std::string_view name = t.text.substr(1);
    if (name == "align") {
      v.align = static_cast<uint32_t>(expectInt("an alignment"));
      if (!v.align || (v.align & (v.align - 1)))
        fail(t, "alignment must be a power of two, found " + std::to_string(v.align));
    } else if (name == "v2" || name == "v4") {
      lanes = name[1] - '0';
    } else if (name == "ptr") {
      // `.ptr .global .align 16` tells the optimiser about the pointee; nothing to execute, but the
      // pointee's alignment must not become the parameter's.
      while (lex.peek().kind == Token::Word && lex.peek().text[0] == '.')
        if (lex.next().text == ".align")
          expectInt("an alignment");
    } else if ((element = parseType(name)) == Type::None) {
      fail(t, "expected a type or .align, found '" + std::string(t.text) + "'");
    }
  }
  Token name = expectWord("a variable name");
  v.pos = name.pos;
  v.name = std::string(name.text);
  if (element == Type::None)
    fail(name, "variable '" + v.name + "' has no type");
  unsigned bytes = std::max(1u, bitsOf(element) / 8);
  v.align = std::max(v.align, static_cast<uint32_t>(bytes * lanes));
  uint64_t count = lanes;
  bool open = false;
  while (accept('[')) {
    if (lex.peek().is(']'))
      open = true;
    else if (__builtin_mul_overflow(count, static_cast<uint64_t>(expectInt("an array size")),
                                    &count))
      count = ~uint64_t(0);
    expect(']');
  }
  v.isExtern = open;
  if (open)
    v.size = 0;
  else if (__builtin_mul_overflow(count, bytes, &v.size) || v.size > (1ull << 32))
    fail(name, "variable '" + v.name + "' is larger than 4 GiB");
  if (accept('=')) {
    parseInitializer(v, bytes);
    if (open)
      v.size = v.init.size(), v.isExtern = false;
    if (v.init.size() > v.size)
      fail(name, "initializer of '" + v.name + "' has " + std::to_string(v.init.size()) +
                     " bytes, the variable " + std::to_string(v.size));
  }
  return v;
}

std::vector<Variable> Parser::parseVariables(Space space) {
  std::vector<Variable> list;
  list.push_back(parseVariable(space));
  if (lex.peek().is(','))
    expected("one variable per declaration");
  expect(';');
  return list;
}

void Parser::parseInitElement(Variable &v, unsigned elementBytes) {
  Token t = lex.peek();
  bool negative = accept('-');
  t = lex.next();
  uint64_t bits = static_cast<uint64_t>(negative ? -t.value : t.value);
  if (t.kind == Token::Word) {
    std::string symbol(t.text);
    bool generic = symbol == "generic";
    if (generic) {
      expect('(');
      symbol = std::string(expectWord("a symbol").text);
      expect(')');
    }
    bits = accept('+') ? static_cast<uint64_t>(expectInt("an offset")) : 0;
    v.relocations.push_back({v.init.size(), symbol});
  } else if (t.kind != Token::Int && t.kind != Token::Float32 && t.kind != Token::Float64) {
    fail(t, "expected a constant in an initializer, found '" + std::string(t.text) + "'");
  }
  for (unsigned i = 0; i < elementBytes; ++i)
    v.init.push_back(i < 8 ? static_cast<uint8_t>(bits >> (8 * i)) : 0);
}

void Parser::parseInitializer(Variable &v, unsigned elementBytes) {
  if (!accept('{'))
    return parseInitElement(v, elementBytes);
  if (!lex.peek().is('}')) {
    do
      parseInitializer(v, elementBytes);
    while (accept(','));
  }
  expect('}');
}

std::vector<Variable> Parser::parseParameters(uint64_t &bytes) {
  std::vector<Variable> list;
  expect('(');
  while (!lex.peek().is(')')) {
    Token space = expectWord(".param");
    if (space.text == ".reg") {
      fail(space, "register parameters are not supported");
    } else if (space.text != ".param") {
      fail(space, "expected .param, found '" + std::string(space.text) + "'");
    }
    Variable v = parseVariable(Space::Param);
    bytes = (bytes + v.align - 1) / v.align * v.align;
    v.offset = bytes;
    bytes += v.size;
    list.push_back(std::move(v));
    if (!accept(','))
      break;
  }
  expect(')');
  return list;
}

/// As ptxas does: kernels have room for 4,352 bytes of parameters, and for 32,764 from PTX 8.1 on.
void Parser::checkParameters(const Token &entry, uint64_t bytes) {
  bool isLarge = module.versionMajor * 10 + module.versionMinor >= 81;
  uint64_t most = isLarge ? 32764 : 4352;
  if (bytes > most)
    fail(entry, "entry '" + std::string(entry.text) + "' has " + std::to_string(bytes) +
                    " bytes of parameters, more than the " + std::to_string(most) + " of PTX " +
                    std::to_string(module.versionMajor) + "." +
                    std::to_string(module.versionMinor));
}

void Parser::parsePerformance(Function &f) {
  auto triple = [&](uint32_t *out) {
    for (int i = 0; i < 3; ++i) {
      out[i] = 1;
      if (i == 0 || accept(','))
        out[i] = static_cast<uint32_t>(expectInt("a size"));
    }
  };
  while (lex.peek().kind == Token::Word && lex.peek().text[0] == '.') {
    Token t = lex.next();
    if (t.text == ".maxntid")
      triple(f.maxntid);
    else if (t.text == ".reqntid")
      triple(f.reqntid);
    else if (t.text == ".reqnctapercluster")
      triple(f.reqCluster);
    else if (t.text == ".maxnreg")
      f.maxnreg = static_cast<uint32_t>(expectInt("a register count"));
    else if (t.text == ".minnctapersm" || t.text == ".maxnctapersm")
      f.minnctapersm = static_cast<uint32_t>(expectInt("a CTA count"));
    else if (t.text == ".maxclusterrank")
      f.maxClusterRank = static_cast<uint32_t>(expectInt("a cluster rank"));
    else if (t.text == ".explicitcluster")
      f.explicitCluster = true;
    else if (t.text == ".pragma")
      skipToSemicolon();
    else if (t.text != ".noreturn")
      fail(t, "unsupported function directive '" + std::string(t.text) + "'");
  }
}

void Parser::parseFunction(bool isEntry) {
  Function f;
  f.isEntry = isEntry;
  uint64_t ignored = 0;
  if (!isEntry && lex.peek().is('('))
    f.returns = parseParameters(ignored);
  Token name = expectWord("a function name");
  f.name = std::string(name.text);
  f.pos = name.pos;
  if (lex.peek().is('('))
    f.params = parseParameters(f.paramBytes);
  if (isEntry)
    checkParameters(name, f.paramBytes);
  parsePerformance(f);
  if (accept(';')) {
    f.isDeclaration = true;
  } else {
    locFile = locLine = 0;
    parseBody(f);
  }
  module.functions.push_back(std::move(f));
}

void Parser::parseBody(Function &f) {
  Token open = lex.peek();
  expect('{');
  openScope();
  size_t base = scopes.size();
  for (;;) {
    if (accept('{')) {
      openScope();
    } else if (lex.peek().is('}')) {
      lex.next();
      closeScope(f);
      if (scopes.size() < base)
        return;
    } else if (lex.peek().kind == Token::End) {
      fail(open, "'{' of function '" + f.name + "' is never closed");
    } else {
      parseStatement(f);
    }
  }
}

void Parser::closeScope(Function &f) {
  ParserScope scope = std::move(scopes.back());
  scopes.pop_back();
  for (auto [stmt, index] : scope.pending) {
    Operand &o = f.body[stmt].operands[index];
    auto it = scope.labels.find(o.name);
    if (it != scope.labels.end())
      o.imm = it->second;
    else if (!scopes.empty())
      scopes.back().pending.push_back({stmt, index});
    else
      throw PtxError(o.pos, "undefined label '" + o.name + "'");
  }
}

void Parser::parseStatement(Function &f) {
  const Token &t = lex.peek();
  if (t.kind == Token::Word && t.text[0] == '.')
    return parseBodyDirective(f);
  if (accept(';'))
    return;
  parseInstruction(f);
}

void Parser::parseBodyDirective(Function &f) {
  Token t = lex.next();
  if (t.text == ".reg") {
    parseRegisters(f);
  } else if (t.text == ".shared" || t.text == ".local" || t.text == ".param") {
    Space s = t.text == ".shared"  ? Space::Shared
              : t.text == ".local" ? Space::Local
                                   : Space::Param;
    for (Variable &v : parseVariables(s))
      f.variables.push_back(std::move(v));
  } else if (t.text == ".loc") {
    locFile = static_cast<uint32_t>(expectInt("a file number"));
    locLine = static_cast<uint32_t>(expectInt("a line"));
    expectInt("a column");
    // `, function_name $L, inlined_at 1 2 3` follows for inlined code.
    while (accept(',')) {
      Token what = expectWord("function_name or inlined_at");
      if (what.text == "inlined_at") {
        for (int i = 0; i < 3; ++i)
          expectInt("a number");
      } else {
        expectWord("a label");
        if (accept('+'))
          expectInt("an offset");
      }
    }
  } else if (t.text == ".pragma") {
    skipToSemicolon();
  } else {
    fail(t, "unsupported directive '" + std::string(t.text) + "' in a function body");
  }
}

void Parser::parseRegisters(Function &f) {
  Token typeToken = expectWord("a register type");
  Type written = parseType(typeToken.text.substr(1));
  unsigned bits = bitsOf(written);
  Type type = written == Type::Pred     ? Type::Pred
              : bits == 8 || bits == 16 ? Type::B16 // 8-bit registers behave as 16-bit ones
              : bits == 32              ? Type::B32
              : bits == 64              ? Type::B64
              : bits == 128             ? Type::B128
                                        : Type::None;
  if (type == Type::None)
    fail(typeToken, "unsupported register type '" + std::string(typeToken.text) + "'");
  do {
    Token name = expectWord("a register name");
    std::string base(name.text);
    int32_t first = static_cast<int32_t>(f.registers.size());
    if (accept('<')) {
      int64_t count = expectInt("a register count");
      expect('>');
      if (count < 0 || count > (1 << 20))
        fail(name, "unreasonable register count " + std::to_string(count));
      for (int64_t i = 0; i < count; ++i)
        f.registers.push_back({base + std::to_string(i), type});
      scopes.back().ranges[base] = {static_cast<uint32_t>(count), first};
    } else {
      f.registers.push_back({base, type});
      scopes.back().registers[base] = first;
    }
  } while (accept(','));
  expect(';');
}

int32_t Parser::findRegister(std::string_view name) {
  std::string whole(name);
  size_t digits = name.find_last_not_of("0123456789") + 1;
  for (auto s = scopes.rbegin(); s != scopes.rend(); ++s) {
    auto one = s->registers.find(whole);
    if (one != s->registers.end())
      return one->second;
    if (digits == name.size() || digits + 8 < name.size())
      continue;
    auto range = s->ranges.find(whole.substr(0, digits));
    bool leadingZero = name[digits] == '0' && name.size() > digits + 1;
    if (range != s->ranges.end() && !leadingZero) {
      uint32_t index = static_cast<uint32_t>(atoi(whole.c_str() + digits));
      if (index < range->second.count)
        return range->second.first + static_cast<int32_t>(index);
    }
  }
  return -1;
}

void Parser::parseInstruction(Function &f) {
  Instr i;
  Token first = lex.peek();
  i.pos = first.pos;
  if (accept('@')) {
    i.guardNegated = accept('!');
    Token p = expectWord("a predicate register");
    i.guard = findRegister(p.text);
    if (i.guard < 0 || f.registers[i.guard].type != Type::Pred)
      fail(p, "'" + std::string(p.text) + "' is not a predicate register");
  }
  Token op = expectWord("an instruction");
  if (i.guard < 0 && accept(':')) {
    auto [it, isNew] =
        scopes.back().labels.emplace(std::string(op.text), static_cast<int64_t>(f.body.size()));
    if (!isNew)
      fail(op, "label '" + it->first + "' is defined twice in one scope");
    return;
  }
  std::string_view rest = op.text;
  for (bool isFirst = true; !rest.empty(); isFirst = false) {
    size_t dot = rest.find('.');
    std::string part(rest.substr(0, dot));
    rest = dot == rest.npos ? std::string_view() : rest.substr(dot + 1);
    if (isFirst)
      i.opcode = part;
    else
      i.mods.push_back(part);
  }
  while (!lex.peek().is(';')) {
    i.operands.push_back(parseOperand(f));
    if (!accept(','))
      break;
  }
  std::string_view text = lex.textSince(first);
  expect(';');
  for (char c : text)
    if (!isspace((unsigned char)c))
      i.text += c;
    else if (!i.text.empty() && i.text.back() != ' ')
      i.text += ' ';
  i.locFile = locFile;
  i.locLine = locLine;
  for (size_t k = 0; k < i.operands.size(); ++k)
    if (i.operands[k].kind == Operand::Label)
      scopes.back().pending.push_back({f.body.size(), k});
  f.body.push_back(std::move(i));
}

Module parsePtx(std::string_view text) { return Parser(text).parse(); }

} // namespace attnc::emu
