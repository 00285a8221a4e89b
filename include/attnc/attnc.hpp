// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A thin C++ wrapper of the C API: owning handles, and exceptions instead of statuses. Header only.
#ifndef ATTNC_ATTNC_HPP
#define ATTNC_ATTNC_HPP

#include "attnc/attnc.h"
#include "attnc/runtime.hpp"
#include <new>

namespace attnc::api {

/// Options with all defaults.
inline attnc_compile_options compileOptions() { return attnc_default_compile_options(); }

/// A parsed and checked variant.
class Spec {
public:
  /// Parses text; `variant` selects one of several. Throws Error.
  static Spec parse(const std::string &text, const std::string &name = "<spec>",
                    const std::string &variant = "") {
    attnc_spec *raw = nullptr;
    check(attnc_spec_parse(text.c_str(), name.c_str(), variant.c_str(), &raw));
    return Spec(raw);
  }

  /// What the variant takes and yields, as JSON.
  std::string signatureJson() const { return textOf(attnc_spec_signature_json(handle.get())); }
  /// What the variant computes, as JSON.
  std::string definitionJson() const { return textOf(attnc_spec_definition_json(handle.get())); }
  /// Shapes of the outputs for these inputs, as JSON. Throws Error.
  std::string outputShapesJson(const std::vector<attnc_tensor> &inputs,
                               const std::vector<attnc_param> &params = {}) const {
    const char *json = nullptr;
    check(attnc_spec_output_shapes_json(handle.get(), inputs.data(), inputs.size(), params.data(),
                                        params.size(), &json));
    return json;
  }
  /// Computes float64 outputs from the definition. Throws Error.
  void reference(const std::vector<attnc_tensor> &inputs, const std::vector<attnc_param> &params,
                 const std::vector<attnc_tensor> &outputs, int numThreads = 0) const {
    check(attnc_spec_reference(handle.get(), inputs.data(), inputs.size(), params.data(),
                               params.size(), outputs.data(), outputs.size(), numThreads));
  }
  attnc_spec *get() const { return handle.get(); }

private:
  explicit Spec(attnc_spec *raw) : handle(raw, &attnc_spec_destroy) {}
  static std::string textOf(const char *text) {
    if (!text)
      throw std::bad_alloc();
    return text;
  }
  std::unique_ptr<attnc_spec, void (*)(attnc_spec *)> handle;
};

/// A variant that is compiled here, or loaded.
class Kernel : public LoadedKernel {
public:
  /// Compiles a file. Throws Error.
  static Kernel compileFile(const std::string &path,
                            const attnc_compile_options &options = compileOptions()) {
    attnc_kernel *raw = nullptr;
    check(attnc_kernel_compile_file(path.c_str(), &options, &raw));
    return Kernel(raw);
  }
  /// Compiles spec text. Throws Error.
  static Kernel compile(const std::string &text,
                        const attnc_compile_options &options = compileOptions(),
                        const std::string &name = "<spec>") {
    attnc_kernel *raw = nullptr;
    check(attnc_kernel_compile(text.c_str(), name.c_str(), &options, &raw));
    return Kernel(raw);
  }
  static Kernel load(const std::string &path, const std::string &device = "host") {
    return Kernel(loadRaw(path, device));
  }
  /// Writes the code to a file. Throws Error.
  void save(const std::string &path) const { check(attnc_kernel_save(get(), path.c_str())); }

private:
  explicit Kernel(attnc_kernel *raw) : LoadedKernel(raw) {}
};

/// Compiles spec text for options.target into a file; no device is needed. Throws Error.
inline void compileToFile(const std::string &text, const attnc_compile_options &options,
                          const std::string &path, const std::string &name = "<spec>") {
  check(attnc_compile_to_file(text.c_str(), name.c_str(), &options, path.c_str()));
}

/// The program `attnc` as a function, for a process that does nothing else; returns the exit
/// status.
inline int commandLine(int argc, char **argv) { return attnc_main(argc, argv); }

} // namespace attnc::api

#endif // ATTNC_ATTNC_HPP
