// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The attn dialect: what an attention variant means. This is its single public header.
#ifndef ATTNC_DIALECTS_ATTN_ATTN_H
#define ATTNC_DIALECTS_ATTN_ATTN_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/RegionKindInterface.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/ControlFlowInterfaces.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

namespace attnc::attn {

/// The index spaces that need no declaration: b, h, g, q, kv, t, d, e.
llvm::ArrayRef<llvm::StringRef> indexSpaces();
/// True if `name` is one of `indexSpaces()`.
bool isIndexSpace(llvm::StringRef name);

/// The largest number of a format: 127 for int8, 7 for int4, 448, 57344 and 6 for f8E4M3, f8E5M2
/// and f4E2M1.
enum class Format : uint32_t;
double largestNumber(Format format);

class SpaceOp;
/// The declaration of the space `name` in the variant around `from`, or none.
SpaceOp findSpace(mlir::Operation *from, llvm::StringRef name);
/// True if `name` is an index space or declared in the variant around `from`.
bool isKnownSpace(mlir::Operation *from, llvm::StringRef name);
/// The space that the indices of `name` are blocks of (`h` for `g`), or an empty string.
llvm::StringRef blockParent(mlir::Operation *from, llvm::StringRef name);
/// True if `name` is `space`, blocks of it, or blocks of such blocks.
bool isBlockOf(mlir::Operation *from, llvm::StringRef name, llvm::StringRef space);

} // namespace attnc::attn

#include "dialects/Attn/AttnDialect.h.inc"
#include "dialects/Attn/AttnEnums.h.inc"
#define GET_ATTRDEF_CLASSES
#include "dialects/Attn/AttnAttrs.h.inc"
#define GET_TYPEDEF_CLASSES
#include "dialects/Attn/AttnTypes.h.inc"
#define GET_OP_CLASSES
#include "dialects/Attn/AttnOps.h.inc"

#endif // ATTNC_DIALECTS_ATTN_ATTN_H
