// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A thin C++ wrapper of the runtime's C API: owning handles, and exceptions instead of statuses.
// Header only; a program that includes it and not attnc.hpp needs libattnc_runtime alone.
#ifndef ATTNC_RUNTIME_HPP
#define ATTNC_RUNTIME_HPP

#include "attnc/runtime.h"
#include <memory>
#include <stdexcept>
#include <string>
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

/// "attnc 0.1.0 (LLVM 22.1.8)", or "attnc 0.1.0 (runtime)".
inline std::string version() { return attnc_version(); }

/// Tensors and parameters of a kernel that have been checked, for any number of runs.
class Launch {
public:
  /// Launches on the caller's stream, in `workspace` if it is not null. Throws Error.
  void run(void *stream = nullptr, void *workspace = nullptr, size_t workspaceBytes = 0) const {
    check(attnc_launch_run_with_workspace(handle.get(), workspace, workspaceBytes, stream));
  }
  /// The same in other memory: `data` has the address of element 0 of each tensor, in the order in
  /// which they were prepared. Throws Error.
  void runOn(const std::vector<void *> &data, void *stream = nullptr, void *workspace = nullptr,
             size_t workspaceBytes = 0) const {
    check(attnc_launch_run_on(handle.get(), data.data(), data.size(), workspace, workspaceBytes,
                              stream));
  }
  size_t workspaceSize() const { return attnc_launch_workspace_size(handle.get()); }
  attnc_launch *get() const { return handle.get(); }

private:
  friend class LoadedKernel;
  explicit Launch(attnc_launch *raw) : handle(raw, &attnc_launch_destroy) {}
  std::unique_ptr<attnc_launch, void (*)(attnc_launch *)> handle;
};

/// Compiled code on a device.
class LoadedKernel {
public:
  /// Loads a file. Throws Error.
  static LoadedKernel load(const std::string &path, const std::string &device = "host") {
    return LoadedKernel(loadRaw(path, device));
  }

  /// Launches on the caller's stream, in `workspace` if it is not null. Throws Error.
  void launch(const std::vector<attnc_tensor> &tensors, const std::vector<attnc_param> &params = {},
              void *stream = nullptr, void *workspace = nullptr, size_t workspaceBytes = 0) {
    check(attnc_kernel_launch_with_workspace(handle.get(), tensors.data(), tensors.size(),
                                             params.data(), params.size(), workspace,
                                             workspaceBytes, stream));
  }
  /// Checks tensors and parameters and keeps them. Throws Error.
  Launch prepare(const std::vector<attnc_tensor> &tensors,
                 const std::vector<attnc_param> &params = {}) const {
    attnc_launch *raw = nullptr;
    check(attnc_launch_prepare(handle.get(), tensors.data(), tensors.size(), params.data(),
                               params.size(), &raw));
    return Launch(raw);
  }
  /// Bytes of workspace that a launch with these sizes of index spaces needs. Throws Error.
  size_t workspaceSize(const std::vector<attnc_size> &sizes = {}) const {
    size_t bytes = 0;
    check(attnc_kernel_workspace_size(handle.get(), sizes.data(), sizes.size(), &bytes));
    return bytes;
  }
  /// Lets launches on the host work on the caller's threads; null: on the kernel's own again.
  /// Throws Error.
  void setParallel(const attnc_parallel *parallel) {
    check(attnc_kernel_set_parallel(handle.get(), parallel));
  }
  attnc_kernel *get() const { return handle.get(); }

protected:
  explicit LoadedKernel(attnc_kernel *raw) : handle(raw, &attnc_kernel_destroy) {}
  static attnc_kernel *loadRaw(const std::string &path, const std::string &device) {
    attnc_kernel *raw = nullptr;
    check(attnc_kernel_load(path.c_str(), device.c_str(), &raw));
    return raw;
  }

private:
  std::unique_ptr<attnc_kernel, void (*)(attnc_kernel *)> handle;
};

} // namespace attnc::api

#endif // ATTNC_RUNTIME_HPP
