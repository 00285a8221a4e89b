// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The C API over the JIT: argument checks, DLPack, statuses. Nothing here may throw or crash on bad
// input.
#include "attnc/JIT/Compiler.h"
#include "attnc/Reference/Reference.h"
#include "attnc/attnc.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"

using namespace attnc;
using llvm::formatv;

struct attnc_kernel {
  CompiledCode code;
  std::unique_ptr<Executable> executable;
  DLDeviceType deviceType = kDLCPU;
};

static thread_local std::string lastError;

static attnc_status fail(attnc_status status, const llvm::Twine &text) {
  lastError = text.str();
  return status;
}
static attnc_status fail(attnc_status status, llvm::Error error) {
  return fail(status, llvm::toString(std::move(error)));
}

const char *attnc_version(void) {
  static const std::string version = compilerVersion();
  return version.c_str();
}

const char *attnc_last_error(void) { return lastError.c_str(); }

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

attnc_status attnc_kernel_compile(const char *text, const char *name,
                                  const attnc_compile_options *given, attnc_kernel **kernel) {
  if (!text || !kernel)
    return fail(ATTNC_INVALID_ARGUMENT, "attnc_kernel_compile: text and kernel must not be null");
  *kernel = nullptr;
  attnc_compile_options zero = {};
  const attnc_compile_options &options = given ? *given : zero;
  DeviceName deviceName;
  if (!parseDevice(options.device, deviceName))
    return fail(
        ATTNC_INVALID_ARGUMENT,
        formatv("unknown device `{0}`: expected host, cuda or cuda:N", options.device).str());
  if (options.num_const_params && !options.const_params)
    return fail(ATTNC_INVALID_ARGUMENT, "const_params is null, but num_const_params is not 0");

  llvm::Expected<std::unique_ptr<Spec>> spec =
      Spec::parse({name ? name : "<spec>", text}, options.variant ? options.variant : "");
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
  for (size_t i = 0; i < options.num_const_params; ++i) {
    if (!options.const_params[i].name)
      return fail(ATTNC_INVALID_ARGUMENT, "a const parameter has no name");
    compile.constParams[options.const_params[i].name] = options.const_params[i].value;
  }
  CodeCache cache(options.no_cache ? std::string() : CodeCache::defaultDirectory());
  llvm::Expected<CompiledCode> code = compileSpec(**spec, compile, &cache);
  if (!code)
    return fail(ATTNC_COMPILE_ERROR, code.takeError());
  return loadCode(std::move(*code), device, static_cast<unsigned>(std::max(0, options.num_threads)),
                  kernel);
}

attnc_status attnc_kernel_compile_file(const char *path, const attnc_compile_options *options,
                                       attnc_kernel **kernel) {
  if (!path || !kernel)
    return fail(ATTNC_INVALID_ARGUMENT,
                "attnc_kernel_compile_file: path and kernel must not be null");
  llvm::Expected<SpecSource> source = SpecSource::fromFile(path);
  if (!source)
    return fail(ATTNC_IO_ERROR, source.takeError());
  return attnc_kernel_compile(source->text.c_str(), path, options, kernel);
}

/// A DLPack tensor as a view; false, with a message, for what we have no type for.
static bool toView(const attnc_tensor &named, DLDeviceType wanted, TensorView &view,
                   std::string &error) {
  const DLTensor &t = *named.tensor;
  // CUDA host and managed memory is readable from both sides.
  bool onHost = t.device.device_type == kDLCPU || t.device.device_type == kDLCUDAHost;
  bool onDevice = t.device.device_type == kDLCUDA || t.device.device_type == kDLCUDAManaged;
  if (wanted == kDLCPU ? !onHost : !onDevice) {
    error = formatv("tensor `{0}` is on DLPack device {1}, the kernel on {2}", named.name,
                    static_cast<int>(t.device.device_type), static_cast<int>(wanted));
    return false;
  }
  if (t.dtype.lanes != 1 || t.ndim < 0 || (t.ndim > 0 && !t.shape)) {
    error = formatv("tensor `{0}` is malformed: vector elements, or no shape", named.name);
    return false;
  }
  if (t.dtype.code == kDLFloat && t.dtype.bits == 32)
    view.dtype = DType::F32;
  else if (t.dtype.code == kDLFloat && t.dtype.bits == 16)
    view.dtype = DType::F16;
  else if (t.dtype.code == kDLBfloat && t.dtype.bits == 16)
    view.dtype = DType::BF16;
  else if (t.dtype.code == kDLInt && t.dtype.bits == 32)
    view.dtype = DType::I32;
  else if (t.dtype.bits == 8 &&
           (t.dtype.code == kDLUInt || t.dtype.code == 6 /* kDLBool, DLPack 1.0 */))
    view.dtype = DType::Bool;
  else {
    error = formatv(
        "tensor `{0}` has DLPack type code {1} with {2} bits: expected float32, float16, bfloat16, "
        "int32 or an 8-bit bool",
        named.name, t.dtype.code, t.dtype.bits);
    return false;
  }
  view.data = static_cast<char *>(t.data) + t.byte_offset;
  view.shape.assign(t.shape, t.shape + t.ndim);
  if (t.strides)
    view.strides.assign(t.strides, t.strides + t.ndim);
  else
    view.strides = rowMajorStrides(view.shape);
  return true;
}

