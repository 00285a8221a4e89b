// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The C API of compilation over the JIT. Nothing here may throw or crash on bad input.
#include "Compiler.h"
#include "Kernel.h"
#include "attnc/JIT/Compiler.h"
#include "attnc/Target/Host/HostFeatures.h"
#include "llvm/Support/ErrorHandling.h"
#include "llvm/Support/FormatVariadic.h"
#include <cstddef>
#include <new>

using namespace attnc;
using namespace attnc::capi;
using llvm::formatv;

const char *attnc_version(void) {
  static const std::string version = compilerVersion();
  return version.c_str();
}

attnc_status capi::fail(attnc_status status, llvm::Error error) {
  std::string text;
  llvm::handleAllErrors(std::move(error), [&](const llvm::ErrorInfoBase &info) {
    std::error_code code = info.convertToErrorCode();
    if (code == std::errc::invalid_argument)
      status = ATTNC_INVALID_ARGUMENT;
    else if (code == std::errc::not_enough_memory)
      status = ATTNC_OUT_OF_MEMORY;
    text += (text.empty() ? "" : "\n") + info.message();
  });
  return fail(status, text);
}

attnc_status capi::guardedCompiler(llvm::function_ref<attnc_status()> body) noexcept {
  static const bool installed = [] {
    llvm::install_bad_alloc_error_handler(
        [](void *, const char *, bool) { throw std::bad_alloc(); });
    return true;
  }();
  (void)installed;
  return guarded(body);
}

/// The options of a caller, or the defaults if there are none.
static Outcome<attnc_compile_options> readOptions(const attnc_compile_options *given) {
  Outcome<attnc_compile_options> options = attnc_default_compile_options();
  if (given)
    options = copyStruct(*given, offsetof(attnc_compile_options, target), "attnc_compile_options");
  if (!options)
    return options;
  if (options->num_const_params && !options->const_params)
    return Failure::invalidArgument("const_params is null, but num_const_params is not 0");
  if (Failure failure = checkThreads(options->num_threads))
    return failure;
  if (std::string problem = checkChunk(options->chunk); !problem.empty())
    return Failure::invalidArgument(formatv("chunk is {0}: {1}", options->chunk, problem));
  return options;
}

/// Compiles a spec for `target` with options that readOptions has checked.
static attnc_status compileFor(const SpecSource &source, const attnc_compile_options &options,
                               const std::string &target, std::optional<CompiledCode> &result) {
  llvm::Expected<std::unique_ptr<Spec>> spec =
      Spec::parse(source, options.variant ? options.variant : "");
  if (!spec)
    return fail(ATTNC_INVALID_SPEC, spec.takeError());
  CompileOptions compile;
  llvm::Expected<attnc::Target> parsed = attnc::Target::parse(target);
  if (!parsed)
    return fail(options.target ? ATTNC_INVALID_ARGUMENT : ATTNC_COMPILE_ERROR, parsed.takeError());
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
  if (options.host_features) {
    compile.hostFeatures = options.host_features;
    if (auto features = HostFeatures::parse(compile.hostFeatures); !features)
      return fail(ATTNC_INVALID_ARGUMENT,
                  formatv("host_features: {0}", llvm::toString(features.takeError())).str());
  }
  CodeCache cache(options.no_cache ? std::string() : CodeCache::defaultDirectory());
  llvm::Expected<CompiledCode> code = compileSpec(**spec, compile, &cache);
  if (!code)
    return fail(ATTNC_COMPILE_ERROR, code.takeError());
  result = std::move(*code);
  return ATTNC_OK;
}

static attnc_status compileKernel(const SpecSource &source, const attnc_compile_options *given,
                                  attnc_kernel **kernel) {
  Outcome<attnc_compile_options> options = readOptions(given);
  if (!options)
    return fail(ATTNC_INVALID_ARGUMENT, options.takeError());
  if (options->target || options->host_features)
    return fail(ATTNC_INVALID_ARGUMENT, "target and host_features are for attnc_compile_to_file; a "
                                        "kernel is compiled for its device");
  Outcome<DeviceName> name = parseDevice(options->device);
  if (!name)
    return fail(ATTNC_INVALID_ARGUMENT, name.takeError());
  std::shared_ptr<cuda::Device> device;
  std::string target = "host";
  if (name->cuda) {
    auto opened = cuda::Device::open(name->ordinal);
    if (!opened)
      return fail(ATTNC_DEVICE_ERROR, opened.takeError());
    device = *opened;
    target = device->info().targetName();
  }
  std::optional<CompiledCode> code;
  if (attnc_status status = compileFor(source, *options, target, code))
    return status;
  auto loaded = loadCode(std::move(*code), device, static_cast<unsigned>(options->num_threads));
  if (!loaded)
    return fail(ATTNC_DEVICE_ERROR, loaded.takeError());
  *kernel = loaded->release();
  return ATTNC_OK;
}

attnc_status attnc_kernel_compile(const char *text, const char *name,
                                  const attnc_compile_options *options, attnc_kernel **kernel) {
  return guardedCompiler([&] {
    if (!text || !kernel)
      return fail(ATTNC_INVALID_ARGUMENT, "attnc_kernel_compile: text and kernel must not be null");
    *kernel = nullptr;
    return compileKernel({name ? name : "<spec>", text}, options, kernel);
  });
}

attnc_status attnc_kernel_compile_file(const char *path, const attnc_compile_options *options,
                                       attnc_kernel **kernel) {
  return guardedCompiler([&] {
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

attnc_status attnc_kernel_save(const attnc_kernel *kernel, const char *path) {
  return guardedCompiler([&] {
    if (!kernel || !path)
      return fail(ATTNC_INVALID_ARGUMENT, "attnc_kernel_save: a null pointer");
    if (llvm::Error error = writeCodeFile(path, savedCodeKey, kernel->code))
      return fail(ATTNC_IO_ERROR, llvm::toString(std::move(error)));
    return ATTNC_OK;
  });
}

attnc_status attnc_compile_to_file(const char *text, const char *name,
                                   const attnc_compile_options *given, const char *path) {
  return guardedCompiler([&] {
    if (!text || !path)
      return fail(ATTNC_INVALID_ARGUMENT, "attnc_compile_to_file: text and path must not be null");
    Outcome<attnc_compile_options> options = readOptions(given);
    if (!options)
      return fail(ATTNC_INVALID_ARGUMENT, options.takeError());
    if (options->device)
      return fail(ATTNC_INVALID_ARGUMENT,
                  "attnc_compile_to_file has no device: name what it compiles for in target");
    if (options->num_threads)
      return fail(ATTNC_INVALID_ARGUMENT, "a file does not say how many threads run it: "
                                          "ATTNC_NUM_THREADS does, or attnc_kernel_set_parallel");
    std::optional<CompiledCode> code;
    if (attnc_status status = compileFor({name ? name : "<spec>", text}, *options,
                                         options->target ? options->target : "host", code))
      return status;
    if (llvm::Error error = writeCodeFile(path, savedCodeKey, *code))
      return fail(ATTNC_IO_ERROR, llvm::toString(std::move(error)));
    return ATTNC_OK;
  });
}
