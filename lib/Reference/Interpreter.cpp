// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Runs a variant: binds it, copies the inputs, and runs the stages in order.
#include "Attend.h"
#include "attnc/Reference/Reference.h"
#include "attnc/Support/MemoryLimit.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/ThreadPool.h"
#include "llvm/Support/Threading.h"

using namespace attnc;
using namespace attnc::reference;
using namespace mlir;

void attnc::reference::parallelFor(int64_t count, unsigned numThreads,
                                   llvm::function_ref<void(int64_t, int64_t)> body) {
  int64_t workers = std::min<int64_t>(numThreads, count);
  if (workers <= 1)
    return body(0, count);
  llvm::DefaultThreadPool pool(llvm::hardware_concurrency(static_cast<unsigned>(workers)));
  // An exception, as one for want of memory, is the caller's: here it would end the process.
  std::mutex mutex;
  std::exception_ptr failure;
  for (int64_t worker = 0; worker < workers; ++worker)
    pool.async([=, &mutex, &failure] {
      try {
        body(count * worker / workers, count * (worker + 1) / workers);
      } catch (...) {
        std::lock_guard<std::mutex> lock(mutex);
        failure = std::current_exception();
      }
    });
  pool.wait();
  if (failure)
    std::rethrow_exception(failure);
}

llvm::Expected<std::vector<std::unique_ptr<Stage>>>
attnc::reference::makeStages(Block &block, const Environment &environment) {
  std::vector<std::unique_ptr<Stage>> stages;
  for (Operation &op : block.without_terminator()) {
    bool isStage = true;
    StageResult stage =
        llvm::TypeSwitch<Operation *, StageResult>(&op)
            .Case<attn::ComputeOp>([&](auto o) { return makeCompute(o, environment); })
            .Case<attn::SoftmaxOp, attn::CumsumOp, attn::RankOp, attn::OrderOp>(
                [&](auto o) { return makeRowFunction(o, environment); })
            .Case<attn::ScanOp>([&](auto o) { return makeScan(o, environment); })
            .Case<attn::SolveOp>([&](auto o) { return makeSolve(o, environment); })
            .Case<attn::InvertOp>([&](auto o) { return makeInvert(o, environment); })
            .Case<attn::SelectOp>([&](auto o) { return makeSelect(o, environment); })
            .Case<attn::MergeOp>([&](auto o) { return makeMerge(o, environment); })
            .Case<attn::ChooseOp>([&](auto o) { return makeChoose(o, environment); })
            .Case<attn::QuantizeOp>([&](auto o) { return makeQuantize(o, environment); })
            .Case<attn::AttendOp>([&](auto o) { return makeAttend(o, environment); })
            .Case<attn::RecurOp>([&](auto o) { return makeRecur(o, environment); })
            .Case<attn::GradOp>([&](auto) -> StageResult {
              return llvm::createStringError("the reference needs gradients to be derived first");
            })
            .Default([&](auto) -> StageResult {
              isStage = false;
              return std::unique_ptr<Stage>();
            });
    if (!stage)
      return stage.takeError();
    if (isStage)
      stages.push_back(std::move(*stage));
  }
  return std::move(stages);
}

/// Copies a tensor to a dense one.
static void load(const TensorView &view, Tensor64 &into) {
  for (int64_t i = 0, n = view.numElements(); i < n; ++i) {
    int64_t offset = 0, rest = i;
    for (size_t axis = view.shape.size(); axis-- > 0; rest /= view.shape[axis])
      offset += rest % view.shape[axis] * view.strides[axis];
    into.data[static_cast<size_t>(i)] = loadElement(view, offset);
  }
}

/// "[b, h, 64]".
static std::string axesText(attn::AttnTensorType type) {
  std::string text = "[";
  for (unsigned i = 0; i < type.getRank(); ++i)
    text += (i ? ", " : "") + (type.getAxisName(i).empty() ? std::to_string(type.getAxisSize(i))
                                                           : type.getAxisName(i).str());
  return text + "]";
}

/// The first axis of an output whose size nothing says; empty if there is none.
static std::string unknownSpace(const Signature &signature, const Environment &environment) {
  for (const TensorDecl &output : signature.outputs)
    for (const AxisDecl &axis : output.axes)
      if (!axis.space.empty() && !environment.sizes.spaces.count(axis.space))
        return axis.space;
  return {};
}

