// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Attention by its formula, row by row: scores of all keys of a row, their maximum, the weights,
// the weighted sum of values. Keys that are left out are not touched, so that what their values
// hold (NaN, say) does not matter; everything else propagates.
#include "Attend.h"
#include "llvm/ADT/STLExtras.h"

#include <cmath>

using namespace attnc;
using namespace attnc::reference;
using namespace mlir;

static constexpr double infinity = std::numeric_limits<double>::infinity();

AttendStage::AttendStage(attn::AttendOp op, const Environment &environment)
    : op(op), environment(environment) {
  attn::AttnTensorType query = op.getQuery().getType();
  std::vector<int64_t> shape = environment.shapeOf(query);
  for (unsigned i = 0; i + 1 < query.getRank(); ++i)
    spaces.push_back(query.getAxisName(i).str());
  outer.assign(shape.begin(), shape.end() - 2);
  numRows = shape[shape.size() - 2];
  dim = shape.back();
  std::vector<int64_t> values = environment.shapeOf(op.getValue().getType());
  numKeys = values[values.size() - 2];
  valueDim = values.back();
}

/// Finds how the index on axis `space` of another tensor follows from the row's: directly, or as
/// the block of another index.
llvm::Expected<AttendStage::IndexRule> AttendStage::ruleFor(llvm::StringRef space) const {
  IndexRule rule;
  std::string name = space.str();
  while (true) {
    auto it = llvm::find(spaces, name);
    if (it != spaces.end()) {
      rule.axis = static_cast<size_t>(it - spaces.begin());
      return rule;
    }
    llvm::StringRef parent = attn::blockParent(op, name);
    attn::SpaceOp declared = attn::findSpace(op, name);
    if (parent.empty() || (declared && declared.getStride()))
      return llvm::createStringError("the index on `" + space +
                                     "` does not follow from the query's");
    rule.divisor *= name == "g"
                        ? environment.sizeOf("h") / std::max<int64_t>(1, environment.sizeOf("g"))
                        : environment.sizes.declared.at(name).extent;
    name = parent.str();
  }
}

/// The rules of all axes of `tensor` but the last `numInner`.
llvm::Error AttendStage::prepareOperand(Value tensor, unsigned numInner, Operand &operand) {
  auto type = cast<attn::AttnTensorType>(tensor.getType());
  std::vector<int64_t> shape = environment.shapeOf(type);
  for (unsigned i = 0; i + numInner < type.getRank(); ++i) {
    llvm::Expected<IndexRule> rule = ruleFor(type.getAxisName(i));
    if (!rule)
      return rule.takeError();
    rule->stride = strideOf(shape, i);
    rule->size = shape[i];
    operand.rules.push_back(*rule);
  }
  operand.tensor = tensor;
  return llvm::Error::success();
}

llvm::Error AttendStage::prepare() {
  for (auto [value, numInner, operand] :
       {std::tuple(op.getQuery(), 2u, &query), std::tuple(op.getKey(), 2u, &key),
        std::tuple(op.getValue(), 2u, &value)})
    if (llvm::Error error = prepareOperand(value, numInner, *operand))
      return error;
  if (op.getSet()) {
    if (llvm::Error error = prepareOperand(op.getSet(), 1, set))
      return error;
    attn::AttnTensorType type = op.getSet().getType();
    setSpace = type.getAxisName(type.getRank() - 1).str();
  }
  if (op.getScale()) {
    llvm::Expected<Program> compiled = Program::compile(op.getScale(), environment);
    if (!compiled)
      return compiled.takeError();
    scale = std::move(*compiled);
  }
  for (auto [value, number, what] : {std::tuple(op.getTile(), &tile, "tile"),
                                     std::tuple(op.getWeightGroup(), &weightGroup, "group")}) {
    if (!value)
      continue;
    llvm::Expected<Program> compiled = Program::compile(value, environment);
    if (!compiled)
      return compiled.takeError();
    llvm::Expected<int64_t> count = compiled->count(what);
    if (!count)
      return count.takeError();
    *number = *count;
  }
  if (op.getSkipRows())
    rowsTogether = environment.sizes.declared.at(op.getSkipRows()->str()).extent;
  unsigned numPoint = static_cast<unsigned>(spaces.size());
  const unsigned scoreVarying[] = {0, numPoint + 1}, maskVarying[] = {numPoint};
  for (auto [region, program, varying] :
       {std::tuple(&op.getScore(), &score, llvm::ArrayRef<unsigned>(scoreVarying)),
        std::tuple(&op.getMask(), &mask, llvm::ArrayRef<unsigned>(maskVarying)),
        std::tuple(&op.getSink(), &sink, llvm::ArrayRef<unsigned>()),
        std::tuple(&op.getSkip(), &skip, llvm::ArrayRef<unsigned>())}) {
    if (region->empty())
      continue;
    llvm::Expected<Program> compiled = Program::compile(*region, environment, varying);
    if (!compiled)
      return compiled.takeError();
    *program = std::move(*compiled);
  }
  return llvm::Error::success();
}

