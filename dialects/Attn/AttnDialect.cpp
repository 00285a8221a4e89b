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
  static const llvm::StringRef spaces[] = {"b", "h", "g", "q", "kv", "t", "d", "e"};
  return spaces;
}

bool attnc::attn::isIndexSpace(llvm::StringRef name) {
  return llvm::is_contained(indexSpaces(), name);
}

double attnc::attn::largestNumber(Format format) {
  switch (format) {
  case Format::Int8:
    return 127;
  case Format::Int4:
    return 7;
  case Format::F8E4M3:
    return 448;
  case Format::F8E5M2:
    return 57344;
  case Format::F4E2M1:
    return 6;
  case Format::F16:
    return 65504;
  case Format::BF16:
    return 0x1.FEp127;
  case Format::F32:
    return 0x1.FFFFFEp127;
  }
  return 0;
}

attnc::attn::SpaceOp attnc::attn::findSpace(mlir::Operation *from, llvm::StringRef name) {
  auto variant = llvm::dyn_cast<VariantOp>(from);
  if (!variant)
    variant = from->getParentOfType<VariantOp>();
  if (variant)
    for (SpaceOp space : variant.getBody().getOps<SpaceOp>())
      if (space.getName() == name)
        return space;
  return {};
}

bool attnc::attn::isKnownSpace(mlir::Operation *from, llvm::StringRef name) {
  return isIndexSpace(name) || findSpace(from, name);
}

llvm::StringRef attnc::attn::blockParent(mlir::Operation *from, llvm::StringRef name) {
  if (name == "g")
    return "h";
  SpaceOp space = findSpace(from, name);
  return space && space.getParent() ? *space.getParent() : llvm::StringRef();
}

bool attnc::attn::isBlockOf(mlir::Operation *from, llvm::StringRef name, llvm::StringRef space) {
  while (!name.empty() && name != space)
    name = blockParent(from, name);
  return name == space && !name.empty();
}
