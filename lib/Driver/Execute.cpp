// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Binding of tensors, choice of a device, and execution.
#include "Execute.h"
#include "Artefact.h"
#include "ExactInputs.h"
#include "attnc/Runtime/Failures.h"
#include "attnc/Support/Element.h"
#include "attnc/Support/Environment.h"
#include "attnc/Support/MemoryLimit.h"
#include "attnc/Support/TensorFile.h"
#include "mlir/IR/Matchers.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/Path.h"
#include <cmath>

using namespace attnc;
using namespace attnc::driver;
using llvm::createStringError;
using llvm::formatv;

LaunchInputs BoundSpec::launchInputs() {
  LaunchInputs launch;
  for (auto *tensors : {&inputs, &outputs})
    for (auto &[name, tensor] : *tensors)
      launch.tensors[name] = tensor.view;
  for (const auto &[output, input] : reused())
    launch.tensors[input] = outputs[output].view;
  // Const parameters are in the code.
  for (const ParamDecl &param : signature.params)
    if (auto it = params.find(param.name); !param.isConst && it != params.end())
      launch.params.insert(*it);
  return launch;
}

void BoundSpec::fillReused() {
  for (const auto &[output, input] : reused()) {
    TensorView written = outputs[output].view;
    const TensorView &read = inputs[input].view;
    for (int64_t i = 0; i < written.numElements(); ++i)
      driver::setElement(written, i, driver::elementOf(read, i));
  }
}

std::vector<std::pair<std::string, std::string>> BoundSpec::reused() const {
  std::vector<std::pair<std::string, std::string>> found;
  for (const TensorDecl &output : signature.outputs)
    if (inputs.count(output.mayAlias) && outputs.count(output.name))
      found.emplace_back(output.name, output.mayAlias);
  return found;
}

//===----------------------------------------------------------------------===//
// Elements
//===----------------------------------------------------------------------===//

static int64_t offsetOf(const TensorView &view, int64_t index) {
  int64_t offset = 0;
  for (int64_t dim = view.rank(); dim-- > 0;) {
    offset += index % view.shape[dim] * view.strides[dim];
    index /= view.shape[dim];
  }
  return offset;
}

double driver::elementOf(const TensorView &view, int64_t index) {
  return loadElement(view, offsetOf(view, index));
}

void driver::setElement(const TensorView &view, int64_t index, double value) {
  storeElement(view, offsetOf(view, index), value);
}

std::vector<double> driver::roundTo(DType dtype, const std::vector<double> &values) {
  std::vector<char> storage(static_cast<size_t>(dtypeSize(dtype)));
  TensorView element;
  element.dtype = dtype;
  element.data = storage.data();
  std::vector<double> result;
  for (double value : values) {
    storeElement(element, 0, value);
    result.push_back(loadElement(element, 0));
  }
  return result;
}

//===----------------------------------------------------------------------===//
// Binding
//===----------------------------------------------------------------------===//

/// A tensor of NaNs. Rank-4 tensors follow the layout: bshd swaps the middle dimensions in memory.
static OwnedTensor allocate(std::vector<int64_t> shape, DType dtype, llvm::StringRef layout) {
  OwnedTensor tensor;
  tensor.view.dtype = dtype;
  tensor.view.strides = rowMajorStrides(shape);
  if (shape.size() == 4 && layout == "bshd")
    tensor.view.strides = {shape[1] * shape[2] * shape[3], shape[3], shape[1] * shape[3], 1};
  tensor.view.shape = std::move(shape);
  tensor.storage.assign(tensor.view.numElements() * dtypeSize(dtype), '\xff');
  tensor.view.data = tensor.storage.data();
  return tensor;
}

OwnedTensor driver::poisoned(std::vector<int64_t> shape, DType dtype) {
  return allocate(std::move(shape), dtype, "bhsd");
}