double AttendStage::scaleOf(const Memory &memory) const {
  if (!scale)
    return 1.0 / std::sqrt(static_cast<double>(dim));
  Program::Frame frame = scale->makeFrame(memory, 1);
  scale->run(frame, 1);
  return *scale->result(frame);
}

AttendStage::Scratch AttendStage::makeScratch(const Memory &memory) const {
  Scratch scratch;
  for (auto [program, frame] : {std::pair(&score, &scratch.score), std::pair(&mask, &scratch.mask),
                                std::pair(&sink, &scratch.sink), std::pair(&skip, &scratch.skip)})
    if (*program)
      *frame = (*program)->makeFrame(memory);
  scratch.scores.resize(static_cast<size_t>(numKeys));
  scratch.attended.resize(static_cast<size_t>(numKeys));
  scratch.point.resize(spaces.size());
  return scratch;
}

int64_t AttendStage::baseOf(const Operand &operand, const Scratch &scratch) const {
  int64_t offset = 0;
  for (const IndexRule &rule : operand.rules) // a row behind the last whole block reads that block
    offset += std::clamp<int64_t>(scratch.point[rule.axis] / rule.divisor, 0,
                                  std::max<int64_t>(0, rule.size - 1)) *
              rule.stride;
  return offset;
}

void AttendStage::setPoint(const Program &program, Program::Frame &frame, unsigned first,
                           const Scratch &scratch) const {
  for (size_t i = 0; i < spaces.size(); ++i)
    *program.argument(frame, first + static_cast<unsigned>(i)) =
        static_cast<double>(scratch.point[i]);
}

/// Which keys the set holds: those of its blocks, or those it names.
void AttendStage::keysOfSet(const Memory &memory, Scratch &scratch) const {
  if (!op.getSet()) {
    std::fill(scratch.attended.begin(), scratch.attended.end(), 1);
    return;
  }
  std::fill(scratch.attended.begin(), scratch.attended.end(), 0);
  if (memory.tensor(op.getSet()).data.empty())
    return;
  const double *flags = memory.tensor(op.getSet()).data.data() + baseOf(set, scratch);
  if (setSpace == op.getKeySpace()) {
    for (int64_t j = 0; j < numKeys; ++j)
      scratch.attended[static_cast<size_t>(j)] = flags[j] != 0;
    return;
  }
  // Blocks, or blocks of blocks: what a block covers is a range of keys in each case.
  for (int64_t p = 0, n = environment.sizeOf(setSpace); p < n; ++p) {
    if (flags[p] == 0)
      continue;
    int64_t first = p, last = p;
    for (std::string space = setSpace; space != op.getKeySpace();
         space = attn::blockParent(op, space).str()) {
      const SpaceSize &size = environment.sizes.declared.at(space);
      int64_t members = environment.sizeOf(attn::blockParent(op, space));
      first = first * size.stride;
      last = std::min(last * size.stride + size.extent, members) - 1;
    }
    for (int64_t j = first; j <= last; ++j)
      scratch.attended[static_cast<size_t>(j)] = 1;
  }
}

void AttendStage::maskRow(const Memory &memory, Scratch &scratch) const {
  keysOfSet(memory, scratch);
  if (!mask)
    return;
  setPoint(*mask, scratch.mask, 0, scratch);
  for (int64_t first = 0; first < numKeys; first += Program::maxLanes) {
    unsigned lanes = static_cast<unsigned>(std::min<int64_t>(Program::maxLanes, numKeys - first));
    double *keys = mask->argument(scratch.mask, static_cast<unsigned>(spaces.size()));
    for (unsigned i = 0; i < lanes; ++i)
      keys[i] = static_cast<double>(first + i);
    mask->run(scratch.mask, lanes);
    const double *result = mask->result(scratch.mask);
    for (unsigned i = 0; i < lanes; ++i)
      scratch.attended[static_cast<size_t>(first + i)] &= result[i * mask->resultStep()] != 0;
  }
}

