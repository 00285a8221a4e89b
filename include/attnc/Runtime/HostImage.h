// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Linked code for the host: machine code and constants as they lie in memory, at any address. What
// the compiler makes of an object (Target/Host/HostLink.h), and what a process maps that has no
// linker.
//
//   "ATTNHI01"
//   u64  bytes of code, a multiple of a page; bytes of all the memory
//   u32  number of functions of the C library; each: u32 length and name, u64 where its address
//   goes u32  number of kernels; each: u32 length and name, u64 where it starts the memory: code,
//   then constants and addresses
//
// Numbers are little-endian; places count from the first byte of the memory.
#ifndef ATTNC_RUNTIME_HOSTIMAGE_H
#define ATTNC_RUNTIME_HOSTIMAGE_H

#include "attnc/Runtime/Program.h"
#include "attnc/Support/Failure.h"
#include <map>
#include <memory>
#include <string_view>

namespace attnc {

inline constexpr std::string_view hostImageMagic = "ATTNHI01";
/// Code and constants have different permissions, so they have different pages.
inline constexpr uint64_t hostImagePage = 4096;

/// Functions of the C library that host code may call, and their addresses.
const std::map<std::string_view, const void *> &hostImports();

/// Code that has been mapped; kernels can be called as long as this lives.
class HostImage {
public:
  /// Maps an image. The CPU must have the features that its code needs. What does not fit together
  /// is a failure; what the code does is not looked at.
  static Outcome<std::unique_ptr<HostImage>> load(std::string_view bytes);
  ~HostImage();
  HostImage(const HostImage &) = delete;

  /// The kernel of that name, or null.
  HostKernelFn lookup(std::string_view symbol) const;

private:
  HostImage() = default;
  void *memory = nullptr;
  size_t size = 0;
  std::map<std::string, uint64_t, std::less<>> kernels;
};

} // namespace attnc

#endif // ATTNC_RUNTIME_HOSTIMAGE_H
