// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The C API of kernels over the runtime: load, launch. Nothing here may throw or crash on bad
// input. It is part of the runtime library, so there is no LLVM here.
#include "Kernel.h"
#include "attnc/Runtime/Places.h"
#include "attnc/Support/Format.h"
#include <algorithm>
#include <charconv>
#include <cstring>
#include <map>
#include <mutex>
#include <pthread.h>

using namespace attnc;
using namespace attnc::capi;

struct attnc_launch {
  std::shared_ptr<LoadedCode> loaded;
  PackedArguments arguments;
  // For runs in other memory:
  LaunchInputs inputs;
  std::vector<std::string> names; ///< of the tensors, as the caller has them
  std::vector<size_t> order;      ///< of them, for each tensor of the program
  std::vector<TensorPlace> places;
};

Outcome<DeviceName> capi::parseDevice(const char *text) {
  std::string_view name = text ? text : "host";
  DeviceName device;
  if (name == "host" || name.empty())
    return device;
  constexpr std::string_view cuda = "cuda", first = "cuda:";
  device.cuda = true;
  if (name == cuda)
    return device;
  if (name.substr(0, first.size()) == first) {
    auto [end, error] =
        std::from_chars(name.data() + first.size(), name.data() + name.size(), device.ordinal);
    if (error == std::errc() && end == name.data() + name.size())
      return device;
  }
  return Failure::invalidArgument(
      formatText("unknown device `{0}`: expected host, cuda or cuda:N", name));
}

/// One set of host threads for all kernels of a thread count.
static std::shared_ptr<HostLauncher> sharedLauncher(unsigned threads) {
  static std::mutex mutex;
  static std::map<unsigned, std::shared_ptr<HostLauncher>> launchers;
  // A child that is forked while another thread is in here must not find the mutex locked.
  static const int atFork =
      pthread_atfork([] { mutex.lock(); }, [] { mutex.unlock(); }, [] { mutex.unlock(); });
  (void)atFork;
  std::lock_guard<std::mutex> lock(mutex);
  std::shared_ptr<HostLauncher> &launcher = launchers[threads];
  if (!launcher)
    launcher = std::make_shared<HostLauncher>(threads);
  return launcher;
}

Outcome<std::unique_ptr<attnc_kernel>>
capi::loadCode(CompiledCode code, std::shared_ptr<cuda::Device> device, unsigned threads) {
  auto result = std::make_unique<attnc_kernel>();
  result->code = code;
  result->deviceType = device ? kDLCUDA : kDLCPU;
  result->threads = threads;
  auto loaded = device ? LoadedCode::loadCUDA(std::move(code), device)
                       : LoadedCode::loadHost(std::move(code), sharedLauncher(threads));
  if (!loaded)
    return loaded.takeError();
  result->loaded = std::move(*loaded);
  return result;
}

static attnc_status collect(const char *function, const attnc_kernel *kernel,
                            const attnc_tensor *tensors, size_t numTensors,
                            const attnc_param *params, size_t numParams, LaunchInputs &inputs) {
  if (!kernel || (numTensors && !tensors) || (numParams && !params))
    return fail(ATTNC_INVALID_ARGUMENT, formatText("{0}: a null pointer", function));
  for (size_t i = 0; i < numTensors; ++i) {
    if (!tensors[i].name || !tensors[i].tensor)
      return fail(ATTNC_INVALID_ARGUMENT, "a tensor without a name, or a null tensor");
    Outcome<TensorView> view = toView(tensors[i], kernel->deviceType);
    if (!view)
      return fail(ATTNC_INVALID_ARGUMENT, view.takeError());
    inputs.tensors[tensors[i].name] = std::move(*view);
  }
  for (size_t i = 0; i < numParams; ++i) {
    if (!params[i].name)
      return fail(ATTNC_INVALID_ARGUMENT, "a parameter without a name");
    inputs.params[params[i].name] = params[i].value;
  }
  return ATTNC_OK;
}

static attnc_status launch(attnc_kernel *kernel, const attnc_tensor *tensors, size_t numTensors,
                           const attnc_param *params, size_t numParams, WorkspaceBlock workspace,
                           void *stream) {
  LaunchInputs inputs;
  if (attnc_status status =
          collect("attnc_kernel_launch", kernel, tensors, numTensors, params, numParams, inputs))
    return status;
  Outcome<PackedArguments> arguments = kernel->loaded->prepare(inputs);
  if (!arguments)
    return fail(ATTNC_DEVICE_ERROR, arguments.takeError());
  if (Failure failure = kernel->loaded->run(*arguments, stream, workspace))
    return fail(ATTNC_DEVICE_ERROR, failure);
  return ATTNC_OK;
}

attnc_status attnc_kernel_launch(attnc_kernel *kernel, const attnc_tensor *tensors,
                                 size_t numTensors, const attnc_param *params, size_t numParams,
                                 void *stream) {
  return guarded(
      [&] { return launch(kernel, tensors, numTensors, params, numParams, {}, stream); });
}

