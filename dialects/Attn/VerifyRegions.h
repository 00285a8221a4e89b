// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the verifiers and the custom syntax of the attn ops share.
#ifndef ATTNC_DIALECTS_ATTN_VERIFYREGIONS_H
#define ATTNC_DIALECTS_ATTN_VERIFYREGIONS_H

#include "dialects/Attn/Attn.h"

namespace attnc::attn {

/// The type of a scalar that an element of `type` reads as.
mlir::Type elementScalar(AttnTensorType type);
/// True for a letter or `_`, followed by letters, digits and `_`.
bool isIdentifier(llvm::StringRef name);

/// Checks a region of scalar arithmetic: its arguments, what it yields, and what it holds. An empty
/// region is well formed. `what` names the region in messages.
llvm::LogicalResult verifyScalarRegion(mlir::Operation *op, llvm::StringRef what,
                                       mlir::Region &region, mlir::TypeRange arguments,
                                       mlir::TypeRange results);
/// Checks the arguments of a region, and that it ends with attn.yield.
llvm::LogicalResult verifyRegionFrame(mlir::Operation *op, llvm::StringRef what,
                                      mlir::Region &region, mlir::TypeRange arguments);
/// Checks that a region holds scalar arithmetic only.
llvm::LogicalResult verifyScalarOps(mlir::Operation *op, llvm::StringRef what,
                                    mlir::Region &region);

// Directives of the assembly formats.

/// `keyword(arguments) { ... }`, or nothing for an empty region.
mlir::ParseResult parseOptionalRegion(mlir::OpAsmParser &parser, llvm::StringRef keyword,
                                      mlir::Region &region);
void printOptionalRegion(mlir::OpAsmPrinter &printer, mlir::Operation *op, llvm::StringRef keyword,
                         mlir::Region &region);
/// `keyword(arguments) { ... }`.
mlir::ParseResult parseNamedRegion(mlir::OpAsmParser &parser, llvm::StringRef keyword,
                                   mlir::Region &region);
void printNamedRegion(mlir::OpAsmPrinter &printer, mlir::Operation *op, llvm::StringRef keyword,
                      mlir::Region &region);
/// `(arguments) { ... }`.
mlir::ParseResult parseArgumentRegion(mlir::OpAsmParser &parser, mlir::Region &region);
void printArgumentRegion(mlir::OpAsmPrinter &printer, mlir::Operation *op, mlir::Region &region);

} // namespace attnc::attn

#endif // ATTNC_DIALECTS_ATTN_VERIFYREGIONS_H
