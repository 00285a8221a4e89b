// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// From a module of LLVM-dialect kernels to PTX text through LLVM's NVPTX back end.
#ifndef ATTNC_TARGET_PTX_PTX_H
#define ATTNC_TARGET_PTX_PTX_H

#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/Error.h"
#include <string>

namespace mlir {
class DialectRegistry;
}

namespace attnc {

/// Wall-clock milliseconds of the steps of a translation.
struct PTXTimings {
  double translate = 0, optimize = 0, codegen = 0;

  PTXTimings &operator+=(const PTXTimings &other);
};

/// Registers what translation to LLVM IR and convert-to-llvm need.
void registerPTXTranslations(mlir::DialectRegistry &registry);

/// The lowest PTX version that has what we emit for `arch`, as an LLVM feature: "+ptx70".
llvm::Expected<std::string> ptxFeatureFor(llvm::StringRef arch);

/// Translates `module`, which holds only LLVM and NVVM dialect ops, for `arch` ("sm_80").
/// `llvmIR`, if not null, receives the optimized LLVM IR.
llvm::Expected<std::string> translateToPTX(mlir::ModuleOp module, llvm::StringRef arch,
                                           PTXTimings *timings = nullptr,
                                           std::string *llvmIR = nullptr);

/// One PTX module of texts that translateToPTX made for one target: the head of the first, then
/// what each defines, with labels of blocks numbered on. No two of them may define the same name.
std::string joinPTX(llvm::ArrayRef<std::string> texts);

} // namespace attnc

#endif // ATTNC_TARGET_PTX_PTX_H
