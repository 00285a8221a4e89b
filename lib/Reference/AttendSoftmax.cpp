// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Attention by its formula, row by row: scores of all keys of a row, their maximum, the weights,
// the weighted sum of values. Keys that are left out are not touched, so that what their values
// hold (NaN, say) does not matter; everything else propagates. `a` is the arithmetic of the run.
#include "Attend.h"
#include "llvm/ADT/STLExtras.h"

#include <cmath>

using namespace attnc;
using namespace attnc::reference;
using namespace mlir;

static constexpr double infinity = std::numeric_limits<double>::infinity();

double AttendStage::scaleOf(const Memory &memory) const {
  double factor = 1.0 / std::sqrt(static_cast<double>(dim));
  if (scale) {
    Program::Frame frame = scale->makeFrame(memory, 1);
    scale->run(frame, 1);
    return *scale->result(frame);
  }
  return withArithmetic(environment.options, [&](auto a) { return a.result(factor); });
}

template <typename A> static double dot(const A &a, const double *x, const double *y, int64_t n) {
  // Four sums, so that the compiler need not reassociate.
  double sum[4] = {0, 0, 0, 0};
  int64_t i = 0;
  for (; i + 4 <= n; i += 4)
    for (int64_t j = 0; j < 4; ++j)
      sum[j] = a.partial(sum[j] + a.partial(x[i + j] * y[i + j]));
  for (; i < n; ++i)
    sum[0] = a.partial(sum[0] + a.partial(x[i] * y[i]));
  return a.sum(a.partial(sum[0] + sum[1]) + a.partial(sum[2] + sum[3]), n);
}

template <typename A>
void AttendStage::scoreRow(const A &a, const Operands &operands, Scratch &scratch,
                           int64_t row) const {
  const double *q = operands.query + baseOf(query, scratch) + row * dim;
  const double *k = operands.key + baseOf(key, scratch);
  if (score)
    setPoint(*score, scratch.score, 1, scratch);
  for (int64_t first = 0; first < numKeys; first += Program::maxLanes) {
    unsigned lanes = static_cast<unsigned>(std::min<int64_t>(Program::maxLanes, numKeys - first));
    double *scores = scratch.scores.data() + first;
    for (unsigned i = 0; i < lanes; ++i)
      scores[i] = scratch.attended[static_cast<size_t>(first + i)]
                      ? a.result(operands.factor * dot(a, q, k + (first + i) * dim, dim))
                      : 0;
    if (score) {
      std::copy_n(scores, lanes, score->argument(scratch.score, 0));
      double *keys = score->argument(scratch.score, static_cast<unsigned>(spaces.size()) + 1);
      for (unsigned i = 0; i < lanes; ++i)
        keys[i] = static_cast<double>(first + i);
      score->run(scratch.score, lanes);
      const double *result = score->result(scratch.score);
      for (unsigned i = 0; i < lanes; ++i)
        scores[i] = result[i * score->resultStep()];
    }
    // A score of -inf leaves its key out, as an additive mask means it: the value is not looked at.
    for (unsigned i = 0; i < lanes; ++i)
      scratch.attended[static_cast<size_t>(first + i)] &= scores[i] != -infinity;
  }
}

/// The sink's part of a sum whose largest term has the logit `maximum`: 1 if it is the sink's own,
/// also where that is inf and takes all of the weight.
template <typename A> static double sinkWeight(const A &a, double logit, double maximum) {
  return logit == maximum ? 1 : a.result(std::exp(a.result(logit - maximum)));
}

/// The softmax of a row at once. A row without a key is 0 with an lse of -inf.
template <typename A>
AttendStage::RowSum AttendStage::softmaxRow(const A &a, Scratch &scratch, double logit,
                                            const double *v, double *out) const {
  std::fill_n(out, valueDim, 0.0);
  double maximum = logit;
  for (size_t i = 0; i < scratch.scores.size(); ++i)
    if (scratch.attended[i])
      raise(maximum, scratch.scores[i]);
  if (maximum == -infinity)
    return {-infinity, -infinity};
  double sum = std::isnan(logit) ? logit : sinkWeight(a, logit, maximum);
  int64_t terms = 1;
  for (size_t i = 0; i < scratch.scores.size(); ++i) {
    if (!scratch.attended[i])
      continue;
    double weight = a.result(std::exp(a.result(scratch.scores[i] - maximum)));
    sum = a.partial(sum + weight);
    weight = a.weight(weight);
    ++terms;
    for (int64_t e = 0; e < valueDim; ++e)
      out[e] = a.partial(out[e] + a.partial(weight * v[static_cast<int64_t>(i) * valueDim + e]));
  }
  sum = a.sum(sum, terms);
  for (int64_t e = 0; e < valueDim; ++e)
    out[e] = a.result(a.sum(out[e], terms) / sum);
  return {maximum, a.result(std::log(sum))};
}