static double dot(const double *a, const double *b, int64_t n) {
  // Four sums, so that the compiler need not reassociate.
  double sum[4] = {0, 0, 0, 0};
  int64_t i = 0;
  for (; i + 4 <= n; i += 4)
    for (int64_t j = 0; j < 4; ++j)
      sum[j] += a[i + j] * b[i + j];
  for (; i < n; ++i)
    sum[0] += a[i] * b[i];
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

void AttendStage::scoreRow(const Memory &memory, Scratch &scratch, int64_t row,
                           double factor) const {
  const double *q = memory.tensor(op.getQuery()).data.data() + baseOf(query, scratch) + row * dim;
  const double *k = memory.tensor(op.getKey()).data.data() + baseOf(key, scratch);
  if (score)
    setPoint(*score, scratch.score, 1, scratch);
  for (int64_t first = 0; first < numKeys; first += Program::maxLanes) {
    unsigned lanes = static_cast<unsigned>(std::min<int64_t>(Program::maxLanes, numKeys - first));
    double *scores = scratch.scores.data() + first;
    for (unsigned i = 0; i < lanes; ++i)
      scores[i] = scratch.attended[static_cast<size_t>(first + i)]
                      ? factor * dot(q, k + (first + i) * dim, dim)
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
static double sinkWeight(double logit, double maximum) {
  return logit == maximum ? 1 : std::exp(logit - maximum);
}

/// The softmax of a row at once. A row without a key is 0 with an lse of -inf.
void AttendStage::softmaxRow(Scratch &scratch, double logit, const double *v, double *out,
                             double &lse) const {
  std::fill_n(out, valueDim, 0.0);
  lse = -infinity;
  double maximum = logit;
  for (size_t i = 0; i < scratch.scores.size(); ++i)
    if (scratch.attended[i])
      raise(maximum, scratch.scores[i]);
  if (maximum == -infinity)
    return;
  double sum = std::isnan(logit) ? logit : sinkWeight(logit, maximum);
  for (size_t i = 0; i < scratch.scores.size(); ++i) {
    if (!scratch.attended[i])
      continue;
    double weight = std::exp(scratch.scores[i] - maximum);
    sum += weight;
    for (int64_t e = 0; e < valueDim; ++e)
      out[e] += weight * v[static_cast<int64_t>(i) * valueDim + e];
  }
  for (int64_t e = 0; e < valueDim; ++e)
    out[e] /= sum;
  lse = maximum + std::log(sum);
}

/// Rounds the weights of one tile to the format of the op.
void AttendStage::roundWeights(llvm::MutableArrayRef<double> weights) const {
  attn::Format format = *op.getWeightFormat();
  double factor = op.getWeightScale() ? op.getWeightScale()->convertToDouble() : 1;
  size_t group = weightGroup ? static_cast<size_t>(weightGroup) : weights.size();
  for (size_t first = 0; first < weights.size(); first += group) {
    auto members = weights.slice(first, std::min(group, weights.size() - first));
    double scale = 1;
    if (weightGroup)
      scale = roundToFormat(*llvm::max_element(members) * factor / attn::largestNumber(format),
                            attn::Format::F8E4M3);
    for (double &w : members)
      w = scale == 0 ? 0 : roundToFormat(w * factor / scale, format) * scale / factor;
  }
}

void AttendStage::rescale(TiledRow &row, double to) const {
  double factor = row.running == -infinity ? 0 : std::exp(row.running - to);
  row.sum *= factor;
  for (int64_t e = 0; e < valueDim; ++e)
    row.out[e] *= factor;
  row.running = to;
}

void AttendStage::addTile(TiledRow &row, int64_t first, int64_t count) const {
  std::vector<double> weights(static_cast<size_t>(count), 0.0);
  for (int64_t i = 0; i < count; ++i)
    if (row.attended[static_cast<size_t>(first + i)])
      row.sum += weights[static_cast<size_t>(i)] =
          std::exp(row.scores[static_cast<size_t>(first + i)] - row.running);
  if (op.getWeightFormat())
    roundWeights(weights);
  for (int64_t i = 0; i < count; ++i)
    for (int64_t e = 0; row.attended[static_cast<size_t>(first + i)] && e < valueDim; ++e)
      row.out[e] += weights[static_cast<size_t>(i)] * row.values[(first + i) * valueDim + e];
}

/// Adds the sink, divides, and yields the log-sum-exp.
double AttendStage::finish(TiledRow &row) const {
  if (row.logit > row.running)
    rescale(row, row.logit);
  if (row.logit != -infinity)
    row.sum += sinkWeight(row.logit, row.running);
  for (int64_t e = 0; e < valueDim; ++e)
    row.out[e] = row.sum == 0 ? 0 : row.out[e] / row.sum;
  return row.sum == 0 ? -infinity : row.running + std::log(row.sum);
}

/// The softmax of rows tile by tile, with running maxima: what skipping and rounding of weights
/// depend on. The rows skip a tile together.
void AttendStage::tiledRows(Scratch &scratch, llvm::MutableArrayRef<TiledRow> rows) const {
  for (TiledRow &row : rows) {
    std::fill_n(row.out, valueDim, 0.0);
    row.running = -infinity;
    row.sum = 0;
  }
  for (int64_t first = 0; first < numKeys; first += tile) {
    int64_t count = std::min(tile, numKeys - first);
    bool isSkipped = skip.has_value();
    for (TiledRow &row : rows) {
      row.tileMaximum = -infinity;
      for (int64_t i = first; i < first + count; ++i)
        if (row.attended[static_cast<size_t>(i)])
          raise(row.tileMaximum, row.scores[static_cast<size_t>(i)]);
      if (!isSkipped || row.tileMaximum == -infinity)
        continue;
      *skip->argument(scratch.skip, 0) = row.tileMaximum;
      *skip->argument(scratch.skip, 1) = row.running;
      skip->run(scratch.skip, 1);
      isSkipped = *skip->result(scratch.skip) != 0;
    }
    for (TiledRow &row : rows) {
      if (row.tileMaximum == -infinity)
        continue;
      if (row.tileMaximum > row.running || std::isnan(row.tileMaximum))
        rescale(row, row.tileMaximum);
      if (isSkipped)
        std::fill_n(row.attended.begin() + first, count, 0);
      else
        addTile(row, first, count);
    }
  }
}

void AttendStage::run(Memory &memory) const {
  auto allocate = [&](Value result) -> Tensor64 & {
    return memory.allocate(result,
                           environment.shapeOf(cast<attn::AttnTensorType>(result.getType())));
  };
  Tensor64 &out = allocate(op.getOut()), &lse = allocate(op.getLse());
  const double factor = scaleOf(memory);
  Tensor64 *weights = op.getWeights() ? &allocate(op.getWeights()) : nullptr;
  parallelFor(
      elementsOf(outer), environment.numThreads, [&](int64_t firstOuter, int64_t lastOuter) {
        Scratch scratch = makeScratch(memory);
        for (int64_t o = firstOuter; o < lastOuter; ++o) {
          int64_t rest = o;
          for (size_t axis = outer.size(); axis-- > 0; rest /= outer[axis])
            scratch.point[axis] = rest % outer[axis];
          for (int64_t firstRow = 0; firstRow < numRows; firstRow += rowsTogether) {
            std::vector<TiledRow> together(
                static_cast<size_t>(std::min(rowsTogether, numRows - firstRow)));
            for (auto [i, tiled] : llvm::enumerate(together)) {
              int64_t row = firstRow + static_cast<int64_t>(i);
              scratch.point.back() = row;
              size_t index = static_cast<size_t>(o * numRows + row);
              maskRow(memory, scratch);
              scoreRow(memory, scratch, row, factor);
              tiled.logit = -infinity;
              if (sink) {
                setPoint(*sink, scratch.sink, 0, scratch);
                sink->run(scratch.sink, 1);
                tiled.logit = *sink->result(scratch.sink);
              }
              tiled.values = memory.tensor(op.getValue()).data.data() + baseOf(value, scratch);
              tiled.out = out.data.data() + index * static_cast<size_t>(valueDim);
              if (!tile)
                softmaxRow(scratch, tiled.logit, tiled.values, tiled.out, lse.data[index]);
              tiled.scores = scratch.scores;
              tiled.attended = scratch.attended;
            }
            if (tile)
              tiledRows(scratch, together);
            for (auto [i, tiled] : llvm::enumerate(together)) {
              size_t index = static_cast<size_t>(o * numRows + firstRow) + i;
              if (tile)
                lse.data[index] = finish(tiled);
              for (size_t j = 0; weights && j < tiled.scores.size(); ++j)
                weights->data[index * tiled.scores.size() + j] =
                    tiled.attended[j] && lse.data[index] != -infinity
                        ? std::exp(tiled.scores[j] - lse.data[index])
                        : 0;
            }
          }
        }
      });
}

std::vector<char> AttendStage::maskOfHead(const Memory &memory,
                                          llvm::ArrayRef<int64_t> head) const {
  std::vector<char> flags;
  Scratch scratch = makeScratch(memory);
  std::copy(head.begin(), head.end(), scratch.point.begin());
  for (int64_t row = 0; row < numRows; ++row) {
    scratch.point.back() = row;
    maskRow(memory, scratch);
    flags.insert(flags.end(), scratch.attended.begin(), scratch.attended.end());
  }
  return flags;
}

StageResult attnc::reference::makeAttend(attn::AttendOp op, const Environment &environment) {
  auto stage = std::make_unique<AttendStage>(op, environment);
  if (llvm::Error error = stage->prepare())
    return std::move(error);
  return std::move(stage);
}
