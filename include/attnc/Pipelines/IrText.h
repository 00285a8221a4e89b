// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// IR as text, from a file that may hold anything.
#ifndef ATTNC_PIPELINES_IRTEXT_H
#define ATTNC_PIPELINES_IRTEXT_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/Support/SourceMgr.h"

namespace attnc {

/// Brackets that may be open at once. A kernel opens about 20.
inline constexpr int64_t maxIrNesting = 500;
/// Characters of a file with all that its aliases stand for.
inline constexpr int64_t maxIrCharacters = 64 << 20;
/// Characters of an affine map or set.
inline constexpr size_t maxAffineCharacters = 4000;

/// Parses the main file. Null, after an error at its place, for text that is no IR or is beyond the
/// limits: those of MLIR's parser are the stack's.
mlir::OwningOpRef<mlir::ModuleOp> parseIr(const llvm::SourceMgr &sources,
                                          mlir::MLIRContext *context);

} // namespace attnc

#endif // ATTNC_PIPELINES_IRTEXT_H
