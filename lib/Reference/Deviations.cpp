// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Perturbed runs, and what they deviate by.
#include "attnc/Reference/Deviations.h"
#include "Memory.h"
#include "llvm/ADT/STLExtras.h"

#include <set>

using namespace attnc;
using namespace attnc::reference;

/// How many different numbers there are, counted up to `most`: equal ones are rounded alike, and
/// are one draw. NaN is none.
static size_t countDifferent(llvm::ArrayRef<double> numbers, size_t most) {
  std::set<double> found;
  for (double x : numbers) {
    if (found.size() == most)
      break;
    if (!std::isnan(x))
      found.insert(x);
  }
  return found.size();
}

namespace {
/// The rows of a tensor: see Deviation. Rows of one length, the first of which begins with the
/// tensor's first element, are cut from it; what has too few different numbers has the row that it
/// is part of, of a multiple of the length.
class Rows {
public:
  explicit Rows(const Tensor64 &expected);
  /// Raises each element of `deviations` to the largest of `deltas` in its row. A shortest row in
  /// which nothing deviates is exact, and is left as it is.
  void raise(llvm::ArrayRef<double> deltas, std::vector<double> &deviations) const;

private:
  size_t shortest = 1;         ///< length of rows that have 16 elements, or all
  std::vector<size_t> lengths; ///< of the row of each shortest one
};
} // namespace

Rows::Rows(const Tensor64 &expected) {
  llvm::ArrayRef<double> data = expected.data;
  llvm::ArrayRef<int64_t> outer = expected.shape;
  if (data.empty())
    return;
  for (; !outer.empty() && shortest < numDrawsOfRow; outer = outer.drop_back())
    shortest *= static_cast<size_t>(outer.back());
  lengths.assign(data.size() / shortest, shortest);
  for (size_t length = shortest; !outer.empty(); outer = outer.drop_back()) {
    size_t longer = length * static_cast<size_t>(outer.back());
    for (size_t first = 0; first < data.size(); first += length)
      if (lengths[first / shortest] == length &&
          countDifferent(data.slice(first, length), numDrawsOfRow) < numDrawsOfRow)
        std::fill_n(lengths.begin() + static_cast<ptrdiff_t>(first / shortest), length / shortest,
                    longer);
    length = longer;
  }
}

void Rows::raise(llvm::ArrayRef<double> deltas, std::vector<double> &deviations) const {
  std::map<size_t, std::vector<double>> largest; // of each row, by length
  for (size_t length : lengths)
    if (std::vector<double> &rows = largest[length]; rows.empty())
      for (size_t first = 0; first < deltas.size(); first += length)
        rows.push_back(*llvm::max_element(deltas.slice(first, length)));
  for (size_t row = 0, first = 0; row < lengths.size(); ++row, first += shortest) {
    if (llvm::all_of(deltas.slice(first, shortest), [](double delta) { return delta == 0; }))
      continue;
    double most = std::max(deviations[first], largest[lengths[row]][first / lengths[row]]);
    std::fill_n(deviations.begin() + static_cast<ptrdiff_t>(first), shortest, most);
  }
}

static double difference(double x, double r) {
  if (x == r || (std::isnan(x) && std::isnan(r)))
    return 0;
  double delta = std::fabs(x - r);
  return std::isfinite(delta) ? delta : std::numeric_limits<double>::infinity();
}

/// Widens `deviation` to what `found` is away from `expected`.
static void widen(Deviation &deviation, const Rows &rows, const std::vector<double> &found,
                  const std::vector<double> &expected) {
  double square = 0;
  std::vector<double> deltas;
  deltas.reserve(expected.size());
  for (auto [x, r] : llvm::zip_equal(found, expected)) {
    deltas.push_back(difference(x, r));
    square += deltas.back() * deltas.back();
  }
  deviation.elements.resize(expected.size(), 0.0);
  rows.raise(deltas, deviation.elements);
  deviation.norm = std::max(deviation.norm, std::sqrt(square));
}

/// Whether a run draws enough for each output: it is exact, or has many different numbers.
static bool drawsMuch(const Deviations &deviations,
                      const std::map<std::string, Tensor64> &expected) {
  return llvm::all_of(expected, [&](const auto &entry) {
    return deviations.outputs.at(entry.first).norm == 0 ||
           countDifferent(entry.second.data, numDrawsOfLarge) == numDrawsOfLarge;
  });
}

llvm::Expected<Deviations>
attnc::reference::deviations(attn::VariantOp variant, const Bindings &bindings,
                             const std::map<std::string, Tensor64> &expected, const Decisions &own,
                             const Decisions &decisions, const Roundoffs &roundoffs,
                             const std::vector<int64_t> &rows) {
  Deviations result;
  std::map<std::string, Rows> rowsOfOutputs, rowsOfKeys;
  for (const auto &[name, tensor] : expected)
    rowsOfOutputs.emplace(name, tensor);
  for (const auto &[name, decision] : own.byName)
    rowsOfKeys.emplace(name, Tensor64{decision.shape, decision.keys});
  for (unsigned seed = 0; seed < numPerturbedRuns; ++seed) {
    if (seed == numPerturbedRunsOfLarge && drawsMuch(result, expected))
      break;
    RunOptions options;
    options.arithmetic = Arithmetic::Perturbed;
    options.roundoffs = roundoffs;
    options.seed = seed;
    options.forced = &decisions;
    options.rows = rows;
    Decisions perturbed;
    if (!decisions.byName.empty())
      options.recorded = &perturbed;
    auto outputs = runWith(variant, bindings, options);
    if (!outputs)
      return outputs.takeError();
    for (const auto &[name, tensor] : *outputs)
      widen(result.outputs[name], rowsOfOutputs.at(name), tensor.data, expected.at(name).data);
    for (auto &[name, decision] : perturbed.byName) {
      const Decision &wanted = own.byName.at(name);
      widen(result.keys[name], rowsOfKeys.at(name), decision.keys, wanted.keys);
    }
  }
  return result;
}
