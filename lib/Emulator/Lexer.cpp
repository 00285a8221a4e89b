// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The PTX tokenizer; see Lexer.h for the one unusual decision. Numbers follow the ISA: `0f` and
// `0d` introduce hexadecimal float bits, `0x`, `0b` and a leading 0 the other integer bases, and a
// `U` suffix is allowed. Integer literals wrap to 64 bits only when they fit as unsigned.
#include "Lexer.h"

#include <cctype>
#include <cstdlib>
#include <cstring>

namespace attnc::emu {

static bool isIdentStart(char c) { return std::isalpha((unsigned char)c) || strchr("_$%", c); }
static bool isIdent(char c) { return std::isalnum((unsigned char)c) || c == '_' || c == '$'; }

void Lexer::skipBlanks() {
  while (offset < text.size()) {
    if (std::isspace((unsigned char)at(0))) {
      step();
    } else if (at(0) == '/' && at(1) == '/') {
      while (offset < text.size() && at(0) != '\n')
        step();
    } else if (at(0) == '/' && at(1) == '*') {
      SourcePos open = pos;
      while (offset < text.size() && !(at(0) == '*' && at(1) == '/'))
        step();
      if (offset >= text.size())
        throw PtxError(open, "comment is never closed");
      step(), step();
    } else {
      return;
    }
  }
}

void Lexer::lexNumber() {
  if (at(0) == '0' && strchr("fFdD", at(1)) && at(1) != '\0') {
    bool isDouble = at(1) == 'd' || at(1) == 'D';
    unsigned digits = isDouble ? 16 : 8;
    step(), step();
    uint64_t bits = 0;
    for (unsigned i = 0; i < digits; ++i) {
      if (!std::isxdigit((unsigned char)at(0)))
        throw PtxError(current.pos, "expected " + std::to_string(digits) +
                                        " hexadecimal digits in a float literal, found " +
                                        std::to_string(i));
      char c = at(0);
      bits = bits * 16 + (std::isdigit((unsigned char)c) ? c - '0' : (c | 32) - 'a' + 10);
      step();
    }
    current.kind = isDouble ? Token::Float64 : Token::Float32;
    current.value = static_cast<int64_t>(bits);
    return;
  }
  std::string digits;
  while (std::isalnum((unsigned char)at(0)) ||
         (at(0) == '.' && std::isdigit((unsigned char)at(1))) ||
         ((at(0) == '-' || at(0) == '+') && !digits.empty() && (digits.back() | 32) == 'e' &&
          digits.find('.') != std::string::npos)) {
    digits += at(0);
    step();
  }
  char *end = nullptr;
  if (digits.find('.') != std::string::npos) {
    double d = std::strtod(digits.c_str(), &end);
    memcpy(&current.value, &d, 8);
    current.kind = Token::Float64;
  } else {
    while (!digits.empty() && (digits.back() == 'U' || digits.back() == 'u'))
      digits.pop_back();
    bool binary = digits.size() > 2 && digits[0] == '0' && (digits[1] | 32) == 'b';
    errno = 0;
    current.value = static_cast<int64_t>(binary ? std::strtoull(digits.c_str() + 2, &end, 2)
                                                : std::strtoull(digits.c_str(), &end, 0));
    current.kind = Token::Int;
    if (errno == ERANGE)
      throw PtxError(current.pos, "integer literal '" + digits + "' does not fit 64 bits");
  }
  if (!end || *end)
    throw PtxError(current.pos, "malformed number '" + digits + "'");
}

void Lexer::lexWord() {
  current.kind = Token::Word;
  bool directive = at(0) == '.';
  bool isRegister = at(0) == '%';
  step();
  for (;;) {
    if (isIdent(at(0)))
      step();
    else if (at(0) == ':' && at(1) == ':' && isIdent(at(2)) && !isRegister)
      step(), step();
    else if (at(0) == '.' && isIdent(at(1)) && !directive)
      step();
    else
      return;
  }
}

void Lexer::lexString() {
  current.kind = Token::String;
  step();
  while (offset < text.size() && at(0) != '"') {
    if (at(0) == '\\')
      step();
    if (offset < text.size())
      step();
  }
  if (offset >= text.size())
    throw PtxError(current.pos, "string is never closed");
  step();
}

void Lexer::advance() {
  lastEnd = offset;
  skipBlanks();
  current = Token();
  current.pos = pos;
  size_t start = offset;
  if (offset >= text.size()) {
    current.text = text.substr(text.size());
    return;
  }
  char c = at(0);
  if (std::isdigit((unsigned char)c))
    lexNumber();
  else if (isIdentStart(c) || (c == '.' && std::isalpha((unsigned char)at(1))))
    lexWord();
  else if (c == '"')
    lexString();
  else {
    current.kind = Token::Punct;
    if (!strchr("{}[]()<>,;:+-!|@=~*&^/", c))
      throw PtxError(pos, std::string("unexpected character '") + c + "'");
    step();
  }
  current.text = text.substr(start, offset - start);
}

} // namespace attnc::emu
