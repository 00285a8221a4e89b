// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The C API of kernels over the JIT: compile, load, launch, save. Nothing here may throw or crash
// on bad input.
#include "Common.h"
#include "attnc/JIT/Compiler.h"
#include "llvm/Support/FormatVariadic.h"
#include <map>
#include <mutex>
#include <pthread.h>

using namespace attnc;
using namespace attnc::capi;
using llvm::formatv;

struct attnc_kernel {
  CompiledCode code;
  std::shared_ptr<Executable> executable; ///< shared with its prepared launches
  DLDeviceType deviceType = kDLCPU;
};

struct attnc_launch {
  std::shared_ptr<Executable> executable;
  PackedArguments arguments;
};

const char *attnc_version(void) {
  static const std::string version = compilerVersion();
  return version.c_str();
}

namespace {
/// A parsed device name.
struct DeviceName {
  bool cuda = false;
  int ordinal = 0;
};
} // namespace

static bool parseDevice(const char *text, DeviceName &device) {
  llvm::StringRef name = text ? text : "host";
  if (name == "host" || name.empty())
    return true;
  if (!name.consume_front("cuda"))
    return false;
  device.cuda = true;
  return name.empty() || (name.consume_front(":") && !name.getAsInteger(10, device.ordinal));
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

static attnc_status loadCode(CompiledCode code, std::shared_ptr<cuda::Device> device,
                             unsigned threads, attnc_kernel **kernel) {
  auto result = std::make_unique<attnc_kernel>();
  result->code = code;
  result->deviceType = device ? kDLCUDA : kDLCPU;
  auto executable = device ? Executable::loadCUDA(std::move(code), device)
                           : Executable::loadHost(std::move(code), sharedLauncher(threads));
  if (!executable)
    return fail(ATTNC_DEVICE_ERROR, executable.takeError());
  result->executable = std::move(*executable);
  *kernel = result.release();
  return ATTNC_OK;
}

static attnc_status compileKernel(const SpecSource &source, const attnc_compile_options *given,
                                  attnc_kernel **kernel) {
  attnc_compile_options zero = {};
  const attnc_compile_options &options = given ? *given : zero;
  DeviceName deviceName;
  if (!parseDevice(options.device, deviceName))
    return fail(
        ATTNC_INVALID_ARGUMENT,
        formatv("unknown device `{0}`: expected host, cuda or cuda:N", options.device).str());
  if (options.num_const_params && !options.const_params)
    return fail(ATTNC_INVALID_ARGUMENT, "const_params is null, but num_const_params is not 0");
  if (attnc_status status = checkThreads(options.num_threads))
    return status;
  if (std::string problem = checkChunk(options.chunk); !problem.empty())
    return fail(ATTNC_INVALID_ARGUMENT, formatv("chunk is {0}: {1}", options.chunk, problem).str());

  llvm::Expected<std::unique_ptr<Spec>> spec =
      Spec::parse(source, options.variant ? options.variant : "");
  if (!spec)
    return fail(ATTNC_INVALID_SPEC, spec.takeError());
  CompileOptions compile;
  std::shared_ptr<cuda::Device> device;
  std::string target = "host";
  if (deviceName.cuda) {
    auto opened = cuda::Device::open(deviceName.ordinal);
    if (!opened)
      return fail(ATTNC_DEVICE_ERROR, opened.takeError());
    device = *opened;
    target = device->info().targetName();
  }
  llvm::Expected<Target> parsed = Target::parse(target);
  if (!parsed)
    return fail(ATTNC_COMPILE_ERROR, parsed.takeError());
  compile.target = *parsed;
  if (options.dtype)
    compile.dtype = options.dtype;
  if (options.head_dim)
    compile.headDim = options.head_dim;
  compile.vHeadDim = options.v_head_dim;
  if (options.row_alignment)
    compile.vectorBytes = options.row_alignment;
  compile.chunk = options.chunk;
  for (size_t i = 0; i < options.num_const_params; ++i) {
    if (!options.const_params[i].name)
      return fail(ATTNC_INVALID_ARGUMENT, "a const parameter has no name");
    compile.constParams[options.const_params[i].name] = options.const_params[i].value;
  }
  CodeCache cache(options.no_cache ? std::string() : CodeCache::defaultDirectory());
  llvm::Expected<CompiledCode> code = compileSpec(**spec, compile, &cache);
  if (!code)
    return fail(ATTNC_COMPILE_ERROR, code.takeError());
  return loadCode(std::move(*code), device, static_cast<unsigned>(options.num_threads), kernel);
}

attnc_status attnc_kernel_compile(const char *text, const char *name,
                                  const attnc_compile_options *options, attnc_kernel **kernel) {
  return guarded([&] {
    if (!text || !kernel)
      return fail(ATTNC_INVALID_ARGUMENT, "attnc_kernel_compile: text and kernel must not be null");
    *kernel = nullptr;
    return compileKernel({name ? name : "<spec>", text}, options, kernel);
  });
}

attnc_status attnc_kernel_compile_file(const char *path, const attnc_compile_options *options,
                                       attnc_kernel **kernel) {
  return guarded([&] {
    if (!path || !kernel)
      return fail(ATTNC_INVALID_ARGUMENT,
                  "attnc_kernel_compile_file: path and kernel must not be null");
    *kernel = nullptr;
    llvm::Expected<SpecSource> source = SpecSource::fromFile(path);
    if (!source)
      return fail(ATTNC_IO_ERROR, source.takeError());
    source->name = path;
    return compileKernel(*source, options, kernel);
  });
}

static attnc_status collect(llvm::StringRef function, const attnc_kernel *kernel,
                            const attnc_tensor *tensors, size_t numTensors,
                            const attnc_param *params, size_t numParams, LaunchInputs &inputs) {
  if (!kernel || (numTensors && !tensors) || (numParams && !params))
    return fail(ATTNC_INVALID_ARGUMENT, (function + ": a null pointer").str());
  std::string error;
  for (size_t i = 0; i < numTensors; ++i) {
    if (!tensors[i].name || !tensors[i].tensor)
      return fail(ATTNC_INVALID_ARGUMENT, "a tensor without a name, or a null tensor");
    if (!toView(tensors[i], kernel->deviceType, inputs.tensors[tensors[i].name], error))
      return fail(ATTNC_INVALID_ARGUMENT, error);
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
  if (llvm::Error error = kernel->executable->launch(inputs, stream, workspace))
    return fail(ATTNC_DEVICE_ERROR, std::move(error));
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
  llvm::Expected<PackedArguments> arguments = kernel->executable->prepare(inputs);
  if (!arguments)
    return fail(ATTNC_DEVICE_ERROR, arguments.takeError());
  *launch = new attnc_launch{kernel->executable, std::move(*arguments)};
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
    if (llvm::Error error =
            launch->executable->run(launch->arguments, stream, blockOf(workspace, workspaceBytes)))
      return fail(ATTNC_DEVICE_ERROR, std::move(error));
    return ATTNC_OK;
  });
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
  std::string error;
  std::optional<int64_t> needed = workspaceBytes(kernel->executable->program(), given, {}, error);
  if (!needed)
    return fail(ATTNC_INVALID_ARGUMENT, error);
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

/// A saved kernel is a cache directory's entry under a fixed key: checksummed, written atomically.
attnc_status attnc_kernel_save(const attnc_kernel *kernel, const char *path) {
  return guarded([&] {
    if (!kernel || !path)
      return fail(ATTNC_INVALID_ARGUMENT, "attnc_kernel_save: a null pointer");
    if (llvm::Error error = writeCodeFile(path, "saved", kernel->code))
      return fail(ATTNC_IO_ERROR, llvm::toString(std::move(error)));
    return ATTNC_OK;
  });
}

static attnc_status load(const char *path, const char *deviceText, attnc_kernel **kernel) {
  if (!path || !kernel)
    return fail(ATTNC_INVALID_ARGUMENT, "attnc_kernel_load: a null pointer");
  *kernel = nullptr;
  DeviceName name;
  if (!parseDevice(deviceText, name))
    return fail(ATTNC_INVALID_ARGUMENT,
                formatv("unknown device `{0}`: expected host, cuda or cuda:N", deviceText).str());
  llvm::Expected<CompiledCode> code = readCodeFile(path, "saved");
  if (!code)
    return fail(ATTNC_IO_ERROR, code.takeError());
  if ((code->target != "host") != name.cuda)
    return fail(ATTNC_INVALID_ARGUMENT, formatv("`{0}` is code for {1}", path, code->target).str());
  std::shared_ptr<cuda::Device> device;
  if (name.cuda) {
    auto opened = cuda::Device::open(name.ordinal);
    if (!opened)
      return fail(ATTNC_DEVICE_ERROR, opened.takeError());
    device = *opened;
  }
  return loadCode(std::move(*code), device, 0, kernel);
}

attnc_status attnc_kernel_load(const char *path, const char *device, attnc_kernel **kernel) {
  return guarded([&] { return load(path, device, kernel); });
}

void attnc_kernel_destroy(attnc_kernel *kernel) { delete kernel; }