OwnedTensor driver::copyOf(const OwnedTensor &tensor) {
  OwnedTensor copy = tensor;
  int64_t offset = static_cast<const char *>(tensor.view.data) - tensor.storage.data();
  copy.view.data = copy.storage.data() + offset;
  return copy;
}

/// A dtype that Q, K and V can have.
static std::optional<DType> parseOperandDType(llvm::StringRef name) {
  std::optional<DType> dtype = parseDType(name);
  return dtype && (*dtype == DType::I32 || *dtype == DType::Bool) ? std::nullopt : dtype;
}

static const TensorDecl *findDecl(const std::vector<TensorDecl> &decls, const std::string &name) {
  for (const TensorDecl &decl : decls)
    if (decl.name == name)
      return &decl;
  return nullptr;
}

/// Checks that the tensors that are not read from files fit into memory, before any is allocated.
static llvm::Error checkTensorMemory(const BoundSpec &bound) {
  long double total = 0;
  auto check = [&](const char *kind, const TensorDecl &decl) {
    if (bound.inputs.count(decl.name))
      return Failure::success();
    std::vector<int64_t> shape = shapeOf(decl, bound.sizes);
    long double bytes = bytesOf(shape, dtypeSize(decl.dtype.value_or(bound.sizes.operandDType)));
    total += bytes;
    return checkMemory(formatv("{0} `{1}` of shape [{2:$[, ]}]", kind, decl.name,
                               llvm::make_range(shape.begin(), shape.end())),
                       bytes);
  };
  for (const TensorDecl &decl : bound.signature.inputs)
    if (Failure failure = check("input", decl))
      return toError(std::move(failure));
  for (const TensorDecl &decl : bound.signature.outputs)
    if (Failure failure = check("output", decl))
      return toError(std::move(failure));
  return toError(checkMemory("inputs and outputs together: this", total));
}

/// Reads the --input files and takes the sizes that they fix.
static llvm::Error bindFiles(const Options &options, BoundSpec &bound) {
  for (auto &[name, path] : options.inputs) {
    const TensorDecl *decl = findDecl(bound.signature.inputs, name);
    if (!decl) {
      std::string known;
      for (const TensorDecl &d : bound.signature.inputs)
        known += (known.empty() ? "" : ", ") + d.name;
      return createStringError(formatv("--input={0}: `{1}` has no such input; it has {2}", name,
                                       bound.signature.name, known));
    }
    std::optional<DType> wanted = decl->dtype;
    if (!wanted && options.dtype == "bf16")
      wanted = DType::BF16;
    Outcome<NpyArray> array = readTensor(path, name, wanted);
    if (!array)
      return createStringError(formatv("--input={0}: {1}", name, array.message()));
    OwnedTensor tensor;
    tensor.storage.assign(array->storage.begin(), array->storage.end());
    tensor.view = array->view;
    tensor.view.data = tensor.storage.data();
    if (tensor.view.rank() != static_cast<int64_t>(decl->axes.size()))
      return createStringError(formatv("--input={0}={1}: expected rank {2}, found {3}", name, path,
                                       decl->axes.size(), tensor.view.rank()));
    if (!decl->dtype)
      bound.sizes.operandDType = tensor.view.dtype;
    for (size_t i = 0; i < decl->axes.size(); ++i) {
      const std::string &space = decl->axes[i].space;
      if (space.empty())
        continue;
      auto option = options.sizeOptions.find(space);
      int64_t &size = bound.sizes.spaces[space];
      if (option != options.sizeOptions.end() && size != tensor.view.shape[i])
        return createStringError(formatv("--input={0}={1}: {2} {3} on axis {4}, but {5}={6}", name,
                                         path, tensor.view.shape[i], space, i, option->second,
                                         size));
      size = tensor.view.shape[i];
    }
    bound.inputs[name] = std::move(tensor);
  }
  return llvm::Error::success();
}