/// Each part of the keys by itself.
template <typename A>
void AttendStage::partsOfRow(const A &a, Scratch &scratch, const double *v,
                             const PartTensors &results, int64_t row) const {
  attn::PartsAttr parts = *op.getParts();
  std::vector<char> attended = scratch.attended;
  for (int64_t part = 0; part < numParts; ++part) {
    std::fill(scratch.attended.begin(), scratch.attended.end(), 0);
    int64_t first = part * parts.getKeys(), last = std::min(first + parts.getKeys(), numKeys);
    if (first < last)
      std::copy(attended.begin() + first, attended.begin() + last,
                scratch.attended.begin() + first);
    size_t place = static_cast<size_t>(row * numParts + part);
    double *out = results.out->data.data() + place * static_cast<size_t>(valueDim);
    RowSum sum = softmaxRow(a, scratch, -infinity, v, out);
    results.lse->data[place] = sum.logarithm;
    results.largest->data[place] = a.result(sum.largest / parts.getUnit().getValueAsDouble());
  }
}

/// Rounds the weights of one tile to the format of the op. `place` is that of the first one among
/// the decisions.
template <typename A>
void AttendStage::roundWeights(const A &a, llvm::MutableArrayRef<double> weights,
                               int64_t place) const {
  attn::Format format = *op.getWeightFormat();
  double factor = op.getWeightScale() ? op.getWeightScale()->convertToDouble() : 1;
  size_t group = weightGroup ? static_cast<size_t>(weightGroup) : weights.size();
  for (size_t first = 0; first < weights.size(); first += group) {
    auto members = weights.slice(first, std::min(group, weights.size() - first));
    double scale = 1;
    if (weightGroup) {
      double exact = *llvm::max_element(members) * factor / attn::largestNumber(format);
      scale = roundToFormat(a.result(exact), attn::Format::F8E4M3);
      if (groupSite)
        scale = groupSite->decide(place + static_cast<int64_t>(first), scale, exact);
    }
    for (auto [i, w] : llvm::enumerate(members)) {
      double code = scale == 0 ? 0 : roundToFormat(a.result(w * factor / scale), format);
      if (codeSite)
        code = codeSite->decide(place + static_cast<int64_t>(first + i), code, w * factor / scale);
      w = a.result(code * scale / factor);
    }
  }
}

template <typename A> void AttendStage::rescale(const A &a, TiledRow &row, double to) const {
  double factor = row.running == -infinity ? 0 : a.result(std::exp(a.result(row.running - to)));
  row.sum = a.result(row.sum * factor);
  for (int64_t e = 0; e < valueDim; ++e)
    row.out[e] = a.result(row.out[e] * factor);
  row.running = to;
}

template <typename A>
void AttendStage::addTile(const A &a, TiledRow &row, int64_t first, int64_t count) const {
  std::vector<double> weights(static_cast<size_t>(count), 0.0);
  for (int64_t i = 0; i < count; ++i) {
    size_t key = static_cast<size_t>(first + i);
    if (!row.attended[key])
      continue;
    double &weight = weights[static_cast<size_t>(i)];
    weight = a.result(std::exp(a.result(row.scores[key] - row.running)));
    row.sum = a.partial(row.sum + weight);
  }
  if (op.getWeightFormat())
    roundWeights(a, weights, row.place + first);
  for (int64_t i = 0; i < count; ++i) {
    double weight = a.weight(weights[static_cast<size_t>(i)]);
    for (int64_t e = 0; row.attended[static_cast<size_t>(first + i)] && e < valueDim; ++e)
      row.out[e] =
          a.partial(row.out[e] + a.partial(weight * row.values[(first + i) * valueDim + e]));
  }
}

/// Adds the sink, divides, and yields the log-sum-exp.
template <typename A> double AttendStage::finish(const A &a, TiledRow &row) const {
  if (row.logit > row.running)
    rescale(a, row, row.logit);
  if (row.logit != -infinity)
    row.sum = a.partial(row.sum + sinkWeight(a, row.logit, row.running));
  row.sum = a.sum(row.sum, numKeys);
  for (int64_t e = 0; e < valueDim; ++e)
    row.out[e] = row.sum == 0 ? 0 : a.result(a.sum(row.out[e], numKeys) / row.sum);
  return row.sum == 0 ? -infinity : a.result(row.running + a.result(std::log(row.sum)));
}

/// The softmax of rows tile by tile, with running maxima: what skipping and rounding of weights
/// depend on. The rows skip a tile together.
template <typename A>
void AttendStage::tiledRows(const A &a, Scratch &scratch, llvm::MutableArrayRef<TiledRow> rows,
                            int64_t skipPlace) const {
  for (TiledRow &row : rows) {
    std::fill_n(row.out, valueDim, 0.0);
    row.running = -infinity;
    row.sum = 0;
  }
  for (int64_t first = 0; first < numKeys; first += tile) {
    int64_t count = std::min(tile, numKeys - first);
    bool isSkipped = skip.has_value();
    double distance = infinity; // of the row that is nearest to not skipping
    for (TiledRow &row : rows) {
      row.tileMaximum = -infinity;
      for (int64_t i = first; i < first + count; ++i)
        if (row.attended[static_cast<size_t>(i)])
          raise(row.tileMaximum, row.scores[static_cast<size_t>(i)]);
      if (!(isSkipped || skipSite) || row.tileMaximum == -infinity)
        continue;
      *skip->argument(scratch.skip, 0) = row.tileMaximum;
      *skip->argument(scratch.skip, 1) = row.running;
      skip->run(scratch.skip, 1);
      isSkipped &= *skip->result(scratch.skip) != 0;
      if (skipSite) {
        double own = *skip->result(scratch.skip, 1);
        distance = std::isnan(own) || std::isnan(distance) ? NAN : std::min(distance, own);
      }
    }
    if (skipSite)
      isSkipped = skipSite->decide(skipPlace + first / tile, isSkipped, distance) != 0;
    for (TiledRow &row : rows) {
      if (row.tileMaximum == -infinity)
        continue;
      if (row.tileMaximum > row.running || std::isnan(row.tileMaximum))
        rescale(a, row, row.tileMaximum);
      if (isSkipped)
        std::fill_n(row.attended.begin() + first, count, 0);
      else
        addTile(a, row, first, count);
    }
  }
}

