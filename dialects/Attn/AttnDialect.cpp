// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Registration of the attn dialect.
#include "dialects/Attn/Attn.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

#include "dialects/Attn/AttnDialect.cpp.inc"

void attnc::attn::AttnDialect::initialize() {
  addOperations<
#define GET_OP_LIST
#include "dialects/Attn/AttnOps.cpp.inc"
      >();
  registerAttributes();
  registerTypes();
}

llvm::ArrayRef<llvm::StringRef> attnc::attn::indexSpaces() {
  static const llvm::StringRef spaces[] = {"b", "h", "g", "q", "kv", "d", "e"};
  return spaces;
}

bool attnc::attn::isIndexSpace(llvm::StringRef name) {
  return llvm::is_contained(indexSpaces(), name);
}
