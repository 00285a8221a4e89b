// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attnc run: execute a spec on files or seeded tensors, and compare with the reference.
#include "Check.h"
#include "Execute.h"
#include "KernelTimes.h"
#include "attnc/Frontend/Frontend.h"
#include "attnc/Support/TensorFile.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/WithColor.h"
#include <chrono>
#include <set>

using namespace attnc;
using namespace attnc::driver;
using llvm::createStringError;
using llvm::formatv;

/// The sizes of the index spaces that the tensors of the spec have.
static std::string shapeText(const BoundSpec &bound) {
  std::set<std::string> used;
  for (auto *decls : {&bound.signature.inputs, &bound.signature.outputs})
    for (const TensorDecl &decl : *decls)
      for (const AxisDecl &axis : decl.axes)
        used.insert(axis.space);
  std::string text;
  auto sizeOf = [&](const char *space) { return bound.sizes.spaces.at(space); };
  for (auto [space, name] : {std::pair("b", "batch"),
                             {"h", "heads"},
                             {"g", "kv heads"},
                             {"q", "q-len"},
                             {"kv", "kv-len"},
                             {"t", "steps"},
                             {"d", "head dim"}})
    if (used.count(space))
      text += formatv("{0} {1}, ", name, sizeOf(space));
  if (used.count("e") && !used.count("d"))
    text += formatv("value dim {0}, ", sizeOf("e"));
  else if (used.count("e") && sizeOf("e") != sizeOf("d"))
    text = formatv("{0} / {1}, ", llvm::StringRef(text).drop_back(2), sizeOf("e"));
  return text + dtypeName(bound.sizes.operandDType);
}

/// Stores the reference's float64 outputs, rounded to the outputs' dtypes.
static void storeReference(BoundSpec &bound,
                           const std::map<std::string, reference::Tensor64> &results) {
  for (auto &[name, tensor] : bound.outputs) {
    const reference::Tensor64 &result = results.at(name);
    for (int64_t i = 0; i < tensor.view.numElements(); ++i)
      setElement(tensor.view, i, result.data[i]);
  }
}

/// Bytes of the workspace of a run, and of inputs and outputs.
static llvm::Error addMemory(Executable &executable, BoundSpec &bound, llvm::json::Object &object) {
  llvm::Expected<PackedArguments> arguments = executable.prepare(bound.launchInputs());
  if (!arguments)
    return arguments.takeError();
  int64_t bytes = 0;
  for (auto *tensors : {&bound.inputs, &bound.outputs})
    for (auto &[name, tensor] : *tensors)
      bytes += static_cast<int64_t>(tensor.storage.size());
  object["workspace_bytes"] = arguments->workspaceBytes;
  object["tensor_bytes"] = bytes;
  return llvm::Error::success();
}

/// Says what is going on when it takes long.
static void progress(const Options &options, llvm::StringRef text) {
  if (!options.json)
    llvm::errs() << text << "\n";
}

using Milliseconds = std::chrono::duration<double, std::milli>;

namespace {
/// What a run took, beside its outputs.
struct RunReport {
  CompileReport compile;
  llvm::json::Object memory;
  std::unique_ptr<Executable> executable; ///< whose program `kernels` refers to
  std::optional<KernelTimes> kernels;
  Milliseconds compileTime{}, runTime{};
};
} // namespace

/// Fills the outputs of `bound`: from files, by the reference, or by compiled code.
static llvm::Error computeOutputs(const Options &options, Spec &spec, BoundSpec &bound,
                                  const Device &device, RunReport &report) {
  using Clock = std::chrono::steady_clock;
  if (!options.results.empty())
    return readResults(options, bound);
  auto start = Clock::now();
  if (device.kind == Device::Kind::Reference) {
    auto results = runReference(spec, bound);
    if (!results)
      return results.takeError();
    storeReference(bound, *results);
    report.runTime = Clock::now() - start;
    return llvm::Error::success();
  }
  llvm::Expected<std::unique_ptr<Executable>> executable =
      prepare(options, spec, bound, device, report.compile);
  if (!executable)
    return executable.takeError();
  report.executable = std::move(*executable);
  report.compileTime = Clock::now() - start;
  if (device.emulated)
    progress(options, "emulating; this is not the speed of a GPU");
  start = Clock::now();
  LaunchTimes times;
  if (llvm::Error error =
          execute(device, *report.executable, bound, options.timing ? &times : nullptr))
    return error;
  report.runTime = Clock::now() - start;
  if (options.timing)
    report.kernels.emplace(report.executable->program(), device.emulated).add(times);
  return addMemory(*report.executable, bound, report.memory);
}

/// The output that a dumped tensor is: a `transform` has the name of an input.
static std::string dumpedOutput(const BoundSpec &bound, const std::string &name) {
  return bound.outputs.count(name) ? name : frontend::transformedName(name);
}

static llvm::Error writeOutputs(const Options &options, BoundSpec &bound) {
  for (auto &[name, path] : options.outputs)
    if (Failure failure = writeTensor(path, name, bound.outputs[name].view))
      return createStringError(formatv("--output={0}: {1}", name, failure.message()));
  for (auto &[name, path] : options.dumps)
    if (Failure failure = writeTensor(path, name, bound.outputs[dumpedOutput(bound, name)].view))
      return createStringError(formatv("--dump={0}: {1}", name, failure.message()));
  return llvm::Error::success();
}

