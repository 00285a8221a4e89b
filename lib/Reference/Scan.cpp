// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attn.scan, entry by entry for many rows at once, and attn.solve, by forward substitution.
#include "Stage.h"
#include "llvm/Support/FormatVariadic.h"

using namespace attnc;
using namespace attnc::reference;
using namespace mlir;

namespace {
class ScanStage : public Stage {
public:
  ScanStage(attn::ScanOp op, const Environment &environment)
      : op(op), type(cast<attn::AttnTensorType>(op.getTensors().front().getType())),
        environment(environment), rows(type, environment, op.getSpace()) {}

  llvm::Error prepare() {
    llvm::SmallVector<unsigned> varying;
    for (unsigned i = 0; i < op.getBody().getNumArguments(); ++i)
      varying.push_back(i);
    llvm::Expected<Program> compiled = Program::compile(op.getBody(), environment, varying);
    if (!compiled)
      return compiled.takeError();
    combine = std::move(*compiled);
    for (Value identity : op.getIdentities()) {
      llvm::Expected<Program> scalar = Program::compile(identity, environment);
      if (!scalar)
        return scalar.takeError();
      identities.push_back(std::move(*scalar));
    }
    return llvm::Error::success();
  }

  void run(Memory &memory) const override {
    for (Value result : op.getResults())
      memory.allocate(result, environment.shapeOf(type));
    llvm::SmallVector<double> first;
    for (const Program &identity : identities) {
      Program::Frame frame = identity.makeFrame(memory, 1);
      identity.run(frame, 1);
      first.push_back(*identity.result(frame));
    }
    int64_t chunks = (rows.getNumRows() + Program::maxLanes - 1) / Program::maxLanes;
    parallelFor(chunks, environment.numThreads, [&](int64_t from, int64_t to) {
      for (int64_t chunk = from; chunk < to; ++chunk)
        runRows(memory, first, chunk * Program::maxLanes);
    });
  }

private:
  /// The rows from `start` on, as many as a program evaluates at once.
  void runRows(Memory &memory, llvm::ArrayRef<double> first, int64_t start) const {
    unsigned lanes =
        static_cast<unsigned>(std::min<int64_t>(Program::maxLanes, rows.getNumRows() - start));
    unsigned count = static_cast<unsigned>(first.size());
    Program::Frame frame = combine->makeFrame(memory, lanes);
    for (unsigned k = 0; k < count; ++k)
      std::fill_n(combine->argument(frame, k), lanes, first[k]);
    int64_t length = rows.getLength();
    for (int64_t step = 0; step < length; ++step) {
      int64_t entry = rows.step(op.getReverse() ? length - 1 - step : step);
      auto at = [&](unsigned lane) { return static_cast<size_t>(rows.base(start + lane) + entry); };
      if (op.getExclusive())
        store(memory, frame, count, lanes, at);
      for (unsigned k = 0; k < count; ++k) {
        const Tensor64 &tensor = memory.tensor(op.getTensors()[k]);
        for (unsigned lane = 0; lane < lanes; ++lane)
          combine->argument(frame, count + k)[lane] = tensor.data[at(lane)];
      }
      combine->run(frame, lanes);
      // A value may be yielded in another one's place, so all are read before one is written.
      std::vector<double> next;
      for (unsigned k = 0; k < count; ++k)
        for (unsigned lane = 0; lane < lanes; ++lane)
          next.push_back(combine->result(frame, k)[lane * combine->resultStep(k)]);
      for (unsigned k = 0; k < count; ++k)
        std::copy_n(next.begin() + k * lanes, lanes, combine->argument(frame, k));
      if (!op.getExclusive())
        store(memory, frame, count, lanes, at);
    }
  }

  /// Writes the values so far, which are the first arguments of the combiner.
  void store(Memory &memory, Program::Frame &frame, unsigned count, unsigned lanes,
             llvm::function_ref<size_t(unsigned)> at) const {
    for (unsigned k = 0; k < count; ++k) {
      auto &result = const_cast<Tensor64 &>(memory.tensor(op.getResult(k)));
      for (unsigned lane = 0; lane < lanes; ++lane)
        result.data[at(lane)] = combine->argument(frame, k)[lane];
    }
  }

  mutable attn::ScanOp op; // a handle; accessors are not const
  attn::AttnTensorType type;
  const Environment &environment;
  Rows rows;
  std::optional<Program> combine;
  std::vector<Program> identities;
};

class SolveStage : public Stage {
public:
  SolveStage(attn::SolveOp op, const Environment &environment)
      : op(op), environment(environment), columns(op.getRhs().getType(), environment, op.getRow()) {
  }

  llvm::Error prepare() {
    int64_t row = environment.sizeOf(op.getRow()), column = environment.sizeOf(op.getColumn());
    if (row == column)
      return llvm::Error::success();
    return llvm::createStringError(
        llvm::formatv("a triangular system needs as many rows as columns, found {0} of `{1}` and "
                      "{2} of `{3}`",
                      row, op.getRow(), column, op.getColumn()));
  }

  void run(Memory &memory) const override {
    const Tensor64 &rhs = memory.tensor(op.getRhs()), &matrix = memory.tensor(op.getMatrix());
    Tensor64 &result = memory.allocate(op.getResult(), rhs.shape);
    attn::AttnTensorType type = op.getMatrix().getType();
    int64_t rowStride = strideOf(matrix.shape, axisOf(type, op.getRow()));
    int64_t columnStride = strideOf(matrix.shape, axisOf(type, op.getColumn()));
    parallelFor(columns.getNumRows(), environment.numThreads, [&](int64_t first, int64_t last) {
      for (int64_t unknowns = first; unknowns < last; ++unknowns) {
        int64_t base = columns.base(unknowns), corner = columns.project(unknowns, type);
        auto x = [&](int64_t i) -> double & {
          return result.data[static_cast<size_t>(base + columns.step(i))];
        };
        for (int64_t i = 0; i < columns.getLength(); ++i)
          x(i) = withArithmetic(environment.options, [&](auto a) {
            double sum = rhs.data[static_cast<size_t>(base + columns.step(i))];
            for (int64_t j = 0; j < i; ++j)
              sum = a.partial(
                  sum +
                  a.result(
                      matrix.data[static_cast<size_t>(corner + i * rowStride + j * columnStride)] *
                      x(j)));
            return i == 0 ? sum : a.sum(sum, i + 1);
          });
      }
    });
  }

private:
  static unsigned axisOf(attn::AttnTensorType type, llvm::StringRef space) {
    for (unsigned i = 0; i < type.getRank(); ++i)
      if (type.getAxisName(i) == space)
        return i;
    llvm_unreachable("the verifier finds the axis");
  }

  mutable attn::SolveOp op; // a handle; accessors are not const
  const Environment &environment;
  Rows columns; ///< the unknowns of one system
};
} // namespace

StageResult attnc::reference::makeScan(attn::ScanOp op, const Environment &environment) {
  auto stage = std::make_unique<ScanStage>(op, environment);
  if (llvm::Error error = stage->prepare())
    return std::move(error);
  return std::move(stage);
}

StageResult attnc::reference::makeSolve(attn::SolveOp op, const Environment &environment) {
  auto stage = std::make_unique<SolveStage>(op, environment);
  if (llvm::Error error = stage->prepare())
    return std::move(error);
  return std::move(stage);
}