attnc_status attnc_kernel_launch(attnc_kernel *kernel, const attnc_tensor *tensors,
                                 size_t numTensors, const attnc_param *params, size_t numParams,
                                 void *stream) {
  if (!kernel || (numTensors && !tensors) || (numParams && !params))
    return fail(ATTNC_INVALID_ARGUMENT, "attnc_kernel_launch: a null pointer");
  LaunchInputs inputs;
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
    if (!kernel->code.abi.paramDefaults.count(params[i].name))
      return fail(ATTNC_INVALID_ARGUMENT, formatv("`{0}` is not a launch parameter of `{1}`",
                                                  params[i].name, kernel->code.abi.symbol)
                                              .str());
    inputs.params[params[i].name] = params[i].value;
  }
  attnc_status status = ATTNC_OK;
  llvm::handleAllErrors(
      kernel->executable->launch(inputs, stream), [&](const llvm::ErrorInfoBase &info) {
        bool argument = info.convertToErrorCode() == std::errc::invalid_argument;
        status = fail(argument ? ATTNC_INVALID_ARGUMENT : ATTNC_DEVICE_ERROR, info.message());
      });
  return status;
}

size_t attnc_kernel_workspace_size(const attnc_kernel *) { return 0; }

/// A saved kernel is a cache directory's entry under a fixed key: checksummed, written atomically.
attnc_status attnc_kernel_save(const attnc_kernel *kernel, const char *path) {
  if (!kernel || !path)
    return fail(ATTNC_INVALID_ARGUMENT, "attnc_kernel_save: a null pointer");
  if (llvm::Error error = writeCodeFile(path, "saved", kernel->code))
    return fail(ATTNC_IO_ERROR,
                formatv("cannot write `{0}`: {1}", path, llvm::toString(std::move(error))).str());
  return ATTNC_OK;
}