/// Scales Q so that scale * q . k has unit variance whatever scale a spec writes: scores of a size
/// that attention has, and that f32 resolves.
static void normalizeQuery(Spec &spec, BoundSpec &bound) {
  for (auto attend : spec.variant().getBody().getOps<attn::AttendOp>()) {
    mlir::FloatAttr scale;
    if (!attend.isPlain() || !attend.getScale() ||
        !mlir::matchPattern(attend.getScale(), mlir::m_Constant(&scale)))
      continue;
    double factor =
        1 / (std::fabs(scale.getValueAsDouble()) * std::sqrt(double(bound.sizes.spaces["d"])));
    TensorView query = bound.inputs["Q"].view;
    for (int64_t i = 0; std::isfinite(factor) && i < query.numElements(); ++i)
      setElement(query, i, elementOf(query, i) * factor);
  }
}

/// The sizes that the options say; those of the files that are bound come first.
static llvm::Error chooseSizes(const Options &options, Spec &spec, bool readFiles,
                               BoundSpec &bound) {
  llvm::Expected<Signature> signature = reference::signatureOf(spec.variant());
  if (!signature)
    return signature.takeError();
  bound.signature = *signature;
  std::optional<DType> dtype = parseOperandDType(options.dtype);
  if (!dtype)
    return createStringError(formatv("--dtype={0}: expected f32, f16 or bf16", options.dtype));
  bound.sizes.operandDType = *dtype;
  bound.sizes.spaces = {{"b", options.batch},
                        {"h", options.heads},
                        {"g", options.effectiveKVHeads()},
                        {"q", options.qLen},
                        {"kv", options.effectiveKVLen()},
                        {"t", options.qLen},
                        {"d", options.headDim},
                        {"e", options.effectiveVHeadDim()}};
  if (readFiles)
    if (llvm::Error error = bindFiles(options, bound))
      return error;

  Outcome<std::vector<double>> values = checkParams(bound.signature, options.params);
  if (!values)
    return toError(values.takeError());
  for (size_t i = 0; i < values->size(); ++i)
    bound.params[bound.signature.params[i].name] = (*values)[i];
  // Slots whose number only inputs know: any number will do for drawn ones.
  for (const SpaceDecl &space : bound.signature.spaces)
    if (space.extent.empty())
      bound.sizes.spaces.try_emplace(space.name, 16);
  return toError(sizeDeclaredSpaces(bound.signature, *values, bound.sizes));
}

llvm::Expected<BoundSpec> driver::sizeSpec(const Options &options, Spec &spec) {
  BoundSpec bound;
  if (llvm::Error error = chooseSizes(options, spec, /*readFiles=*/false, bound))
    return std::move(error);
  return bound;
}

llvm::Expected<BoundSpec> driver::bindSpec(const Options &options, Spec &spec) {
  BoundSpec bound;
  if (llvm::Error error = chooseSizes(options, spec, /*readFiles=*/true, bound))
    return std::move(error);
  if (llvm::Error error = checkTensorMemory(bound))
    return std::move(error);

  std::optional<DrawnInputs> drawn = parseDrawnInputs(options.drawnInputs);
  if (!drawn)
    return createStringError(
        formatv("--inputs={0}: expected sampled, exact, neighbours or bits", options.drawnInputs));
  uint64_t seed = options.seed;
  for (const TensorDecl &decl : bound.signature.inputs) {
    ++seed;
    if (bound.inputs.count(decl.name))
      continue;
    std::vector<int64_t> shape = shapeOf(decl, bound.sizes);
    DType type = decl.dtype.value_or(bound.sizes.operandDType);
    // Drawn densely, then laid out: the values do not depend on the layout.
    OwnedTensor dense = allocate(shape, type, "bhsd");
    fillInput(*drawn, decl, bound.sizes, seed, dense.view);
    OwnedTensor tensor = std::move(dense);
    if (options.layout != "bhsd" && shape.size() == 4) {
      dense = std::move(tensor);
      dense.view.data = dense.storage.data();
      tensor = allocate(shape, type, options.layout);
      for (int64_t i = 0; i < tensor.view.numElements(); ++i)
        setElement(tensor.view, i, elementOf(dense.view, i));
    }
    bound.inputs[decl.name] = std::move(tensor);
  }
  for (const TensorDecl &decl : bound.signature.outputs)
    bound.outputs[decl.name] = allocate(
        shapeOf(decl, bound.sizes), decl.dtype.value_or(bound.sizes.operandDType), options.layout);
  for (auto *tensors : {&bound.inputs, &bound.outputs})
    for (auto &[name, tensor] : *tensors)
      tensor.view.data = tensor.storage.data();

  if (!options.inputs.count("Q") && *drawn == DrawnInputs::Sampled)
    normalizeQuery(spec, bound);

  std::map<std::string, TensorView> inputs, outputs;
  for (auto &[name, tensor] : bound.inputs)
    inputs[name] = tensor.view;
  for (auto &[name, tensor] : bound.outputs)
    outputs[name] = tensor.view;
  BoundSizes checked;
  if (Failure failure = checkBindings(bound.signature, inputs, outputs, checked, bound.params))
    return toError(std::move(failure));
  return std::move(bound);
}

