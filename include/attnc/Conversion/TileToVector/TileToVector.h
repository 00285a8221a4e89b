// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The host back end's conversion: tile kernels to vector code, and on to the LLVM dialect.
#ifndef ATTNC_CONVERSION_TILETOVECTOR_TILETOVECTOR_H
#define ATTNC_CONVERSION_TILETOVECTOR_TILETOVECTOR_H

#include "attnc/Conversion/TileToVector/HostTarget.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace mlir {
class OpPassManager;
}

namespace attnc {

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "attnc/Conversion/TileToVector/Passes.h.inc"

/// Name of the i64 attribute of a lowered kernel: bytes of scratch memory of one program.
inline constexpr llvm::StringLiteral kScratchBytesAttr = "attnc.scratch_bytes";

/// Adds the passes from what convert-tile-to-vector leaves to the LLVM dialect.
void buildHostLLVMPipeline(mlir::OpPassManager &pm);

/// Adds the passes from tile kernels to the LLVM dialect. `isa` as in the pass option.
void buildHostLoweringPipeline(mlir::OpPassManager &pm, llvm::StringRef isa = "native");

/// Registers the pipeline as `attnc-host-lowering`.
void registerHostLoweringPipeline();

} // namespace attnc

#endif // ATTNC_CONVERSION_TILETOVECTOR_TILETOVECTOR_H
