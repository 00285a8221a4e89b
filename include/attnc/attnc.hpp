// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A thin C++ wrapper of the C API: owning handles, and exceptions instead of statuses. Header only.
#ifndef ATTNC_ATTNC_HPP
#define ATTNC_ATTNC_HPP

#include "attnc/attnc.h"
#include <initializer_list>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace attnc::api {

/// A failure of the C API: its status and its text.
class Error : public std::runtime_error {
public:
  Error(attnc_status status, const std::string &text) : std::runtime_error(text), code(status) {}
  attnc_status status() const { return code; }

private:
  attnc_status code;
};

inline void check(attnc_status status) {
  if (status != ATTNC_OK)
    throw Error(status, attnc_last_error());
}

/// A compiled variant on a device.
class Kernel {
public:
  /// Compiles a file. Throws Error.
  static Kernel compileFile(const std::string &path, const attnc_compile_options &options = {}) {
    attnc_kernel *raw = nullptr;
    check(attnc_kernel_compile_file(path.c_str(), &options, &raw));
    return Kernel(raw);
  }
  /// Compiles spec text. Throws Error.
  static Kernel compile(const std::string &text, const attnc_compile_options &options = {},
                        const std::string &name = "<spec>") {
    attnc_kernel *raw = nullptr;
    check(attnc_kernel_compile(text.c_str(), name.c_str(), &options, &raw));
    return Kernel(raw);
  }
  static Kernel load(const std::string &path, const std::string &device = "host") {
    attnc_kernel *raw = nullptr;
    check(attnc_kernel_load(path.c_str(), device.c_str(), &raw));
    return Kernel(raw);
  }

  /// Launches on the caller's stream. Throws Error.
  void launch(const std::vector<attnc_tensor> &tensors, const std::vector<attnc_param> &params = {},
              void *stream = nullptr) {
    check(attnc_kernel_launch(handle.get(), tensors.data(), tensors.size(), params.data(),
                              params.size(), stream));
  }
  void save(const std::string &path) const { check(attnc_kernel_save(handle.get(), path.c_str())); }
  /// Bytes of workspace that a launch with these sizes of index spaces needs. Throws Error.
  size_t workspaceSize(const std::vector<attnc_size> &sizes = {}) const {
    size_t bytes = 0;
    check(attnc_kernel_workspace_size(handle.get(), sizes.data(), sizes.size(), &bytes));
    return bytes;
  }

private:
  explicit Kernel(attnc_kernel *raw) : handle(raw, &attnc_kernel_destroy) {}
  std::unique_ptr<attnc_kernel, void (*)(attnc_kernel *)> handle;
};

} // namespace attnc::api

#endif // ATTNC_ATTNC_HPP