static WorkspaceBlock blockOf(void *workspace, size_t bytes) {
  return {workspace, static_cast<int64_t>(std::min(bytes, static_cast<size_t>(INT64_MAX)))};
}

attnc_status attnc_kernel_launch_with_workspace(attnc_kernel *kernel, const attnc_tensor *tensors,
                                                size_t numTensors, const attnc_param *params,
                                                size_t numParams, void *workspace,
                                                size_t workspaceBytes, void *stream) {
  return guarded([&] {
    return launch(kernel, tensors, numTensors, params, numParams,
                  blockOf(workspace, workspaceBytes), stream);
  });
}

static attnc_status prepare(const attnc_kernel *kernel, const attnc_tensor *tensors,
                            size_t numTensors, const attnc_param *params, size_t numParams,
                            attnc_launch **launch) {
  if (!launch)
    return fail(ATTNC_INVALID_ARGUMENT, "attnc_launch_prepare: a null pointer");
  *launch = nullptr;
  LaunchInputs inputs;
  if (attnc_status status =
          collect("attnc_launch_prepare", kernel, tensors, numTensors, params, numParams, inputs))
    return status;
  Outcome<PackedArguments> arguments = kernel->loaded->prepare(inputs);
  if (!arguments)
    return fail(ATTNC_DEVICE_ERROR, arguments.takeError());
  auto result = std::make_unique<attnc_launch>();
  result->loaded = kernel->loaded;
  result->arguments = std::move(*arguments);
  result->inputs = std::move(inputs);
  for (size_t i = 0; i < numTensors; ++i)
    result->names.push_back(tensors[i].name);
  const Program &program = kernel->loaded->program();
  for (size_t i = 0; i < program.numTensors(); ++i) {
    // The last of a name is the one that is bound.
    auto found = std::find(result->names.rbegin(), result->names.rend(), program.tensor(i).name);
    result->order.push_back(static_cast<size_t>(result->names.rend() - found) - 1);
  }
  result->places = placesOf(program, result->inputs, result->arguments);
  *launch = result.release();
  return ATTNC_OK;
}

attnc_status attnc_launch_prepare(const attnc_kernel *kernel, const attnc_tensor *tensors,
                                  size_t numTensors, const attnc_param *params, size_t numParams,
                                  attnc_launch **launch) {
  return guarded([&] { return prepare(kernel, tensors, numTensors, params, numParams, launch); });
}

attnc_status attnc_launch_run(const attnc_launch *launch, void *stream) {
  return attnc_launch_run_with_workspace(launch, nullptr, 0, stream);
}

attnc_status attnc_launch_run_with_workspace(const attnc_launch *launch, void *workspace,
                                             size_t workspaceBytes, void *stream) {
  return guarded([&] {
    if (!launch)
      return fail(ATTNC_INVALID_ARGUMENT, "attnc_launch_run: a null pointer");
    if (Failure failure =
            launch->loaded->run(launch->arguments, stream, blockOf(workspace, workspaceBytes)))
      return fail(ATTNC_DEVICE_ERROR, failure);
    return ATTNC_OK;
  });
}

/// With the checks that do not depend on addresses made anew, for what they alone can decide.
static attnc_status runAnew(const attnc_launch &launch, void *const *data, WorkspaceBlock workspace,
                            void *stream) {
  LaunchInputs inputs = launch.inputs;
  for (size_t i = 0; i < launch.names.size(); ++i)
    inputs.tensors[launch.names[i]].data = data[i];
  Outcome<PackedArguments> arguments = launch.loaded->prepare(inputs);
  if (!arguments)
    return fail(ATTNC_DEVICE_ERROR, arguments.takeError());
  if (Failure failure = launch.loaded->run(*arguments, stream, workspace))
    return fail(ATTNC_DEVICE_ERROR, failure);
  return ATTNC_OK;
}

static attnc_status runOn(const attnc_launch *launch, void *const *data, size_t numTensors,
                          WorkspaceBlock workspace, void *stream) {
  if (!launch || (numTensors && !data))
    return fail(ATTNC_INVALID_ARGUMENT, "attnc_launch_run_on: a null pointer");
  if (numTensors != launch->names.size())
    return fail(ATTNC_INVALID_ARGUMENT,
                formatText("attnc_launch_run_on: expected the addresses of {0} tensors, found {1}",
                           launch->names.size(), numTensors));
  // Memory that a thread keeps from run to run. It is taken out while it is used: the caller's
  // parallel_for may run another launch on this thread before this one has ended.
  static thread_local std::vector<uint64_t> spareAddresses;
  static thread_local PackedArguments spareArguments;
  std::vector<uint64_t> addresses = std::move(spareAddresses);
  addresses.clear();
  for (size_t from : launch->order)
    addresses.push_back(reinterpret_cast<uintptr_t>(data[from]));
  if (!plainlyFit(launch->places, addresses))
    return runAnew(*launch, data, workspace, stream);
  PackedArguments arguments = std::move(spareArguments);
  arguments = launch->arguments;
  for (size_t i = 0; i < addresses.size(); ++i)
    for (size_t slot : launch->places[i].slots)
      arguments.slots[slot] = addresses[i];
  Failure failure = launch->loaded->run(arguments, stream, workspace);
  spareAddresses = std::move(addresses);
  spareArguments = std::move(arguments);
  return failure ? fail(ATTNC_DEVICE_ERROR, failure) : ATTNC_OK;
}

