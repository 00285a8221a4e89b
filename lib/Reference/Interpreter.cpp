// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Attention by its formula, row by row: scores of all keys of a row, their maximum, the weights, the weighted sum
// of values. Keys that the mask leaves out are not touched, so that what their values hold (NaN, say) does not
// matter; everything else propagates.
#include "Program.h"
#include "attnc/Reference/Reference.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/ThreadPool.h"
#include "llvm/Support/Threading.h"

#include <atomic>
#include <cmath>

using namespace attnc;
using namespace attnc::reference;
using namespace mlir;

namespace {
constexpr double infinity = std::numeric_limits<double>::infinity();

/// One attend op with its regions compiled.
class Attend {
public:
  Attend(attn::AttendOp op, const Environment &environment) : op(op), environment(environment) {}

  llvm::Error prepare() {
    const auto &spaces = environment.sizes.spaces;
    for (Value operand : {op.getQuery(), op.getKey(), op.getValue()})
      if (!operand.getDefiningOp<attn::InputOp>())
        return llvm::createStringError("the reference attends to inputs of the variant only");
    query = &inputOf(op.getQuery());
    key = &inputOf(op.getKey());
    value = &inputOf(op.getValue());
    numB = spaces.at("b"), numH = spaces.at("h"), numG = spaces.at("g");
    numQ = spaces.at("q"), numKV = spaces.at("kv"), numD = spaces.at("d"), numE = spaces.at("e");
    scale = 1.0 / std::sqrt(static_cast<double>(numD));
    if (op.getScale()) {
      llvm::Expected<Program> program = Program::compile(op.getScale(), environment);
      if (!program)
        return program.takeError();
      Program::Frame frame = program->makeFrame();
      program->run(frame, 1);
      scale = *program->result(frame);
    }
    const unsigned scoreVarying[] = {0, 4}, maskVarying[] = {3};
    for (auto [region, program, varying] :
         {std::tuple(&op.getScore(), &score, llvm::ArrayRef<unsigned>(scoreVarying)),
          std::tuple(&op.getMask(), &mask, llvm::ArrayRef<unsigned>(maskVarying)),
          std::tuple(&op.getSink(), &sink, llvm::ArrayRef<unsigned>())}) {
      if (region->empty())
        continue;
      llvm::Expected<Program> compiled = Program::compile(*region, environment, varying);
      if (!compiled)
        return compiled.takeError();
      *program = std::move(*compiled);
    }
    out.shape = {numB, numH, numQ, numE};
    lse.shape = {numB, numH, numQ};
    out.data.assign(static_cast<size_t>(numB * numH * numQ * numE), 0.0);
    lse.data.assign(static_cast<size_t>(numB * numH * numQ), -infinity);
    return llvm::Error::success();
  }

  /// Flags of one head, row by row.
  std::vector<char> maskOfHead(int64_t b, int64_t h) {
    std::vector<char> flags(static_cast<size_t>(numQ * numKV), 1);
    if (!mask)
      return flags;
    Program::Frame frame = mask->makeFrame();
    for (int64_t row = 0; row < numQ; ++row) {
      setCoordinates(*mask, frame, 0, b, h, row);
      for (int64_t first = 0; first < numKV; first += Program::maxLanes) {
        unsigned lanes = static_cast<unsigned>(std::min<int64_t>(Program::maxLanes, numKV - first));
        fillKeys(mask->argument(frame, 3), first, lanes);
        mask->run(frame, lanes);
        for (unsigned i = 0; i < lanes; ++i)
          flags[static_cast<size_t>(row * numKV + first + i)] =
              mask->result(frame)[i * mask->resultStep()] != 0;
      }
    }
    return flags;
  }

  void run(unsigned numThreads) {
    int64_t heads = numB * numH;
    auto strategy = llvm::hardware_concurrency(numThreads);
    unsigned workers = std::min<uint64_t>(strategy.compute_thread_count(), std::max<int64_t>(heads, 1));
    if (workers <= 1) {
      for (int64_t i = 0; i < heads; ++i)
        runHead(i / numH, i % numH);
      return;
    }
    std::atomic<int64_t> next{0};
    llvm::DefaultThreadPool pool(llvm::hardware_concurrency(workers));
    for (unsigned worker = 0; worker < workers; ++worker)
      pool.async([&] {
        for (int64_t i = next++; i < heads; i = next++)
          runHead(i / numH, i % numH);
      });
    pool.wait();
  }

