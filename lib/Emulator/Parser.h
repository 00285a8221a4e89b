// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The PTX reader's class: recursive descent over Lexer tokens, one method for each construct.
#ifndef ATTNC_LIB_EMULATOR_PARSER_H
#define ATTNC_LIB_EMULATOR_PARSER_H

#include "Lexer.h"

#include <unordered_map>

namespace attnc::emu {

/// `.reg .b32 %r<100>` declares a hundred names with one entry.
struct RegisterRange {
  uint32_t count;
  int32_t first;
};

struct ParserScope {
  std::unordered_map<std::string, int32_t> registers;
  std::unordered_map<std::string, RegisterRange> ranges;
  std::unordered_map<std::string, int64_t> labels;
  /// Branch operands not yet bound: statement index, operand index.
  std::vector<std::pair<size_t, size_t>> pending;
};

class Parser {
public:
  explicit Parser(std::string_view text) : lex(text) {}
  Module parse();

private:
  [[noreturn]] void fail(const Token &at, const std::string &message) {
    throw PtxError(at.pos, message);
  }
  [[noreturn]] void expected(const std::string &what) {
    const Token &t = lex.peek();
    fail(t, "expected " + what + ", found " +
                (t.kind == Token::End ? "end of file" : "'" + std::string(t.text) + "'"));
  }
  bool accept(char c) {
    if (!lex.peek().is(c))
      return false;
    lex.next();
    return true;
  }
  void expect(char c) {
    if (!accept(c))
      expected(std::string("'") + c + "'");
  }
  Token expectWord(const char *what) {
    if (lex.peek().kind != Token::Word)
      expected(what);
    return lex.next();
  }
  int64_t expectInt(const char *what) {
    bool negative = accept('-');
    if (lex.peek().kind != Token::Int)
      expected(what);
    int64_t v = lex.next().value;
    return negative ? -v : v;
  }

  // Parser.cpp
  void parseDirective();
  void parseTarget();
  void parseFile();
  void skipBlock();
  void skipToSemicolon();
  Variable parseVariable(Space space);
  std::vector<Variable> parseVariables(Space space);
  void parseInitializer(Variable &v, unsigned elementBytes);
  void parseInitElement(Variable &v, unsigned elementBytes);
  void parseFunction(bool isEntry);
  std::vector<Variable> parseParameters(uint64_t &bytes);
  void checkParameters(const Token &entry, uint64_t bytes);
  void parsePerformance(Function &f);
  void parseBody(Function &f);
  void parseStatement(Function &f);
  void parseBodyDirective(Function &f);
  void parseRegisters(Function &f);
  void parseInstruction(Function &f);

  // ParseOperand.cpp
  Operand parseOperand(Function &f);
  Operand parsePrimary(Function &f);
  Operand parseNumber();
  Operand parseWordOperand(Function &f);
  Operand parseAddress(Function &f);
  Operand parseGroup(Function &f, char close, Operand::Kind kind);

  int32_t findRegister(std::string_view name);
  void openScope() { scopes.emplace_back(); }
  void closeScope(Function &f);

  Lexer lex;
  Module module;
  std::vector<ParserScope> scopes;
  uint32_t locFile = 0, locLine = 0;
  unsigned nesting = 0; ///< of the operand being parsed
};

} // namespace attnc::emu

#endif // ATTNC_LIB_EMULATOR_PARSER_H
