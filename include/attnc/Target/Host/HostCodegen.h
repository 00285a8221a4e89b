// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// From a module of LLVM-dialect kernels to x86-64 code through LLVM's back end, as an object or as
// the assembly text of that object.
#ifndef ATTNC_TARGET_HOST_HOSTCODEGEN_H
#define ATTNC_TARGET_HOST_HOSTCODEGEN_H

#include "attnc/Target/Host/HostFeatures.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/Error.h"
#include <string>

namespace mlir {
class DialectRegistry;
}

namespace attnc {

/// Wall-clock milliseconds of the steps of a translation.
struct HostTimings {
  double translate = 0, optimize = 0, codegen = 0;
};

enum class HostCodeKind { Assembly, Object };

/// Registers the dialects and translations that host code needs; call before the context is made.
void registerHostTarget(mlir::DialectRegistry &registry);

/// Makes x86 known to LLVM; may be called any number of times.
void initializeHostTarget();

/// Translates `module`, which holds only LLVM dialect ops, to relocatable code for CPUs that have
/// `features`: an ELF file, or the text that assembleHost makes the same code of. `verify` runs
/// LLVM's verifier.
llvm::Expected<std::string> translateToHostCode(mlir::ModuleOp module, const HostFeatures &features,
                                                HostCodeKind kind, bool verify = false,
                                                HostTimings *timings = nullptr);

/// Assembles text as translateToHostCode makes it, perhaps edited, to an ELF file. The error shows
/// the line of `name` that is wrong.
llvm::Expected<std::string> assembleHost(llvm::StringRef text, llvm::StringRef name,
                                         const HostFeatures &features);

/// Checks that an ELF file calls nothing but memcpy, memmove and memset: a function of the C
/// library on numbers would be called once for each lane. The error names the function.
llvm::Error verifyHostObject(llvm::StringRef object);

} // namespace attnc

#endif // ATTNC_TARGET_HOST_HOSTCODEGEN_H