  Tensor64 out, lse;

private:
  const TensorView &inputOf(Value tensor) const {
    return environment.inputs.at(tensor.getDefiningOp<attn::InputOp>().getName().str());
  }

  /// Rows of one head of `tensor` as doubles.
  static std::vector<double> loadHead(const TensorView &tensor, int64_t b, int64_t head) {
    int64_t rows = tensor.shape[2], columns = tensor.shape[3];
    std::vector<double> result(static_cast<size_t>(rows * columns));
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < columns; ++c)
        result[static_cast<size_t>(r * columns + c)] =
            loadElement(tensor, b * tensor.strides[0] + head * tensor.strides[1] + r * tensor.strides[2] +
                                    c * tensor.strides[3]);
    return result;
  }

  /// Frames and rows of one thread.
  struct Scratch {
    Program::Frame score, mask, sink;
    std::vector<double> scores;
    std::vector<char> attended;
  };

  void runHead(int64_t b, int64_t h) {
    int64_t g = h / (numH / numG);
    std::vector<double> q = loadHead(*query, b, h), k = loadHead(*key, b, g), v = loadHead(*value, b, g);
    Scratch scratch;
    if (score)
      scratch.score = score->makeFrame();
    if (mask)
      scratch.mask = mask->makeFrame();
    if (sink)
      scratch.sink = sink->makeFrame();
    scratch.scores.resize(static_cast<size_t>(numKV));
    scratch.attended.resize(static_cast<size_t>(numKV));
    for (int64_t row = 0; row < numQ; ++row) {
      size_t index = static_cast<size_t>((b * numH + h) * numQ + row);
      scoresOfRow(scratch, b, h, row, q.data() + row * numD, k.data());
      double logit = -infinity;
      if (sink) {
        setCoordinates(*sink, scratch.sink, 0, b, h, row);
        sink->run(scratch.sink, 1);
        logit = *sink->result(scratch.sink);
      }
      softmaxOfRow(scratch, logit, v.data(), out.data.data() + index * static_cast<size_t>(numE), lse.data[index]);
    }
  }

  static void setCoordinates(const Program &program, Program::Frame &frame, unsigned first, int64_t b, int64_t h,
                             int64_t row) {
    *program.argument(frame, first) = static_cast<double>(b);
    *program.argument(frame, first + 1) = static_cast<double>(h);
    *program.argument(frame, first + 2) = static_cast<double>(row);
  }

  void scoresOfRow(Scratch &scratch, int64_t b, int64_t h, int64_t row, const double *q, const double *k) {
    if (score)
      setCoordinates(*score, scratch.score, 1, b, h, row);
    if (mask)
      setCoordinates(*mask, scratch.mask, 0, b, h, row);
    for (int64_t first = 0; first < numKV; first += Program::maxLanes) {
      unsigned lanes = static_cast<unsigned>(std::min<int64_t>(Program::maxLanes, numKV - first));
      double *scores = scratch.scores.data() + first;
      char *attended = scratch.attended.data() + first;
      std::fill_n(attended, lanes, 1);
      if (mask) {
        fillKeys(mask->argument(scratch.mask, 3), first, lanes);
        mask->run(scratch.mask, lanes);
        const double *result = mask->result(scratch.mask);
        for (unsigned i = 0; i < lanes; ++i)
          attended[i] = result[i * mask->resultStep()] != 0;
      }
      for (unsigned i = 0; i < lanes; ++i)
        scores[i] = attended[i] ? scale * dot(q, k + (first + i) * numD) : 0;
      if (score) {
        std::copy_n(scores, lanes, score->argument(scratch.score, 0));
        fillKeys(score->argument(scratch.score, 4), first, lanes);
        score->run(scratch.score, lanes);
        const double *result = score->result(scratch.score);
        for (unsigned i = 0; i < lanes; ++i)
          scores[i] = result[i * score->resultStep()];
      }
    }
  }

  static void fillKeys(double *keys, int64_t first, unsigned lanes) {
    for (unsigned i = 0; i < lanes; ++i)
      keys[i] = static_cast<double>(first + i);
  }

