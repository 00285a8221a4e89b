// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Splits PTX text into tokens. The one unusual decision: an opcode with its modifiers
// (`cp.async.ca.shared.global.L2::128B`) is a single word token, because modifiers can contain `::`
// and digits that would otherwise be numbers, while in an operand `%tid.x` is the only dotted form.
#pragma once

#include "attnc/Emulator/Ptx.h"

namespace attnc::emu {

struct Token {
  enum Kind : uint8_t { End, Word, Int, Float32, Float64, Punct, String } kind = End;
  std::string_view text;
  int64_t value = 0; ///< integer value or the bits of a float
  SourcePos pos;
  bool is(char c) const { return kind == Punct && text[0] == c; }
  bool isWord(std::string_view w) const { return kind == Word && text == w; }
};

class Lexer {
public:
  explicit Lexer(std::string_view text) : text(text) { advance(); }
  const Token &peek() const { return current; }
  Token next() {
    Token t = current;
    advance();
    return t;
  }
  /// The text from a token's first character to the end of the token read last.
  std::string_view textSince(const Token &first) const {
    return text.substr(first.text.data() - text.data(),
                       lastEnd - static_cast<size_t>(first.text.data() - text.data()));
  }

private:
  void advance();
  void skipBlanks();
  void lexNumber();
  void lexFloatBits();
  void lexInteger();
  size_t lengthOfDecimalFloat() const;
  void lexWord();
  void lexString();
  void step() {
    if (text[offset] == '\n') {
      ++pos.line;
      pos.column = 0;
    }
    ++pos.column;
    ++offset;
  }
  char at(size_t i) const { return offset + i < text.size() ? text[offset + i] : '\0'; }

  std::string_view text;
  size_t offset = 0, lastEnd = 0;
  SourcePos pos{1, 1};
  Token current;
};

} // namespace attnc::emu