llvm::Error driver::readResults(const Options &options, BoundSpec &bound) {
  std::map<std::string, OwnedTensor> results;
  for (auto &[name, path] : options.results) {
    auto output = bound.outputs.find(name);
    if (output == bound.outputs.end())
      return createStringError(
          formatv("--result={0}: `{1}` has no such output", name, bound.signature.name));
    const TensorView &expected = output->second.view;
    Outcome<NpyArray> array = readTensor(path, name, expected.dtype);
    if (!array)
      return createStringError(formatv("--result={0}: {1}", name, array.message()));
    if (array->view.dtype != expected.dtype || array->view.shape != expected.shape)
      return createStringError(
          formatv("--result={0}={1}: expected {2} of shape [{3:$[, ]}], found {4} of shape "
                  "[{5:$[, ]}]",
                  name, path, dtypeName(expected.dtype), llvm::iterator_range(expected.shape),
                  dtypeName(array->view.dtype), llvm::iterator_range(array->view.shape)));
    OwnedTensor &tensor = results[name];
    tensor.storage.assign(array->storage.begin(), array->storage.end());
    tensor.view = array->view;
    tensor.view.data = tensor.storage.data();
  }
  bound.outputs = std::move(results);
  return llvm::Error::success();
}

//===----------------------------------------------------------------------===//
// Devices
//===----------------------------------------------------------------------===//

/// The emulator's driver library: ATTNC_CUDA_DRIVER, or the one that was built beside this program.
static llvm::Error selectEmulator(const Options &options) {
  // The emulated device is the one that is compiled for, unless the environment names another.
  if (llvm::StringRef(options.target).starts_with("sm_"))
    setenv("ATTNC_EMU_DEVICE", options.target.c_str(), /*overwrite=*/0);
  if (readVariable(Variable::CudaDriver))
    return llvm::Error::success();
  llvm::SmallString<256> path(llvm::sys::fs::getMainExecutable(nullptr, nullptr));
  llvm::sys::path::remove_filename(path);
  llvm::sys::path::append(path, "..", "lib", "libattnc_emu_cuda.so");
  if (!llvm::sys::fs::exists(path))
    return createStringError(
        formatv("the PTX emulator is not built: expected it at {0}; name its library in "
                "ATTNC_CUDA_DRIVER",
                path));
  setenv("ATTNC_CUDA_DRIVER", path.c_str(), 1);
  return llvm::Error::success();
}

