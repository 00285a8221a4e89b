// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Judgement of decisions, row by row.
#include "attnc/Reference/Judge.h"
#include "Memory.h"
#include "llvm/ADT/STLExtras.h"

#include <cmath>

using namespace attnc;
using namespace attnc::reference;

namespace {
constexpr double infinity = std::numeric_limits<double>::infinity();

/// One row: what was decided, what the reference decides, the reference's keys, how far they may be
/// off.
struct Row {
  std::vector<double> taken, own, keys, margins;
  double margin() const { return margins.empty() ? 0 : *llvm::max_element(margins); }
};

enum class Admission { Same, Margin, Inadmissible, Undecidable };

/// A margin that spans much of what the keys span says nothing.
Admission withinMargin(const Row &row) {
  double low = infinity, high = -infinity;
  for (double key : row.keys)
    if (std::isfinite(key)) {
      low = std::min(low, key);
      high = std::max(high, key);
    }
  return high > low && 2 * row.margin() > 0.05 * (high - low) ? Admission::Undecidable
                                                              : Admission::Margin;
}

Admission judgeSelection(const Row &row, int64_t slack) {
  double leastKept = infinity, mostDropped = -infinity;
  int64_t kept = 0, wanted = 0;
  for (size_t i = 0; i < row.taken.size(); ++i) {
    kept += row.taken[i] != 0;
    wanted += row.own[i] != 0;
    if (row.taken[i] != 0)
      leastKept = std::fmin(leastKept, row.keys[i]);
    else
      mostDropped = std::fmax(mostDropped, row.keys[i]);
    bool isEntry = row.keys[i] > -infinity; // false for NaN
    if (row.taken[i] != 0 && !isEntry)
      return Admission::Inadmissible;
  }
  bool isPrefix = !(leastKept + 2 * row.margin() < mostDropped);
  return isPrefix && std::llabs(kept - wanted) <= slack ? withinMargin(row)
                                                        : Admission::Inadmissible;
}

/// `order` lists entries, the largest first.
Admission judgePermutation(const Row &row, const std::vector<double> &order) {
  std::vector<char> seen(order.size(), 0);
  double before = infinity;
  for (double entry : order) {
    if (!(entry >= 0 && entry < static_cast<double>(order.size())) ||
        seen[static_cast<size_t>(entry)])
      return Admission::Inadmissible;
    seen[static_cast<size_t>(entry)] = 1;
    double key = row.keys[static_cast<size_t>(entry)];
    if (key > before + 2 * row.margin())
      return Admission::Inadmissible;
    before = std::fmin(before, key);
  }
  return withinMargin(row);
}

/// Where `taken` and `own` are neighbours, the step is half-way between the rounded numbers, or at
/// the larger one for a conversion downwards; a key within the margin of either is at a step.
Admission judgeRounding(double taken, double own, double key, double margin) {
  double low = std::min(taken, own), high = std::max(taken, own), middle = (low + high) / 2;
  for (double step : {low, middle, high})
    if (std::fabs(key - step) <= margin)
      return Admission::Margin;
  return Admission::Inadmissible;
}

Admission judgeRow(const Decision &decision, const std::string &name, const Row &row) {
  if (row.taken == row.own)
    return Admission::Same;
  if (decision.op == "attn.select")
    return judgeSelection(row, llvm::StringRef(name).ends_with("cover") ? 1 : 0);
  if (decision.op == "attn.order")
    return judgePermutation(row, row.taken);
  if (decision.op == "attn.rank") {
    std::vector<double> order(row.taken.size(), -1);
    for (size_t i = 0; i < order.size(); ++i)
      if (row.taken[i] >= 0 && row.taken[i] < static_cast<double>(order.size()))
        order[static_cast<size_t>(row.taken[i])] = static_cast<double>(i);
    return judgePermutation(row, order);
  }
  double key = row.keys.front(), margin = row.margins.front();
  if (std::isnan(key)) // not kept
    return Admission::Margin;
  if (decision.op == "arith.cmpf")
    return std::fabs(key) <= 2 * margin ? Admission::Margin : Admission::Inadmissible;
  return judgeRounding(row.taken.front(), row.own.front(), key, margin);
}

/// Offsets of the places of each row of a selection, rank or order.
std::vector<std::vector<size_t>> rowsOf(const Decision &decision) {
  std::vector<std::vector<size_t>> rows;
  std::map<size_t, size_t> known; // by the offset of a row's first place
  for (size_t i = 0; i < decision.values.size(); ++i) {
    size_t first = i;
    for (unsigned axis : decision.rowAxes) {
      size_t stride = static_cast<size_t>(strideOf(decision.shape, axis));
      first -= i / stride % static_cast<size_t>(decision.shape[axis]) * stride;
    }
    auto [at, isNew] = known.try_emplace(first, rows.size());
    if (isNew)
      rows.emplace_back();
    rows[at->second].push_back(i);
  }
  return rows;
}

std::vector<int64_t> coordinatesOf(size_t place, const std::vector<int64_t> &shape) {
  std::vector<int64_t> result(shape.size());
  int64_t rest = static_cast<int64_t>(place);
  for (size_t axis = shape.size(); axis-- > 0; rest /= shape[axis])
    result[axis] = rest % shape[axis];
  return result;
}

/// Adds the judgement of the row that consists of `places`.
void addRow(DecisionVerdict &verdict, const Decision &taken, const Decision &own,
            const Deviation &deviation, llvm::ArrayRef<size_t> places) {
  Row row;
  for (size_t place : places) {
    if (std::isnan(taken.values[place]) || std::isnan(own.values[place]))
      continue;
    row.taken.push_back(taken.values[place]);
    row.own.push_back(own.values[place]);
    row.keys.push_back(own.keys[place]);
    row.margins.push_back(boundMargin * deviation.elements[place]);
    if (taken.values[place] == own.values[place])
      continue;
    if (verdict.different++ == 0)
      verdict.first = {coordinatesOf(place, taken.shape), taken.values[place], own.values[place],
                       own.keys[place]};
  }
  if (row.taken.empty())
    return;
  verdict.places += static_cast<int64_t>(row.taken.size());
  ++verdict.rows;
  Admission admission = judgeRow(taken, verdict.name, row);
  verdict.marginRows += admission == Admission::Margin;
  verdict.inadmissibleRows += admission == Admission::Inadmissible;
  verdict.undecidableRows += admission == Admission::Undecidable;
}
} // namespace

static DecisionVerdict judgeDecision(const std::string &name, const Decision &taken,
                                     const Decision &own, const Deviation &deviation) {
  DecisionVerdict verdict;
  verdict.name = name;
  verdict.line = taken.line;
  if (!taken.rowAxes.empty()) {
    for (const std::vector<size_t> &places : rowsOf(taken))
      addRow(verdict, taken, own, deviation, places);
    return verdict;
  }
  for (size_t place = 0; place < taken.values.size(); ++place) {
    if (taken.values[place] == own.values[place]) { // most places; NaN is not equal
      ++verdict.places;
      ++verdict.rows;
    } else {
      addRow(verdict, taken, own, deviation, place);
    }
  }
  return verdict;
}

std::vector<DecisionVerdict> attnc::reference::judge(const Decisions &taken, const Decisions &own,
                                                     const std::map<std::string, Deviation> &keys,
                                                     double limit) {
  std::vector<DecisionVerdict> verdicts;
  for (const auto &[name, decision] : taken.byName) {
    verdicts.push_back(judgeDecision(name, decision, own.byName.at(name), keys.at(name)));
    if (!decision.rowAxes.empty())
      verdicts.back().limit = limit;
  }
  return verdicts;
}
