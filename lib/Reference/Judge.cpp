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
  std::optional<CoverRow> cover;
  double shortfall = 0; ///< of an argmax or argmin
  double margin() const { return margins.empty() ? 0 : *llvm::max_element(margins); }
};

/// Flushed: within the margin because kernels flush all of the keys to 0, which any rule decides
/// another way, and any number of rows.
enum class Admission { Same, Flushed, Margin, Inadmissible, Undecidable };

/// Whether each key is below the smallest normal number of f32.
bool isFlushed(const Row &row) {
  return llvm::all_of(row.keys, [](double key) { return std::fabs(key) < 0x1p-126; });
}

/// A margin that spans much of what the keys span says nothing.
Admission withinMargin(const Row &row) {
  if (isFlushed(row))
    return Admission::Flushed;
  double low = infinity, high = -infinity;
  for (double key : row.keys)
    if (std::isfinite(key)) {
      low = std::min(low, key);
      high = std::max(high, key);
    }
  return high > low && 2 * row.margin() > 0.05 * (high - low) ? Admission::Undecidable
                                                              : Admission::Margin;
}

/// What a row keeps, by the reference's keys.
struct Kept {
  double least = infinity, mostDropped = -infinity; ///< keys
  int64_t count = 0;
  double mass = 0; ///< the sum of the keys
};

/// Nothing if an entry is kept that is none (-inf, NaN), or one far below one that is dropped.
std::optional<Kept> keptIn(const Row &row) {
  Kept kept;
  for (size_t i = 0; i < row.taken.size(); ++i) {
    if (row.taken[i] == 0) {
      kept.mostDropped = std::fmax(kept.mostDropped, row.keys[i]);
      continue;
    }
    if (!(row.keys[i] > -infinity))
      return std::nullopt;
    kept.least = std::fmin(kept.least, row.keys[i]);
    kept.mass += row.keys[i];
    ++kept.count;
  }
  bool isPrefix = !(kept.least + 2 * row.margin() < kept.mostDropped);
  return isPrefix ? std::optional(kept) : std::nullopt;
}

Admission judgeTop(const Row &row) {
  std::optional<Kept> kept = keptIn(row);
  return kept && kept->count == llvm::count_if(row.own, [](double x) { return x != 0; })
             ? withinMargin(row)
             : Admission::Inadmissible;
}

/// How far sums of a row may be off: all of its keys by their margins, and twice what rounding in
/// f32 does to a sum of so many terms and a few operations on it.
double marginOfSums(const Row &row) {
  double sum = 0, magnitude = 0;
  for (auto [key, margin] : llvm::zip_equal(row.keys, row.margins))
    if (std::isfinite(key)) {
      sum += margin;
      magnitude += std::fabs(key);
    }
  return 2 * sum + 2 * (static_cast<double>(row.keys.size()) + 8) * 0x1p-24 * magnitude;
}

Admission judgeCover(const Row &row) {
  std::optional<Kept> kept = keptIn(row);
  if (!kept)
    return Admission::Inadmissible;
  const CoverRow &cover = *row.cover;
  double margin = marginOfSums(row), count = static_cast<double>(kept->count);
  // Whether the sums ask for at most, and for at least, so many. A limit may be what is kept.
  double withNext = kept->mass + kept->mostDropped, withoutLast = kept->mass - kept->least;
  bool asksForNoMore =
      cover.isInclusive ? kept->mass >= cover.target - margin : withNext > cover.target - margin;
  bool asksForNoFewer =
      cover.isInclusive ? withoutLast < cover.target + margin : kept->mass <= cover.target + margin;
  bool isAdmissible = count >= cover.atLeast && count <= cover.atMost &&
                      (asksForNoMore || count == cover.atMost) &&
                      (asksForNoFewer || count == cover.atLeast);
  if (!isAdmissible)
    return Admission::Inadmissible;
  bool isVague = margin > 0.05 * cover.total && !isFlushed(row);
  return isVague ? Admission::Undecidable : withinMargin(row);
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

Admission judgeRow(const Decision &decision, const Row &row) {
  if (row.taken == row.own)
    return Admission::Same;
  if (decision.op == "attn.select")
    return row.cover ? judgeCover(row) : judgeTop(row);
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
  if (decision.op == "attn.reduce")
    return row.shortfall <= 2 * margin ? Admission::Margin : Admission::Inadmissible;
  if (decision.op == "arith.cmpf" || decision.part == "skip")
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
  if (auto cover = own.covers.find(places.front()); cover != own.covers.end())
    row.cover = cover->second;
  for (size_t place : places) {
    if (std::isnan(taken.values[place]) || std::isnan(own.values[place]))
      continue;
    row.taken.push_back(taken.values[place]);
    row.own.push_back(own.values[place]);
    row.keys.push_back(own.keys[place]);
    if (!own.shortfalls.empty())
      row.shortfall = own.shortfalls[place];
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
  Admission admission = judgeRow(taken, row);
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