  double dot(const double *a, const double *b) const {
    // Four sums, so that the compiler need not reassociate.
    double sum[4] = {0, 0, 0, 0};
    int64_t i = 0;
    for (; i + 4 <= numD; i += 4)
      for (int64_t j = 0; j < 4; ++j)
        sum[j] += a[i + j] * b[i + j];
    for (; i < numD; ++i)
      sum[0] += a[i] * b[i];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
  }

  void softmaxOfRow(Scratch &scratch, double logit, const double *v, double *outRow, double &lseOfRow) const {
    double maximum = logit;
    for (int64_t i = 0; i < numKV; ++i)
      if (scratch.attended[i] && (scratch.scores[i] > maximum || std::isnan(scratch.scores[i])))
        maximum = scratch.scores[i]; // a NaN stays: nothing is greater
    if (maximum == -infinity)
      return; // nothing to attend to: out = 0 and lse = -inf, as prepared
    double sum = std::isnan(logit) ? logit : std::exp(logit - maximum);
    for (int64_t i = 0; i < numKV; ++i) {
      if (!scratch.attended[i])
        continue;
      double weight = std::exp(scratch.scores[i] - maximum);
      sum += weight;
      for (int64_t e = 0; e < numE; ++e)
        outRow[e] += weight * v[i * numE + e];
    }
    for (int64_t e = 0; e < numE; ++e)
      outRow[e] /= sum;
    lseOfRow = maximum + std::log(sum);
  }

  attn::AttendOp op;
  const Environment &environment;
  const TensorView *query = nullptr, *key = nullptr, *value = nullptr;
  int64_t numB = 0, numH = 0, numG = 0, numQ = 0, numKV = 0, numD = 0, numE = 0;
  double scale = 1;
  std::optional<Program> score, mask, sink;
};
} // namespace

/// Checks `bindings` and fills in sizes, inputs and parameters.
static llvm::Error bindEnvironment(attn::VariantOp variant, const Bindings &bindings, Environment &environment) {
  llvm::Expected<Signature> signature = signatureOf(variant);
  if (!signature)
    return signature.takeError();
  environment.inputs = bindings.inputs;
  if (std::string message = checkBindings(*signature, bindings.inputs, {}, environment.sizes); !message.empty())
    return llvm::createStringError(message);
  std::vector<double> params;
  if (std::string message = checkParams(*signature, bindings.params, params); !message.empty())
    return llvm::createStringError(message);
  for (auto [decl, number] : llvm::zip_equal(signature->params, params))
    environment.params[decl.name] = number;
  return llvm::Error::success();
}

llvm::Expected<std::map<std::string, Tensor64>> attnc::reference::run(attn::VariantOp variant, const Bindings &bindings,
                                                                      unsigned numThreads) {
  Environment environment;
  if (llvm::Error error = bindEnvironment(variant, bindings, environment))
    return std::move(error);

  std::map<Operation *, std::unique_ptr<Attend>> stages;
  for (auto op : variant.getBody().getOps<attn::AttendOp>()) {
    auto stage = std::make_unique<Attend>(op, environment);
    if (llvm::Error error = stage->prepare())
      return std::move(error);
    stage->run(numThreads);
    stages[op] = std::move(stage);
  }
  std::map<std::string, Tensor64> outputs;
  auto ret = cast<attn::ReturnOp>(variant.getBody().front().getTerminator());
  for (auto [name, result] : llvm::zip_equal(ret.getNames(), ret.getValues())) {
    auto stage = stages.find(result.getDefiningOp());
    if (stage == stages.end())
      return llvm::createStringError("the reference returns results of attend only");
    bool isOut = cast<OpResult>(result).getResultNumber() == 0;
    outputs[cast<StringAttr>(name).str()] = isOut ? stage->second->out : stage->second->lse;
  }
  return outputs;
}

llvm::Expected<std::vector<char>> attnc::reference::evaluateMask(attn::VariantOp variant, const Bindings &bindings,
                                                                 int64_t b, int64_t h) {
  Environment environment;
  if (llvm::Error error = bindEnvironment(variant, bindings, environment))
    return std::move(error);
  auto attends = llvm::to_vector(variant.getBody().getOps<attn::AttendOp>());
  if (attends.size() != 1)
    return llvm::createStringError("expects a variant with one attention stage");
  Attend stage(attends.front(), environment);
  if (llvm::Error error = stage.prepare())
    return std::move(error);
  return stage.maskOfHead(b, h);
}