attnc_status attnc_kernel_load(const char *path, const char *deviceText, attnc_kernel **kernel) {
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

void attnc_kernel_destroy(attnc_kernel *kernel) { delete kernel; }

//===----------------------------------------------------------------------===//
// Specs
//===----------------------------------------------------------------------===//

struct attnc_spec {
  std::unique_ptr<Spec> spec;
  Signature signature;
  std::string json;
  /// The context of the IR is made for one thread at a time.
  mutable std::mutex mutex;
};

static void writeTensor(llvm::json::OStream &json, const TensorDecl &decl) {
  json.object([&] {
    json.attribute("name", decl.name);
    json.attribute("dtype", decl.dtype ? llvm::json::Value(dtypeName(*decl.dtype))
                                       : llvm::json::Value(nullptr));
    json.attributeArray("axes", [&] {
      for (const AxisDecl &axis : decl.axes)
        json.value(axis.space.empty() ? llvm::json::Value(axis.size)
                                      : llvm::json::Value(axis.space));
    });
  });
}

static std::string signatureJSON(const Signature &signature) {
  std::string text;
  llvm::raw_string_ostream os(text);
  llvm::json::OStream json(os);
  json.object([&] {
    json.attribute("name", signature.name);
    json.attributeArray("params", [&] {
      for (const ParamDecl &param : signature.params)
        json.object([&] {
          json.attribute("name", param.name);
          json.attribute("type", param.isInteger ? "int" : "f32");
          json.attribute("const", param.isConst);
          json.attributeBegin("default");
          if (param.isInteger)
            json.value(static_cast<int64_t>(param.defaultValue));
          else if (std::isinf(param.defaultValue)) // JSON has no infinity; a number this large
                                                   // reads as one
            json.rawValue(param.defaultValue < 0 ? "-1e999" : "1e999");
          else
            json.value(param.defaultValue);
          json.attributeEnd();
        });
    });
    json.attributeArray("inputs", [&] {
      for (const TensorDecl &decl : signature.inputs)
        writeTensor(json, decl);
    });
    json.attributeArray("outputs", [&] {
      for (const TensorDecl &decl : signature.outputs)
        writeTensor(json, decl);
    });
  });
  return text;
}

attnc_status attnc_spec_parse(const char *text, const char *name, const char *variant,
                              attnc_spec **spec) {
  if (!text || !spec)
    return fail(ATTNC_INVALID_ARGUMENT, "attnc_spec_parse: text and spec must not be null");
  *spec = nullptr;
  llvm::Expected<std::unique_ptr<Spec>> parsed =
      Spec::parse({name ? name : "<spec>", text}, variant ? variant : "");
  if (!parsed)
    return fail(ATTNC_INVALID_SPEC, parsed.takeError());
  llvm::Expected<Signature> signature = reference::signatureOf((*parsed)->variant());
  if (!signature)
    return fail(ATTNC_INVALID_SPEC, signature.takeError());
  auto result = std::make_unique<attnc_spec>();
  result->spec = std::move(*parsed);
  result->json = signatureJSON(*signature);
  result->signature = std::move(*signature);
  *spec = result.release();
  return ATTNC_OK;
}

const char *attnc_spec_signature_json(const attnc_spec *spec) {
  return spec ? spec->json.c_str() : nullptr;
}

/// Checks a float64 output against the shape that it must have; an empty string, or what is wrong.
static std::string checkOutput64(const attnc_tensor &named, const std::vector<int64_t> &shape) {
  const DLTensor &t = *named.tensor;
  if (t.device.device_type != kDLCPU && t.device.device_type != kDLCUDAHost)
    return formatv("output `{0}` is on DLPack device {1}, the reference runs on the host",
                   named.name, static_cast<int>(t.device.device_type));
  if (t.dtype.code != kDLFloat || t.dtype.bits != 64 || t.dtype.lanes != 1)
    return formatv(
        "output `{0}` of the reference must be float64, found DLPack type code {1} with {2} bits",
        named.name, t.dtype.code, t.dtype.bits);
  if (t.ndim < 0 || (t.ndim > 0 && !t.shape) ||
      llvm::ArrayRef(t.shape, t.ndim) != llvm::ArrayRef(shape)) {
    auto found =
        t.ndim > 0 && t.shape ? llvm::ArrayRef(t.shape, t.ndim) : llvm::ArrayRef<int64_t>();
    return formatv("output `{0}` must have shape [{1:$[, ]}], found [{2:$[, ]}]", named.name,
                   llvm::make_range(shape.begin(), shape.end()),
                   llvm::make_range(found.begin(), found.end()));
  }
  int64_t elements = 1;
  for (int64_t size : shape)
    elements *= size;
  if (elements && !t.data)
    return formatv("output `{0}` has elements, but no memory", named.name);
  for (size_t i = 0; t.strides && i < shape.size(); ++i)
    if (elements && t.strides[i] == 0 && shape[i] > 1)
      return formatv("output `{0}` cannot have stride 0 on axis {1}", named.name, i);
  return "";
}

/// Copies a dense tensor into one with strides.
static void store64(const reference::Tensor64 &from, const DLTensor &to) {
  std::vector<int64_t> strides = rowMajorStrides(from.shape);
  if (to.strides)
    strides.assign(to.strides, to.strides + to.ndim);
  auto *base = reinterpret_cast<double *>(static_cast<char *>(to.data) + to.byte_offset);
  std::vector<int64_t> index(from.shape.size());
  for (double value : from.data) {
    int64_t offset = 0;
    for (size_t i = 0; i < index.size(); ++i)
      offset += index[i] * strides[i];
    base[offset] = value;
    for (size_t i = index.size(); i-- > 0 && ++index[i] == from.shape[i];)
      index[i] = 0;
  }
}

/// Binds what a caller names, and checks it against the signature; on failure the status is set.
static bool bindArguments(const Signature &signature, const attnc_tensor *tensors,
                          size_t numTensors, const attnc_param *params, size_t numParams,
                          reference::Bindings &bindings, BoundSizes &sizes, attnc_status &status) {
  std::string error;
  for (size_t i = 0; i < numTensors; ++i) {
    if (!tensors[i].name || !tensors[i].tensor) {
      status = fail(ATTNC_INVALID_ARGUMENT, "a tensor without a name, or a null tensor");
      return false;
    }
    if (!toView(tensors[i], kDLCPU, bindings.inputs[tensors[i].name], error)) {
      status = fail(ATTNC_INVALID_ARGUMENT, error);
      return false;
    }
  }
  for (size_t i = 0; i < numParams; ++i) {
    if (!params[i].name) {
      status = fail(ATTNC_INVALID_ARGUMENT, "a parameter without a name");
      return false;
    }
    bindings.params[params[i].name] = params[i].value;
  }
  if (std::string message = checkBindings(signature, bindings.inputs, {}, sizes, bindings.params);
      !message.empty()) {
    status = fail(ATTNC_INVALID_ARGUMENT, message);
    return false;
  }
  return true;
}

attnc_status attnc_spec_output_shapes_json(const attnc_spec *spec, const attnc_tensor *tensors,
                                           size_t numTensors, const attnc_param *params,
                                           size_t numParams, const char **json) {
  if (!spec || (numTensors && !tensors) || (numParams && !params) || !json)
    return fail(ATTNC_INVALID_ARGUMENT, "attnc_spec_output_shapes_json: a null pointer");
  reference::Bindings bindings;
  BoundSizes sizes;
  attnc_status status = ATTNC_OK;
  if (!bindArguments(spec->signature, tensors, numTensors, params, numParams, bindings, sizes,
                     status))
    return status;
  static thread_local std::string text;
  text.clear();
  llvm::raw_string_ostream os(text);
  llvm::json::OStream out(os);
  out.object([&] {
    for (const TensorDecl &decl : spec->signature.outputs)
      out.attributeArray(decl.name, [&] {
        for (int64_t size : shapeOf(decl, sizes))
          out.value(size);
      });
  });
  *json = text.c_str();
  return ATTNC_OK;
}

attnc_status attnc_spec_reference(const attnc_spec *spec, const attnc_tensor *tensors,
                                  size_t numTensors, const attnc_param *params, size_t numParams,
                                  const attnc_tensor *outputs, size_t numOutputs,
                                  int32_t numThreads) {
  if (!spec || (numTensors && !tensors) || (numParams && !params) || (numOutputs && !outputs))
    return fail(ATTNC_INVALID_ARGUMENT, "attnc_spec_reference: a null pointer");
  reference::Bindings bindings;
  BoundSizes sizes;
  attnc_status status = ATTNC_OK;
  if (!bindArguments(spec->signature, tensors, numTensors, params, numParams, bindings, sizes,
                     status))
    return status;
  // The outputs are checked before anything is computed.
  std::string message;
  for (size_t i = 0; message.empty() && i < numOutputs; ++i) {
    if (!outputs[i].name || !outputs[i].tensor)
      return fail(ATTNC_INVALID_ARGUMENT, "an output without a name, or a null tensor");
    auto decl = llvm::find_if(spec->signature.outputs,
                              [&](const TensorDecl &d) { return d.name == outputs[i].name; });
    message =
        decl == spec->signature.outputs.end()
            ? formatv("`{0}` is not an output of `{1}`", outputs[i].name, spec->signature.name)
                  .str()
            : checkOutput64(outputs[i], shapeOf(*decl, sizes));
  }
  if (!message.empty())
    return fail(ATTNC_INVALID_ARGUMENT, message);
  std::lock_guard<std::mutex> lock(spec->mutex);
  auto results = reference::run(spec->spec->variant(), bindings,
                                static_cast<unsigned>(std::max(0, numThreads)));
  if (!results)
    return fail(ATTNC_INVALID_ARGUMENT, results.takeError());
  for (size_t i = 0; i < numOutputs; ++i)
    store64(results->at(outputs[i].name), *outputs[i].tensor);
  return ATTNC_OK;
}

void attnc_spec_destroy(attnc_spec *spec) { delete spec; }