attnc_status attnc_launch_run_on(const attnc_launch *launch, void *const *data, size_t numTensors,
                                 void *workspace, size_t workspaceBytes, void *stream) {
  return guarded(
      [&] { return runOn(launch, data, numTensors, blockOf(workspace, workspaceBytes), stream); });
}

void attnc_launch_destroy(attnc_launch *launch) { delete launch; }

static attnc_status workspaceSize(const attnc_kernel *kernel, const attnc_size *sizes,
                                  size_t numSizes, size_t *bytes) {
  if (!kernel || !bytes || (numSizes && !sizes))
    return fail(ATTNC_INVALID_ARGUMENT, "attnc_kernel_workspace_size: a null pointer");
  std::map<std::string, int64_t> given;
  for (size_t i = 0; i < numSizes; ++i) {
    if (!sizes[i].name)
      return fail(ATTNC_INVALID_ARGUMENT, "a size without a name");
    given[sizes[i].name] = sizes[i].value;
  }
  Outcome<int64_t> needed = workspaceBytes(kernel->loaded->program(), given, {});
  if (!needed)
    return fail(ATTNC_INVALID_ARGUMENT, needed.takeError());
  *bytes = static_cast<size_t>(*needed);
  return ATTNC_OK;
}

attnc_status attnc_kernel_workspace_size(const attnc_kernel *kernel, const attnc_size *sizes,
                                         size_t numSizes, size_t *bytes) {
  return guarded([&] { return workspaceSize(kernel, sizes, numSizes, bytes); });
}

size_t attnc_launch_workspace_size(const attnc_launch *launch) {
  return launch ? static_cast<size_t>(launch->arguments.workspaceBytes) : 0;
}

static attnc_status load(const char *path, const char *deviceText, attnc_kernel **kernel) {
  if (!path || !kernel)
    return fail(ATTNC_INVALID_ARGUMENT, "attnc_kernel_load: a null pointer");
  *kernel = nullptr;
  Outcome<DeviceName> name = parseDevice(deviceText);
  if (!name)
    return fail(ATTNC_INVALID_ARGUMENT, name.takeError());
  Outcome<CompiledCode> code = readCodeFile(path, savedCodeKey);
  if (!code)
    return fail(ATTNC_IO_ERROR, code.takeError());
  if ((code->target != "host") != name->cuda)
    return fail(ATTNC_INVALID_ARGUMENT, formatText("`{0}` is code for {1}", path, code->target));
  std::shared_ptr<cuda::Device> device;
  if (name->cuda) {
    auto opened = cuda::Device::open(name->ordinal);
    if (!opened)
      return fail(ATTNC_DEVICE_ERROR, opened.takeError());
    device = *opened;
  }
  Outcome<std::unique_ptr<attnc_kernel>> loaded = loadCode(std::move(*code), device, 0);
  if (!loaded)
    return fail(ATTNC_DEVICE_ERROR, loaded.takeError());
  *kernel = loaded->release();
  return ATTNC_OK;
}

attnc_status attnc_kernel_load(const char *path, const char *device, attnc_kernel **kernel) {
  return guarded([&] { return load(path, device, kernel); });
}

attnc_status attnc_kernel_set_parallel(attnc_kernel *kernel, const attnc_parallel *parallel) {
  return guarded([&] {
    if (!kernel)
      return fail(ATTNC_INVALID_ARGUMENT, "attnc_kernel_set_parallel: a null pointer");
    if (kernel->deviceType != kDLCPU)
      return fail(ATTNC_INVALID_ARGUMENT, "parallel_for is for kernels on the host");
    if (!parallel) {
      kernel->loaded->setLauncher(sharedLauncher(kernel->threads));
      return ATTNC_OK;
    }
    Outcome<attnc_parallel> copy = copyStruct(*parallel, sizeof(attnc_parallel), "attnc_parallel");
    if (!copy)
      return fail(ATTNC_INVALID_ARGUMENT, copy.takeError());
    if (!copy->parallel_for)
      return fail(ATTNC_INVALID_ARGUMENT, "parallel_for is null");
    if (copy->num_workers < 1 || copy->num_workers > int32_t(HostLauncher::maxThreads))
      return fail(ATTNC_INVALID_ARGUMENT,
                  formatText("num_workers is {0}: expected a number from 1 to {1}",
                             copy->num_workers, HostLauncher::maxThreads));
    kernel->loaded->setLauncher(std::make_shared<HostLauncher>(
        ParallelFor{copy->parallel_for, copy->context, copy->num_workers}));
    return ATTNC_OK;
  });
}

void attnc_kernel_destroy(attnc_kernel *kernel) { delete kernel; }