llvm::Expected<driver::Device> driver::openDevice(const Options &options) {
  Device device;
  auto useHost = [&]() {
    device.kind = Device::Kind::Host;
    device.host = std::make_shared<HostLauncher>(static_cast<unsigned>(options.threads));
    device.name = formatv("host, {0} threads", device.host->numThreads());
  };
  if (options.device == "reference") {
    device.kind = Device::Kind::Reference;
    device.name = "reference, float64";
    return device;
  }
  if (options.device == "host") {
    useHost();
    return device;
  }
  if (options.device != "auto" && options.device != "cuda" && options.device != "emulator")
    return createStringError(
        formatv("--device={0}: expected auto, cuda, emulator, host or reference", options.device));
  if (options.device == "emulator")
    if (llvm::Error error = selectEmulator(options))
      return std::move(error);
  llvm::Expected<std::shared_ptr<cuda::Device>> opened = toExpected(cuda::Device::open());
  if (!opened) {
    if (options.device != "auto")
      return opened.takeError();
    // No GPU is not an error of `auto`; which device was taken is printed.
    llvm::consumeError(opened.takeError());
    useHost();
    return device;
  }
  device.kind = Device::Kind::CUDA;
  device.cuda = *opened;
  device.name = device.cuda->info().name;
  device.emulated = device.cuda->info().emulated();
  if (options.device == "emulator" && !device.emulated)
    return createStringError(formatv("--device=emulator: `{0}` is a real device", device.name));
  return device;
}

llvm::Expected<Target> driver::targetFor(const Options &options, const Device &device) {
  std::string name = device.kind == Device::Kind::CUDA ? device.cuda->info().targetName() : "host";
  if (!options.target.empty()) {
    bool host = options.target == "host";
    if (host != (device.kind == Device::Kind::Host))
      return createStringError(
          formatv("--target={0} does not run on device `{1}`", options.target, device.name));
    name = options.target;
  }
  return Target::parse(name);
}

/// The largest power of two, at most 16 bytes, that every row of an operand starts at a multiple
/// of.
static int32_t commonRowAlignment(const BoundSpec &bound) {
  int64_t alignment = 16;
  auto consider = [&](const TensorView &view) {
    int64_t bytes = dtypeSize(view.dtype);
    for (int64_t dim = 0; dim + 1 < view.rank(); ++dim)
      while (alignment > 1 && view.shape[dim] > 1 && view.strides[dim] * bytes % alignment != 0)
        alignment /= 2;
  };
  for (const auto &[name, input] : bound.inputs)
    if (input.view.dtype == bound.sizes.operandDType)
      consider(input.view);
  if (auto it = bound.outputs.find("out"); it != bound.outputs.end())
    consider(it->second.view);
  return static_cast<int32_t>(alignment);
}

llvm::Expected<CompileOptions> driver::compileOptionsFor(const Options &options, Spec &spec,
                                                         const BoundSpec &bound,
                                                         const Device &device) {
  llvm::Expected<Target> target = targetFor(options, device);
  if (!target)
    return target.takeError();
  llvm::Expected<CompileOptions> compile = compileOptionsFor(options, spec, *target);
  if (!compile)
    return compile.takeError();
  compile->dtype = dtypeName(bound.sizes.operandDType);
  compile->headDim = bound.sizes.spaces.at("d");
  compile->vHeadDim = bound.sizes.spaces.at("e");
  if (target->kind == Target::Kind::NVPTX)
    compile->vectorBytes = commonRowAlignment(bound);
  // What is dumped may be a tensor of single steps.
  if (!options.isChunkGiven && options.dumps.empty())
    compile->chunk = suitableChunk(bound.signature, bound.sizes.spaces);
  return compile;
}

llvm::Expected<std::unique_ptr<Executable>> driver::load(const Device &device, CompiledCode code) {
  if (device.kind == Device::Kind::CUDA)
    return Executable::loadCUDA(std::move(code), device.cuda);
  return Executable::loadHost(std::move(code), device.host);
}

llvm::Expected<std::unique_ptr<Executable>> driver::prepare(const Options &options, Spec &spec,
                                                            BoundSpec &bound, const Device &device,
                                                            CompileReport &report) {
  llvm::Expected<CompileOptions> compile = compileOptionsFor(options, spec, bound, device);
  if (!compile)
    return compile.takeError();
  // Code from the cache has neither phases that take time nor kernels that know their lines.
  std::unique_ptr<CodeCache> cache = options.timing ? nullptr : openCache(options);
  llvm::Expected<CompiledCode> code = options.fromFile.empty()
                                          ? compileSpec(spec, *compile, cache.get(), &report)
                                          : compileArtefact(options, spec, *compile, report);
  if (!code)
    return code.takeError();
  return load(device, std::move(*code));
}

