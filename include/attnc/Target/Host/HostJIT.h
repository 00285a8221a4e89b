// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Loads objects of native code into the process: objects that were compiled here, or came from a
// cache or a file.
#ifndef ATTNC_TARGET_HOST_HOSTJIT_H
#define ATTNC_TARGET_HOST_HOSTJIT_H

#include "attnc/Runtime/Program.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/MemoryBuffer.h"
#include <memory>

namespace llvm::orc {
class LLJIT;
}

namespace attnc {

/// Loaded native code: functions stay callable as long as this lives.
class HostCode {
public:
  /// Loads an ELF file as translateToHostCode makes it, perhaps in an earlier process. The CPU must
  /// have the features that the code needs.
  static llvm::Expected<std::unique_ptr<HostCode>> load(const llvm::MemoryBuffer &object);
  ~HostCode();

  llvm::Expected<HostKernelFn> lookup(llvm::StringRef symbol);

private:
  explicit HostCode(std::unique_ptr<llvm::orc::LLJIT> jit);
  std::unique_ptr<llvm::orc::LLJIT> jit;
};

} // namespace attnc

#endif // ATTNC_TARGET_HOST_HOSTJIT_H
