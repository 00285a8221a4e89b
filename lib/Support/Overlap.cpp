// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Whether strided tensors share memory. Two elements coincide where a sum of strides times indices
// has a given value, so each question is whether
//
//     a0 x0 + a1 x1 + ... = b,   0 <= xk <= uk,   a0 >= a1 >= ... > 0
//
// has a solution. In general that is a knapsack, but strides of real tensors nest: what the smaller
// ones can add is less than a step of the larger one, so the search below tries one or two values
// for each index. A budget ends it where strides do not nest.
#include "attnc/Support/Checks.h"

#include <algorithm>
#include <numeric>

using namespace attnc;

namespace {
using Wide = __int128; // strides times sizes of 64 bits each

/// One index with its step and its largest value.
struct Term {
  Wide step, most;
};

class Search {
public:
  /// Terms with steps greater than 0.
  explicit Search(std::vector<Term> given) {
    std::sort(given.begin(), given.end(),
              [](const Term &a, const Term &b) { return a.step > b.step; });
    for (const Term &term : given) {
      if (!terms.empty() && terms.back().step == term.step)
        terms.back().most += term.most;
      else if (term.most > 0)
        terms.push_back(term);
    }
    reach.assign(terms.size() + 1, 0);
    divisor.assign(terms.size() + 1, 0);
    for (size_t k = terms.size(); k-- > 0;) {
      reach[k] = reach[k + 1] + terms[k].step * terms[k].most;
      divisor[k] = gcd(terms[k].step, divisor[k + 1]);
    }
  }

  /// True if the terms can have this sum, and if that takes too long to find out.
  bool canBe(Wide sum) {
    budget = 10000;
    return from(0, sum);
  }

private:
  static Wide gcd(Wide a, Wide b) {
    while (b) {
      Wide rest = a % b;
      a = b;
      b = rest;
    }
    return a;
  }

  bool from(size_t k, Wide sum) {
    if (sum < 0 || sum > reach[k])
      return false;
    if (sum == 0)
      return true;
    if (sum % divisor[k] != 0)
      return false;
    const Term &term = terms[k];
    Wide least = sum > reach[k + 1] ? (sum - reach[k + 1] + term.step - 1) / term.step : 0;
    for (Wide x = least; x <= term.most && x * term.step <= sum; ++x)
      if (--budget <= 0 || from(k + 1, sum - x * term.step))
        return true;
    return false;
  }

  std::vector<Term> terms;
  std::vector<Wide> reach;   ///< the largest sum of the terms from k on
  std::vector<Wide> divisor; ///< what every sum of the terms from k on is a multiple of
  int budget = 0;
};

bool isEmpty(const StridedMemory &memory) {
  return std::find(memory.shape, memory.shape + memory.rank, 0) != memory.shape + memory.rank;
}

/// The bytes from the first element to the end of the last one.
struct Range {
  Wide begin, end;
};

Range rangeOf(const StridedMemory &memory) {
  Range range{static_cast<Wide>(memory.address), static_cast<Wide>(memory.address) + memory.unit};
  for (size_t i = 0; i < memory.rank; ++i) {
    Wide span = Wide(memory.strides[i]) * (memory.shape[i] - 1) * memory.unit;
    (span < 0 ? range.begin : range.end) += span;
  }
  return range;
}

/// Adds the indices of a tensor, counted so that every step is positive, to the terms.
void addIndices(const StridedMemory &memory, std::vector<Term> &terms) {
  for (size_t i = 0; i < memory.rank; ++i)
    if (Wide step = Wide(memory.strides[i]) * memory.unit; step != 0)
      terms.push_back({step < 0 ? -step : step, memory.shape[i] - 1});
  terms.push_back({1, memory.unit - 1}); // the bytes of an element
}

bool shareMemory(const StridedMemory &a, const StridedMemory &b) {
  if (isEmpty(a) || isEmpty(b))
    return false;
  Range ra = rangeOf(a), rb = rangeOf(b);
  if (ra.end <= rb.begin || rb.end <= ra.begin)
    return false;
  // A byte at ra.begin + s in a is the one at rb.end - 1 - t in b, with s and t sums of indices.
  std::vector<Term> terms;
  addIndices(a, terms);
  addIndices(b, terms);
  return Search(std::move(terms)).canBe(rb.end - 1 - ra.begin);
}
} // namespace

Failure attnc::checkSelfOverlap(const StridedMemory &output) {
  if (isEmpty(output))
    return Failure::success();
  std::vector<Term> terms;
  terms.reserve(output.rank);
  for (size_t i = 0; i < output.rank; ++i) {
    Wide step = output.strides[i];
    if (output.shape[i] <= 1)
      continue;
    if (step == 0)
      return Failure::invalidArgument("output `" + std::string(output.name) +
                                      "` cannot have stride 0 on axis " + std::to_string(i) +
                                      ": its elements would overlap");
    terms.push_back({step < 0 ? -step : step, output.shape[i] - 1});
  }
  std::sort(terms.begin(), terms.end(),
            [](const Term &a, const Term &b) { return a.step < b.step; });
  // Each step is larger than all that the smaller ones reach: so it is for every usual tensor.
  Wide reach = 0;
  bool nested = true;
  for (const Term &term : terms) {
    nested &= term.step > reach;
    reach += term.step * term.most;
  }
  // Else two elements coincide if, for some axis, a difference of at least 1 on it is made up for
  // by differences on axes with smaller steps.
  for (size_t k = 0; !nested && k < terms.size(); ++k) {
    std::vector<Term> differences = {{terms[k].step, terms[k].most - 1}};
    Wide offset = 0;
    for (size_t i = 0; i < k; ++i) {
      differences.push_back({terms[i].step, 2 * terms[i].most});
      offset += terms[i].step * terms[i].most;
    }
    if (offset >= terms[k].step && Search(differences).canBe(offset - terms[k].step)) {
      std::string strides, shape;
      for (size_t i = 0; i < output.rank; ++i) {
        strides += (i ? ", " : "") + std::to_string(output.strides[i]);
        shape += (i ? ", " : "") + std::to_string(output.shape[i]);
      }
      return Failure::invalidArgument("output `" + std::string(output.name) + "` of shape [" +
                                      shape + "] cannot have strides [" + strides +
                                      "]: its elements would overlap");
    }
  }
  return Failure::success();
}

Failure attnc::checkOverlaps(const std::vector<StridedMemory> &tensors) {
  for (size_t i = 0; i < tensors.size(); ++i)
    for (size_t j = 0; tensors[i].isOutput && j < tensors.size(); ++j) {
      bool bothWritten = tensors[j].isOutput;
      if (i == j || (bothWritten && j > i) || !shareMemory(tensors[i], tensors[j]))
        continue;
      std::string who = "output `" + std::string(tensors[i].name) + "` lies on ";
      std::string other = "`" + std::string(tensors[j].name) + "`: ";
      return Failure::invalidArgument(
          bothWritten
              ? who + "output " + other +
                    "each would overwrite the other; give it memory of its own"
              : who + other + "a kernel would overwrite what it reads; give it memory of its own");
    }
  return Failure::success();
}