//===----------------------------------------------------------------------===//
// Execution
//===----------------------------------------------------------------------===//

llvm::Expected<std::unique_ptr<DeviceTensors>> DeviceTensors::upload(const Device &device,
                                                                     BoundSpec &bound) {
  auto tensors = std::make_unique<DeviceTensors>();
  tensors->device = device.cuda;
  tensors->launch = bound.launchInputs();
  for (auto *group : {&bound.inputs, &bound.outputs})
    for (auto &[name, tensor] : *group) {
      Outcome<cuda::DevicePtr> pointer = device.cuda->allocate(tensor.storage.size());
      if (!pointer)
        return toError(pointer.takeError());
      tensors->pointers[name] = *pointer;
      if (Failure failure =
              device.cuda->copyToDevice(*pointer, tensor.storage.data(), tensor.storage.size()))
        return toError(failure);
      int64_t offset = static_cast<char *>(tensor.view.data) - tensor.storage.data();
      tensors->launch.tensors[name].data = reinterpret_cast<void *>(*pointer + offset);
    }
  for (const auto &[output, input] : bound.reused())
    tensors->launch.tensors[input] = tensors->launch.tensors[output];
  return std::move(tensors);
}

DeviceTensors::~DeviceTensors() {
  for (auto &[name, pointer] : pointers)
    (void)device->free(pointer);
}

llvm::Error DeviceTensors::download(BoundSpec &bound) {
  for (auto &[name, tensor] : bound.outputs)
    if (Failure failure =
            device->copyToHost(tensor.storage.data(), pointers[name], tensor.storage.size()))
      return toError(failure);
  return llvm::Error::success();
}

/// Checks the inputs and runs, on a GPU on the default stream.
static llvm::Error launch(Executable &executable, const LaunchInputs &inputs, LaunchTimes *times) {
  llvm::Expected<PackedArguments> arguments = executable.prepare(inputs);
  return arguments ? executable.run(*arguments, /*stream=*/nullptr, {}, times)
                   : arguments.takeError();
}

llvm::Error driver::execute(const Device &device, Executable &executable, BoundSpec &bound,
                            LaunchTimes *times) {
  bound.fillReused();
  if (device.kind == Device::Kind::Host)
    return launch(executable, bound.launchInputs(), times);
  llvm::Expected<std::unique_ptr<DeviceTensors>> tensors = DeviceTensors::upload(device, bound);
  if (!tensors)
    return tensors.takeError();
  if (llvm::Error error = launch(executable, (*tensors)->inputs(), times))
    return error;
  if (llvm::Error error = toError(device.cuda->synchronize()))
    return error;
  return (*tensors)->download(bound);
}

reference::Bindings driver::bindingsOf(const BoundSpec &bound) {
  reference::Bindings bindings;
  for (auto &[name, tensor] : bound.inputs)
    bindings.inputs[name] = tensor.view;
  bindings.params = bound.params;
  return bindings;
}

llvm::Expected<std::map<std::string, reference::Tensor64>> driver::runReference(Spec &spec,
                                                                                BoundSpec &bound) {
  return reference::run(spec.variant(), bindingsOf(bound));
}

llvm::Expected<mlir::OwningOpRef<mlir::ModuleOp>>
driver::formKernels(Spec &spec, const CompileOptions &compile) {
  mlir::OwningOpRef<mlir::ModuleOp> module = spec.cloneVariant();
  CompileRequest request;
  request.options = compile;
  request.to = Phase::Kernels;
  llvm::Expected<CompileResult> result = runPhases(*module, request);
  if (!result)
    return result.takeError();
  return module;
}
