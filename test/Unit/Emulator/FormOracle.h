// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What a scalar PTX instruction computes, from its spelling: a second, slow and systematic opinion
// that shares no code with the emulator. Integers go through 128-bit arithmetic, singles and
// doubles through the host's IEEE unit with its rounding mode set, narrow floats through quadruple
// precision and one rounding.
#pragma once

#include "Oracle.h"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace attnc::emu::test {

/// A type of PTX, as the oracle sees it.
struct FormType {
  std::string name;
  char kind; ///< 's', 'u', 'b' integer or bits, 'f' float, 'o' other
  int bits;  ///< of one part
  int parts = 1;
  FloatFormat format{};
  int width() const { return bits * parts; }
  /// Letter of the register it lives in, as in Instruction::widths.
  char registerWidth() const { return width() <= 16 ? 'h' : width() == 32 ? 'w' : 'd'; }
};
const std::vector<FormType> &formTypes();

/// The modifiers that change what is computed.
struct FormFlags {
  std::string rounding, comparison, boolean, part;
  bool ftz = false, sat = false, nan = false, relu = false, xorsign = false, satfinite = false;
};

using FormOracle = std::function<uint64_t(uint64_t, uint64_t, uint64_t)>;
/// Null when the oracle does not know the form.
FormOracle arithmeticOracle(const std::string &op, const FormType &t, const FormFlags &f);
FormOracle comparisonOracle(const FormType &t, const FormFlags &f);
FormOracle conversionOracle(const FormType &to, const FormType &from, const FormFlags &f);

/// The largest error in units in the last place; 0 for exact results.
double toleranceOf(const std::string &op, const FormType &t, const FormFlags &f);

/// Whether two results of a type are the same: all NaNs are, and approximate ones may differ.
bool sameResult(const FormType &t, uint64_t got, uint64_t want, double ulps);

} // namespace attnc::emu::test
