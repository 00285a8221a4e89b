// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// From tile kernels to native code of this process: lowering, LLVM, an object in memory, and its
// loading. The object can be kept (in a cache on disk) and loaded again without compiling.
#ifndef ATTNC_TARGET_HOST_HOSTJIT_H
#define ATTNC_TARGET_HOST_HOSTJIT_H

#include "attnc/Conversion/TileToVector/HostTarget.h"
#include "attnc/Runtime/KernelABI.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/DialectRegistry.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/MemoryBuffer.h"
#include <memory>
#include <vector>

namespace llvm::orc {
class LLJIT;
}

namespace attnc {

struct HostCompileOptions {
  HostISA isa = detectHostISA();
  /// Compile for `isa` as such rather than for this CPU: code that any CPU of the level runs.
  bool portable = false;
  /// Run MLIR's verifier after each pass.
  bool verify = false;
};

/// Milliseconds spent in each phase of a compilation.
struct HostCompileTimes {
  double lower = 0, translate = 0, optimize = 0, codegen = 0;
};

/// Native code in relocatable form and what is needed to launch it.
struct HostObject {
  std::unique_ptr<llvm::MemoryBuffer> object; ///< ELF
  std::vector<KernelABI> kernels;
  HostCompileTimes times;
};

/// Dialects and translations that compileForHost needs; call before the context is made.
void registerHostTarget(mlir::DialectRegistry &registry);

/// Compiles the tile kernels of `module`, which is consumed (it holds LLVM dialect afterwards).
/// Errors that the passes report go to the context's diagnostic handlers too.
llvm::Expected<HostObject> compileForHost(mlir::ModuleOp module,
                                          const HostCompileOptions &options = {});

/// Loaded native code: functions stay callable as long as this lives.
class HostCode {
public:
  /// Loads an object that compileForHost made, perhaps in an earlier process on the same kind of
  /// CPU.
  static llvm::Expected<std::unique_ptr<HostCode>> load(const llvm::MemoryBuffer &object);
  ~HostCode();

  llvm::Expected<HostKernelFn> lookup(llvm::StringRef symbol);

private:
  explicit HostCode(std::unique_ptr<llvm::orc::LLJIT> jit);
  std::unique_ptr<llvm::orc::LLJIT> jit;
};

} // namespace attnc

#endif // ATTNC_TARGET_HOST_HOSTJIT_H
