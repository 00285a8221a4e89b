// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Perturbed runs, and what they deviate by.
#include "attnc/Reference/Deviations.h"
#include "Memory.h"

using namespace attnc;
using namespace attnc::reference;

/// Elements of the innermost axes that are at least 16 together, or all of them.
static size_t rowLength(const std::vector<int64_t> &shape) {
  int64_t length = 1;
  for (size_t axis = shape.size(); axis-- > 0 && length < 16;)
    length *= shape[axis];
  return static_cast<size_t>(length);
}

static double difference(double x, double r) {
  if (x == r || (std::isnan(x) && std::isnan(r)))
    return 0;
  double delta = std::fabs(x - r);
  return std::isfinite(delta) ? delta : std::numeric_limits<double>::infinity();
}

/// Widens `deviation` to what `found` is away from `expected`.
static void widen(Deviation &deviation, const std::vector<int64_t> &shape,
                  const std::vector<double> &found, const std::vector<double> &expected) {
  double square = 0;
  size_t count = expected.size(), length = rowLength(shape);
  deviation.elements.resize(count, 0.0);
  for (size_t first = 0; first < count; first += length) {
    double most = deviation.elements[first];
    for (size_t i = first; i < first + length; ++i) {
      double delta = difference(found[i], expected[i]);
      square += delta * delta;
      most = std::max(most, delta);
    }
    std::fill_n(deviation.elements.begin() + static_cast<ptrdiff_t>(first), length, most);
  }
  deviation.norm = std::max(deviation.norm, std::sqrt(square));
}

llvm::Expected<Deviations>
attnc::reference::deviations(attn::VariantOp variant, const Bindings &bindings,
                             const std::map<std::string, Tensor64> &expected, const Decisions &own,
                             const Decisions &decisions, const Roundoffs &roundoffs,
                             const std::vector<int64_t> &rows) {
  Deviations result;
  size_t smallest = std::numeric_limits<size_t>::max();
  for (const auto &[name, tensor] : expected)
    smallest = std::min(smallest, tensor.data.size());
  unsigned runs = smallest < numElementsOfLarge ? numPerturbedRuns : numPerturbedRunsOfLarge;
  for (unsigned seed = 0; seed < runs; ++seed) {
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
      widen(result.outputs[name], tensor.shape, tensor.data, expected.at(name).data);
    for (auto &[name, decision] : perturbed.byName) {
      const Decision &wanted = own.byName.at(name);
      widen(result.keys[name], decision.shape, decision.keys, wanted.keys);
    }
  }
  return result;
}