static llvm::Expected<CheckResult> checkRun(const Options &options, Spec &spec, BoundSpec &bound,
                                            const Device &device) {
  double pairs = double(bound.sizes.spaces["b"]) * bound.sizes.spaces["h"] *
                 bound.sizes.spaces["q"] * bound.sizes.spaces["kv"];
  if (pairs * bound.sizes.spaces["d"] > 4e8)
    progress(options, "computing the float64 reference");
  CheckRequest request;
  request.isGiven = !options.results.empty();
  request.isSampled = options.drawnInputs == "sampled" && options.inputs.empty();
  if (options.checkRows > 0)
    request.rows = sampleRows(bound, options.checkRows, options.seed);
  std::optional<Replay> replay;
  std::string notReplayed;
  bool isCompiled = device.kind != Device::Kind::Reference && !request.isGiven;
  if (isCompiled && options.fromFile.empty()) {
    llvm::Expected<std::optional<Replay>> replayed =
        replayDecisions(options, spec, bound, device, notReplayed);
    if (!replayed)
      return replayed.takeError();
    replay = std::move(*replayed);
  }
  request.replay = replay ? &*replay : nullptr;
  llvm::Expected<CheckResult> checked = checkOutputs(spec, bound, device, request);
  if (checked)
    checked->notReplayed = notReplayed;
  return checked;
}

/// The inputs that no file is bound to, which are drawn.
static std::vector<std::string> drawnInputs(const Options &options, const BoundSpec &bound) {
  std::vector<std::string> names;
  for (const TensorDecl &decl : bound.signature.inputs)
    if (!options.inputs.count(decl.name))
      names.push_back(decl.name);
  return names;
}

static void printAsJson(const Options &options, const BoundSpec &bound, const Device &device,
                        RunReport &report, const CheckResult &check) {
  llvm::json::Object object{{"spec", bound.signature.name},
                            {"device", device.name},
                            {"from_cache", report.compile.fromCache},
                            {"compile_ms", report.compileTime.count()},
                            {"run_ms", report.runTime.count()}};
  for (auto &[name, bytes] : report.memory)
    object[name] = bytes;
  object["drawn"] = llvm::json::Array(drawnInputs(options, bound));
  if (report.kernels)
    object["kernels"] = report.kernels->asJson();
  if (options.check) {
    object["check"] = checkAsJson(check);
    object["decisions"] = decisionsAsJson(check);
    if (!check.notReplayed.empty())
      object["decisions_not_replayed"] = check.notReplayed;
    object["ok"] = check.ok();
  }
  llvm::outs() << formatv("{0:2}\n", llvm::json::Value(std::move(object)));
}

static void printAsText(const Options &options, const BoundSpec &bound, const Device &device,
                        RunReport &report, const CheckResult &check) {
  llvm::outs() << formatv("{0} on {1}: {2}\n", bound.signature.name, device.name, shapeText(bound));
  // Where no file is bound it goes without saying.
  std::vector<std::string> drawn = drawnInputs(options, bound);
  if (!options.inputs.empty() && !drawn.empty())
    llvm::outs() << formatv("drawn at random, with --seed={0}, as no file is bound: {1}\n",
                            options.seed, llvm::join(drawn, ", "));
  if (device.kind != Device::Kind::Reference && options.results.empty())
    llvm::outs() << formatv(
        "compiled in {0:F1} ms{1}, ran in {2:F1} ms{3}\n", report.compileTime.count(),
        report.compile.fromCache ? " (from the cache)" : "", report.runTime.count(),
        device.emulated ? " (emulated)" : " (first run, with copies)");
  if (options.timing)
    for (auto &[name, milliseconds] : report.compile.phases)
      llvm::outs() << formatv("  {0,-16} {1,7:F2} ms\n", name, milliseconds);
  if (report.kernels) {
    llvm::outs() << "kernels, in the order of their launches:\n";
    report.kernels->print();
  }
  if (options.check)
    printCheck(check);
}

llvm::Error driver::runRun(const Options &options) {
  llvm::Expected<std::unique_ptr<Spec>> spec = openSpec(options);
  if (!spec)
    return spec.takeError();
  llvm::Expected<BoundSpec> bound = bindSpec(options, **spec);
  if (!bound)
    return bound.takeError();
  for (auto &[name, path] : options.outputs)
    if (!bound->outputs.count(name))
      return createStringError(
          formatv("--output={0}: `{1}` has no such output", name, bound->signature.name));
  llvm::Expected<Device> device = openDevice(options);
  if (!device)
    return device.takeError();
  RunReport report;
  if (llvm::Error error = computeOutputs(options, **spec, *bound, *device, report))
    return error;
  // Outputs are written before the check, so that a wrong result can be looked at.
  if (llvm::Error error = writeOutputs(options, *bound))
    return error;
  CheckResult check;
  if (options.check) {
    llvm::Expected<CheckResult> checked = checkRun(options, **spec, *bound, *device);
    if (!checked)
      return checked.takeError();
    check = std::move(*checked);
  }
  (options.json ? printAsJson : printAsText)(options, *bound, *device, report, check);
  if (!check.ok())
    return createStringError("the result differs from the reference by more than the bound");
  return llvm::Error::success();
}
