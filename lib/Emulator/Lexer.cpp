// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The PTX tokenizer; see Lexer.h for the one unusual decision. Numbers are those that ptxas 13.0
// reads, which are more than the manual's grammar admits: digits may be missing on either side of
// a decimal point (`20.`, `.5`, `1.e3`) or the point altogether (`1e5`), `0f` and `0d` introduce
// hexadecimal float bits, `0x`, `0b` and a leading 0 the other integer bases, and integers may end
// in `U`. Two limits are ours or ptxas's: an integer must fit 64 bits, a float must be zero or a
// normal double.
#include "Lexer.h"

#include <cctype>
#include <cerrno>
#include <cmath>
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

/// Bits of a float in exactly so many hexadecimal digits, after `0f` or `0d`.
void Lexer::lexFloatBits() {
  bool isDouble = (at(1) | 32) == 'd';
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
}

/// How many characters from here make a decimal float; 0 when there is none. A point or an exponent
/// is what tells it from an integer.
size_t Lexer::lengthOfDecimalFloat() const {
  auto digits = [&](size_t i) {
    while (std::isdigit((unsigned char)at(i)))
      ++i;
    return i;
  };
  size_t n = digits(0);
  bool point = at(n) == '.';
  if (point)
    n = digits(n + 1);
  if (n == size_t(point)) // a lone point
    return 0;
  size_t exponent = 0;
  if ((at(n) | 32) == 'e') {
    size_t sign = at(n + 1) == '+' || at(n + 1) == '-';
    exponent = digits(n + 1 + sign);
    if (exponent == n + 1 + sign)
      exponent = 0;
  }
  return exponent ? exponent : point ? n : 0;
}

void Lexer::lexInteger() {
  char prefix = at(0) == '0' ? static_cast<char>(at(1) | 32) : '\0';
  int base = prefix == 'x' ? 16 : prefix == 'b' ? 2 : at(0) == '0' ? 8 : 10;
  if (base == 16 || base == 2)
    step(), step();
  std::string digits;
  while (base == 16 ? std::isxdigit((unsigned char)at(0)) : at(0) >= '0' && at(0) < '0' + base) {
    digits += at(0);
    step();
  }
  if (digits.empty())
    throw PtxError(current.pos, "expected digits after '0" + std::string(1, prefix) + "'");
  errno = 0;
  current.value = static_cast<int64_t>(std::strtoull(digits.c_str(), nullptr, base));
  current.kind = Token::Int;
  if (errno == ERANGE)
    throw PtxError(current.pos, "integer literal '" + digits + "' does not fit 64 bits");
  if (at(0) == 'U')
    step();
}

void Lexer::lexNumber() {
  size_t start = offset;
  auto soFar = [&] { return std::string(text.substr(start, offset - start)); };
  if (at(0) == '0' && at(1) != '\0' && strchr("fFdD", at(1))) {
    lexFloatBits();
  } else if (size_t length = lengthOfDecimalFloat()) {
    for (size_t i = 0; i < length; ++i)
      step();
    std::string digits = soFar();
    double d = std::strtod(digits.c_str(), nullptr);
    bool zero = digits.find_first_of("123456789") >= digits.find_first_of("eE");
    if (!zero && !std::isnormal(d))
      throw PtxError(current.pos, "float literal '" + digits + "' is not a normal double");
    memcpy(&current.value, &d, 8);
    current.kind = Token::Float64;
  } else {
    lexInteger();
  }
  if (!isIdent(at(0)) && !(at(0) == '.' && std::isdigit((unsigned char)at(1))))
    return;
  while (isIdent(at(0)) || at(0) == '.')
    step();
  throw PtxError(current.pos, "malformed number '" + soFar() + "'");
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
  if (std::isdigit((unsigned char)c) || (c == '.' && std::isdigit((unsigned char)at(1))))
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
