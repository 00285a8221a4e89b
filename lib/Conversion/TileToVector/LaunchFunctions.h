// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the functions of lowered kernels have in common, for the passes that check it.
#ifndef ATTNC_LIB_CONVERSION_TILETOVECTOR_LAUNCHFUNCTIONS_H
#define ATTNC_LIB_CONVERSION_TILETOVECTOR_LAUNCHFUNCTIONS_H

#include "attnc/Conversion/TileToVector/TileToVector.h"

namespace attnc {

/// Checks, and reports, that a function with a body has the type of `HostKernelFn` and says how
/// much scratch memory it needs. A declaration is of a function that kernels call.
inline mlir::LogicalResult verifyLaunchFunction(mlir::LLVM::LLVMFuncOp function,
                                                llvm::StringRef phase) {
  if (function.isExternal())
    return mlir::success();
  mlir::MLIRContext *context = function.getContext();
  auto pointer = mlir::LLVM::LLVMPointerType::get(context);
  auto i32 = mlir::IntegerType::get(context, 32);
  auto expected = mlir::LLVM::LLVMFunctionType::get(mlir::LLVM::LLVMVoidType::get(context),
                                                    {pointer, i32, i32, i32, pointer});
  if (function.getFunctionType() != expected)
    return function.emitOpError("is no kernel of phase `")
           << phase << "`: expected the type " << expected << ", found "
           << function.getFunctionType();
  auto bytes = function->getAttrOfType<mlir::IntegerAttr>(kScratchBytesAttr);
  if (!bytes || bytes.getInt() < 0)
    return function.emitOpError("does not say in `")
           << kScratchBytesAttr << "` how much scratch memory it needs, in bytes";
  return mlir::success();
}

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_TILETOVECTOR_LAUNCHFUNCTIONS_H