/// Checks `bindings`, fills in sizes and parameters, and copies the inputs.
static llvm::Error bindEnvironment(attn::VariantOp variant, const Bindings &bindings,
                                   Environment &environment, Memory &memory) {
  llvm::Expected<Signature> signature = signatureOf(variant);
  if (!signature)
    return signature.takeError();
  Outcome<std::vector<double>> params = checkParams(*signature, bindings.params);
  if (!params)
    return llvm::createStringError(params.message());
  for (auto [decl, number] : llvm::zip_equal(signature->params, *params))
    environment.params[decl.name] = number;
  if (attnc::Failure failure =
          checkBindings(*signature, bindings.inputs, {}, environment.sizes, environment.params))
    return llvm::createStringError(failure.message());
  if (std::string space = unknownSpace(*signature, environment); !space.empty())
    return llvm::createStringError(
        llvm::formatv("no input says the size of the index space `{0}`", space));
  // One that no machine has memory for is a mistake of the sizes; what this one lacks is its own.
  std::string tooLarge;
  attnc::Failure tooLargeHere = attnc::Failure::success();
  long double bytes = 0;
  variant.walk([&](Operation *op) {
    for (Value result : op->getResults())
      if (auto type = dyn_cast<attn::AttnTensorType>(result.getType()); type && tooLarge.empty()) {
        long double elements = 1;
        for (int64_t size : environment.shapeOf(type))
          elements *= static_cast<long double>(size);
        bytes += elements * sizeof(double);
        if (elements > static_cast<long double>(maxTensorElements))
          tooLarge =
              llvm::formatv("a tensor over {0} would have {1:e2} elements, more than memory holds",
                            axesText(type), static_cast<double>(elements));
        else if (!tooLargeHere)
          tooLargeHere = checkMemory("the reference's float64 tensor over " + axesText(type),
                                     elements * sizeof(double));
      }
  });
  if (!tooLarge.empty())
    return llvm::createStringError(tooLarge);
  if (!tooLargeHere)
    tooLargeHere = checkMemory("the reference, which keeps every tensor in float64,", bytes);
  if (tooLargeHere)
    return llvm::createStringError(std::make_error_code(std::errc::not_enough_memory),
                                   tooLargeHere.message());
  for (auto input : variant.getBody().getOps<attn::InputOp>()) {
    const TensorView &view = bindings.inputs.at(input.getName().str());
    load(view, memory.allocate(input.getResult(), view.shape));
  }
  return llvm::Error::success();
}

llvm::Expected<std::map<std::string, Tensor64>>
attnc::reference::run(attn::VariantOp variant, const Bindings &bindings, unsigned numThreads) {
  RunOptions options;
  options.numThreads = numThreads;
  return runWith(variant, bindings, options);
}

llvm::Expected<std::map<std::string, Tensor64>>
attnc::reference::runWith(attn::VariantOp variant, const Bindings &bindings,
                          const RunOptions &options) {
  Environment environment;
  environment.numThreads = llvm::hardware_concurrency(options.numThreads).compute_thread_count();
  environment.options = options;
  DecisionLog decisions(variant, options.forced, options.recorded);
  if (options.forced || options.recorded)
    environment.decisions = &decisions;
  Memory memory;
  if (llvm::Error error = bindEnvironment(variant, bindings, environment, memory))
    return std::move(error);
  if (!options.rows.empty())
    environment.demand = Demand(variant, options.rows);
  auto stages = makeStages(variant.getBody().front(), environment);
  if (!stages)
    return stages.takeError();
  for (const auto &stage : *stages)
    stage->run(memory);
  std::map<std::string, Tensor64> outputs;
  auto ret = cast<attn::ReturnOp>(variant.getBody().front().getTerminator());
  for (auto [name, result] : llvm::zip_equal(ret.getNames(), ret.getValues()))
    outputs[cast<StringAttr>(name).str()] = memory.tensor(result);
  return outputs;
}

llvm::Expected<std::vector<char>> attnc::reference::evaluateMask(attn::VariantOp variant,
                                                                 const Bindings &bindings,
                                                                 int64_t b, int64_t h) {
  Environment environment;
  Memory memory;
  if (llvm::Error error = bindEnvironment(variant, bindings, environment, memory))
    return std::move(error);
  auto attends = llvm::to_vector(variant.getBody().getOps<attn::AttendOp>());
  if (attends.size() != 1 || !attends.front().isPlain())
    return llvm::createStringError("expects a variant that is one attention stage over its inputs");
  AttendStage stage(attends.front(), environment);
  if (llvm::Error error = stage.prepare())
    return std::move(error);
  return stage.maskOfHead(memory, {b, h});
}
