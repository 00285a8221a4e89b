// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attnc bench: median time of a spec on a device. Refuses devices whose times mean nothing.
#include "Execute.h"
#include "KernelTimes.h"
#include "attnc/Runtime/Failures.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"
#include <algorithm>
#include <chrono>

using namespace attnc;
using namespace attnc::driver;
using llvm::createStringError;
using llvm::formatv;

/// Milliseconds of `repeat` runs on the host after one that warms up.
static llvm::Expected<std::vector<double>> timeHost(Executable &executable, BoundSpec &bound,
                                                    int64_t repeat) {
  LaunchInputs inputs = bound.launchInputs();
  std::vector<double> times;
  for (int64_t i = 0; i <= repeat; ++i) {
    auto start = std::chrono::steady_clock::now();
    if (llvm::Error error = executable.launch(inputs))
      return std::move(error);
    std::chrono::duration<double, std::milli> elapsed = std::chrono::steady_clock::now() - start;
    if (i > 0)
      times.push_back(elapsed.count());
  }
  return times;
}

static llvm::Expected<std::vector<double>> timeCUDA(const Device &device, Executable &executable,
                                                    BoundSpec &bound, int64_t repeat) {
  llvm::Expected<std::unique_ptr<cuda::Timer>> timer = toExpected(cuda::Timer::create(device.cuda));
  if (!timer)
    return timer.takeError();
  llvm::Expected<std::unique_ptr<DeviceTensors>> tensors = DeviceTensors::upload(device, bound);
  if (!tensors)
    return tensors.takeError();
  std::vector<double> times;
  for (int64_t i = 0; i < repeat + 3; ++i) {
    if (llvm::Error error = toError((*timer)->start(nullptr)))
      return std::move(error);
    if (llvm::Error error = executable.launch((*tensors)->inputs()))
      return std::move(error);
    llvm::Expected<double> elapsed = toExpected((*timer)->stop(nullptr));
    if (!elapsed)
      return elapsed.takeError();
    if (i >= 3)
      times.push_back(*elapsed);
  }
  return times;
}

/// Times each launch in `repeat` more runs: what is between them costs the whole run some time.
static llvm::Error timeKernels(const Device &device, Executable &executable, BoundSpec &bound,
                               int64_t repeat, KernelTimes &kernels) {
  std::unique_ptr<DeviceTensors> tensors;
  if (device.kind == Device::Kind::CUDA) {
    llvm::Expected<std::unique_ptr<DeviceTensors>> uploaded = DeviceTensors::upload(device, bound);
    if (!uploaded)
      return uploaded.takeError();
    tensors = std::move(*uploaded);
  }
  llvm::Expected<PackedArguments> arguments =
      executable.prepare(tensors ? tensors->inputs() : bound.launchInputs());
  if (!arguments)
    return arguments.takeError();
  for (int64_t i = 0; i <= repeat; ++i) {
    LaunchTimes times;
    if (llvm::Error error = executable.run(*arguments, /*stream=*/nullptr, {}, &times))
      return error;
    if (i > 0)
      kernels.add(times);
  }
  return llvm::Error::success();
}

llvm::Error driver::runBench(const Options &options) {
  llvm::Expected<std::unique_ptr<Spec>> spec = openSpec(options);
  if (!spec)
    return spec.takeError();
  llvm::Expected<BoundSpec> bound = bindSpec(options, **spec);
  if (!bound)
    return bound.takeError();
  bound->fillReused(); // once: a run goes on with what the one before it has left
  llvm::Expected<Device> device = openDevice(options);
  if (!device)
    return device.takeError();
  if (device->kind == Device::Kind::Reference || device->emulated)
    return createStringError(
        formatv("`{0}` is not made for speed: its times mean nothing. Use --device=host or "
                "--device=cuda",
                device->name));
  CompileReport report;
  llvm::Expected<std::unique_ptr<Executable>> executable =
      prepare(options, **spec, *bound, *device, report);
  if (!executable)
    return executable.takeError();
  llvm::Expected<std::vector<double>> times =
      device->kind == Device::Kind::CUDA ? timeCUDA(*device, **executable, *bound, options.repeat)
                                         : timeHost(**executable, *bound, options.repeat);
  if (!times)
    return times.takeError();
  std::optional<KernelTimes> kernels;
  if (options.timing) {
    kernels.emplace((*executable)->program(), device->emulated);
    if (llvm::Error error = timeKernels(*device, **executable, *bound, options.repeat, *kernels))
      return error;
  }
  std::sort(times->begin(), times->end());
  double median = (*times)[times->size() / 2], best = times->front(), worst = times->back();
  auto &s = bound->sizes.spaces;
  double dense = 2.0 * s["b"] * s["h"] * s["q"] * s["kv"] * (s["d"] + s["e"]);
  double bytes = 0;
  for (auto *tensors : {&bound->inputs, &bound->outputs})
    for (auto &[name, tensor] : *tensors)
      bytes += static_cast<double>(tensor.storage.size());
  if (options.json) {
    llvm::json::Object object{{"spec", bound->signature.name},
                              {"device", device->name},
                              {"median_ms", median},
                              {"min_ms", best},
                              {"max_ms", worst},
                              {"repeat", options.repeat},
                              {"dense_gflops", dense / median / 1e6},
                              {"tensor_bytes", bytes}};
    if (kernels)
      object["kernels"] = kernels->asJson();
    llvm::outs() << formatv("{0:2}\n", llvm::json::Value(std::move(object)));
    return llvm::Error::success();
  }
  llvm::outs() << formatv("{0} on {1}: median {2:F3} ms of {3} runs ({4:F3} to {5:F3})\n",
                          bound->signature.name, device->name, median, options.repeat, best, worst);
  llvm::outs() << formatv("dense-equivalent {0:F1} GFLOP/s; tensors {1:F2} MB, {2:F2} GB/s\n",
                          dense / median / 1e6, bytes / 1e6, bytes / median / 1e6);
  if (kernels) {
    llvm::outs() << "kernels, medians in the order of their launches:\n";
    kernels->print();
  }
  return llvm::Error::success();
}