void AttendStage::run(Memory &memory) const {
  withArithmetic(environment.options, [&](auto arithmetic) { runRows(arithmetic, memory); });
}

template <typename A> void AttendStage::runRows(const A &a, Memory &memory) const {
  auto allocate = [&](Value result) -> Tensor64 & {
    return memory.allocate(result,
                           environment.shapeOf(cast<attn::AttnTensorType>(result.getType())),
                           environment.demand, op);
  };
  Tensor64 &out = allocate(op.getOut()), &lse = allocate(op.getLse());
  std::vector<double> changed[3]; // where the arithmetic changes operands
  Operands operands;
  operands.factor = scaleOf(memory);
  for (auto [value, copy, data] : {std::tuple(op.getQuery(), &changed[0], &operands.query),
                                   std::tuple(op.getKey(), &changed[1], &operands.key),
                                   std::tuple(op.getValue(), &changed[2], &operands.value)}) {
    *data = memory.tensor(value).data.data();
    if constexpr (std::is_same_v<A, Perturbed>) {
      *copy = memory.tensor(value).data;
      llvm::transform(*copy, copy->begin(), [&](double x) { return a.operand(x); });
      *data = copy->data();
    }
  }
  Tensor64 *weights = op.getWeights() ? &allocate(op.getWeights()) : nullptr;
  PartTensors parts{&out, &lse, op.getLargest() ? &allocate(op.getLargest()) : nullptr};
  parallelFor(elementsOf(outer), environment.numThreads,
              [&](int64_t firstOuter, int64_t lastOuter) {
                Scratch scratch = makeScratch(memory);
                for (int64_t o = firstOuter; o < lastOuter; ++o) {
                  int64_t rest = o;
                  for (size_t axis = outer.size(); axis-- > 0; rest /= outer[axis])
                    scratch.point[axis] = rest % outer[axis];
                  for (int64_t firstRow = 0; firstRow < numRows; firstRow += rowsTogether) {
                    scratch.point.back() = firstRow;
                    if (!isWanted(scratch))
                      continue;
                    std::vector<TiledRow> together(
                        static_cast<size_t>(std::min(rowsTogether, numRows - firstRow)));
                    for (auto [i, tiled] : llvm::enumerate(together)) {
                      int64_t row = firstRow + static_cast<int64_t>(i);
                      scratch.point.back() = row;
                      size_t index = static_cast<size_t>(o * numRows + row);
                      maskRow(memory, scratch);
                      scoreRow(a, operands, scratch, row);
                      tiled.logit = -infinity;
                      if (sink) {
                        setPoint(*sink, scratch.sink, 0, scratch);
                        sink->run(scratch.sink, 1);
                        tiled.logit = *sink->result(scratch.sink);
                      }
                      tiled.values = operands.value + baseOf(value, scratch);
                      tiled.place = static_cast<int64_t>(index) * numKeys;
                      if (op.getParts()) {
                        partsOfRow(a, scratch, tiled.values, parts, static_cast<int64_t>(index));
                        continue;
                      }
                      tiled.out = out.data.data() + index * static_cast<size_t>(valueDim);
                      if (!tile) {
                        RowSum sum = softmaxRow(a, scratch, tiled.logit, tiled.values, tiled.out);
                        lse.data[index] = a.result(sum.largest + sum.logarithm);
                      }
                      tiled.scores = scratch.scores;
                      tiled.attended = scratch.attended;
                    }
                    if (tile)
                      tiledRows(a, scratch, together,
                                (o * llvm::divideCeilSigned(numRows, rowsTogether) +
                                 firstRow / rowsTogether) *
                                    llvm::divideCeilSigned(numKeys, tile));
                    for (auto [i, tiled] : llvm::enumerate(together)) {
                      size_t index = static_cast<size_t>(o * numRows + firstRow) + i;
                      if (tile)
                        lse.data[index] = finish(a, tiled);
                      for (size_t j = 0; weights && j < tiled.scores.size(); ++j)
                        weights->data[index * tiled.scores.size() + j] =
                            tiled.attended[j] && lse.data[index] != -infinity
                                ? a.result(std::exp(a.result(tiled.scores[j] - lse.data[index])))
                                : 0;
                    }
                  }
                }
              });
}
