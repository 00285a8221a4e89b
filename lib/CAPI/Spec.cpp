// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The C API of specs: their signature and definition as JSON, and their evaluation in float64.
#include "Compiler.h"
#include "Definition.h"
#include "attnc/JIT/Compiler.h"
#include "attnc/Reference/Reference.h"
#include "attnc/Support/Checks.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"
#include <mutex>

using namespace attnc;
using namespace attnc::capi;
using llvm::formatv;

struct attnc_spec {
  std::unique_ptr<Spec> spec;
  Signature signature;
  std::string json;
  /// The definition as JSON, once somebody has asked for it.
  mutable std::string definition;
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
    json.attributeArray("steps", [&] {
      for (const std::string &space : signature.steps)
        json.value(space);
    });
    json.attribute("chunk", usualChunk);
  });
  return text;
}

static attnc_status parse(const char *text, const char *name, const char *variant,
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

attnc_status attnc_spec_parse(const char *text, const char *name, const char *variant,
                              attnc_spec **spec) {
  return guardedCompiler([&] { return parse(text, name, variant, spec); });
}

const char *attnc_spec_signature_json(const attnc_spec *spec) {
  return spec ? spec->json.c_str() : nullptr;
}

const char *attnc_spec_definition_json(const attnc_spec *spec) {
  if (!spec)
    return nullptr;
  const char *json = nullptr;
  guardedCompiler([&] {
    std::lock_guard<std::mutex> lock(spec->mutex);
    if (spec->definition.empty())
      spec->definition = definitionJSON(spec->spec->variant());
    json = spec->definition.c_str();
    return ATTNC_OK;
  });
  return json;
}

/// Checks a float64 output against the shape that it must have.
static Failure checkOutput64(const attnc_tensor &named, const std::vector<int64_t> &shape) {
  const DLTensor &t = *named.tensor;
  if (t.device.device_type != kDLCPU && t.device.device_type != kDLCUDAHost)
    return Failure::invalidArgument(
        formatv("output `{0}` is on DLPack device {1}, the reference runs on the host", named.name,
                static_cast<int>(t.device.device_type)));
  if (t.dtype.code != kDLFloat || t.dtype.bits != 64 || t.dtype.lanes != 1)
    return Failure::invalidArgument(formatv(
        "output `{0}` of the reference must be float64, found DLPack type code {1} with {2} bits",
        named.name, t.dtype.code, t.dtype.bits));
  if (t.ndim < 0 || (t.ndim > 0 && !t.shape) ||
      llvm::ArrayRef(t.shape, t.ndim) != llvm::ArrayRef(shape)) {
    auto found =
        t.ndim > 0 && t.shape ? llvm::ArrayRef(t.shape, t.ndim) : llvm::ArrayRef<int64_t>();
    return Failure::invalidArgument(
        formatv("output `{0}` must have shape [{1:$[, ]}], found [{2:$[, ]}]", named.name,
                llvm::make_range(shape.begin(), shape.end()),
                llvm::make_range(found.begin(), found.end())));
  }
  int64_t elements = 1;
  for (int64_t size : shape)
    elements *= size;
  if (elements && !t.data)
    return Failure::invalidArgument(
        formatv("output `{0}` has elements, but no memory", named.name));
  return Failure::success();
}

/// Checks that no output shares memory with itself, with another one or with an input.
static Failure checkOutputMemory(const std::map<std::string, TensorView> &inputs,
                                 llvm::ArrayRef<attnc_tensor> outputs) {
  std::vector<StridedMemory> memory;
  for (const auto &[name, view] : inputs)
    memory.push_back({name, reinterpret_cast<uintptr_t>(view.data), dtypeSize(view.dtype),
                      view.shape.data(), view.strides.data(), view.shape.size(), false});
  std::vector<std::vector<int64_t>> dense(outputs.size());
  for (auto [output, strides] : llvm::zip_equal(outputs, dense)) {
    const DLTensor &t = *output.tensor;
    size_t rank = static_cast<size_t>(t.ndim);
    if (!t.strides)
      strides = rowMajorStrides(std::vector<int64_t>(t.shape, t.shape + rank));
    memory.push_back({output.name, reinterpret_cast<uintptr_t>(t.data) + t.byte_offset,
                      sizeof(double), t.shape, t.strides ? t.strides : strides.data(), rank, true});
    if (Failure failure = checkSelfOverlap(memory.back()))
      return failure;
  }
  return checkOverlaps(memory);
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

/// Binds what a caller names, and checks it against the signature.
static Failure bindArguments(const Signature &signature, const attnc_tensor *tensors,
                             size_t numTensors, const attnc_param *params, size_t numParams,
                             reference::Bindings &bindings, BoundSizes &sizes) {
  for (size_t i = 0; i < numTensors; ++i) {
    if (!tensors[i].name || !tensors[i].tensor)
      return Failure::invalidArgument("a tensor without a name, or a null tensor");
    Outcome<TensorView> view = toView(tensors[i], kDLCPU);
    if (!view)
      return view.takeError();
    bindings.inputs[tensors[i].name] = std::move(*view);
  }
  for (size_t i = 0; i < numParams; ++i) {
    if (!params[i].name)
      return Failure::invalidArgument("a parameter without a name");
    bindings.params[params[i].name] = params[i].value;
  }
  return checkBindings(signature, bindings.inputs, {}, sizes, bindings.params);
}

static attnc_status outputShapes(const attnc_spec *spec, const attnc_tensor *tensors,
                                 size_t numTensors, const attnc_param *params, size_t numParams,
                                 const char **json) {
  if (!spec || (numTensors && !tensors) || (numParams && !params) || !json)
    return fail(ATTNC_INVALID_ARGUMENT, "attnc_spec_output_shapes_json: a null pointer");
  reference::Bindings bindings;
  BoundSizes sizes;
  if (Failure failure =
          bindArguments(spec->signature, tensors, numTensors, params, numParams, bindings, sizes))
    return fail(ATTNC_INVALID_ARGUMENT, failure);
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

attnc_status attnc_spec_output_shapes_json(const attnc_spec *spec, const attnc_tensor *tensors,
                                           size_t numTensors, const attnc_param *params,
                                           size_t numParams, const char **json) {
  return guardedCompiler(
      [&] { return outputShapes(spec, tensors, numTensors, params, numParams, json); });
}

static Failure unknownOutput(const Signature &signature, const char *name) {
  std::vector<std::string> known;
  for (const TensorDecl &decl : signature.outputs)
    known.push_back(decl.name);
  return Failure::invalidArgument(unknownName(name, "an output", signature.name, known));
}

static attnc_status runReference(const attnc_spec *spec, const attnc_tensor *tensors,
                                 size_t numTensors, const attnc_param *params, size_t numParams,
                                 const attnc_tensor *outputs, size_t numOutputs,
                                 int32_t numThreads) {
  if (!spec || (numTensors && !tensors) || (numParams && !params) || (numOutputs && !outputs))
    return fail(ATTNC_INVALID_ARGUMENT, "attnc_spec_reference: a null pointer");
  if (Failure failure = checkThreads(numThreads))
    return fail(ATTNC_INVALID_ARGUMENT, failure);
  reference::Bindings bindings;
  BoundSizes sizes;
  if (Failure failure =
          bindArguments(spec->signature, tensors, numTensors, params, numParams, bindings, sizes))
    return fail(ATTNC_INVALID_ARGUMENT, failure);
  // The outputs are checked before anything is computed.
  for (size_t i = 0; i < numOutputs; ++i) {
    if (!outputs[i].name || !outputs[i].tensor)
      return fail(ATTNC_INVALID_ARGUMENT, "an output without a name, or a null tensor");
    auto decl = llvm::find_if(spec->signature.outputs,
                              [&](const TensorDecl &d) { return d.name == outputs[i].name; });
    if (Failure failure = decl == spec->signature.outputs.end()
                              ? unknownOutput(spec->signature, outputs[i].name)
                              : checkOutput64(outputs[i], shapeOf(*decl, sizes)))
      return fail(ATTNC_INVALID_ARGUMENT, failure);
  }
  if (Failure failure = checkOutputMemory(bindings.inputs, llvm::ArrayRef(outputs, numOutputs)))
    return fail(ATTNC_INVALID_ARGUMENT, failure);
  std::lock_guard<std::mutex> lock(spec->mutex);
  auto results = reference::run(spec->spec->variant(), bindings, static_cast<unsigned>(numThreads));
  if (!results)
    return fail(ATTNC_INVALID_ARGUMENT, results.takeError());
  for (size_t i = 0; i < numOutputs; ++i)
    store64(results->at(outputs[i].name), *outputs[i].tensor);
  return ATTNC_OK;
}

attnc_status attnc_spec_reference(const attnc_spec *spec, const attnc_tensor *tensors,
                                  size_t numTensors, const attnc_param *params, size_t numParams,
                                  const attnc_tensor *outputs, size_t numOutputs,
                                  int32_t numThreads) {
  return guardedCompiler([&] {
    return runReference(spec, tensors, numTensors, params, numParams, outputs, numOutputs,
                        numThreads);
  });
}

void attnc_spec_destroy(attnc_spec *spec) { delete spec; }
