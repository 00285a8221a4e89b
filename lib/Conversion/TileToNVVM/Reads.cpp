// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Single elements of tensors, and tiles that wait in shared memory.
#include "Elements.h"
#include "KernelLowering.h"
#include "Products.h"
#include "SharedMatrices.h"

using namespace mlir;
using namespace attnc;
using tile::TileType;

FailureOr<Value> attnc::loadElement(KernelLowering &kl, tile::ElementOp element, IRMapping &mapping,
                                    int64_t alignment) {
  Location loc = element.getLoc();
  auto view = element.getView().getType();
  const ViewArgs &args = kl.views[element.getView()];
  Type type = view.getElementType();
  // First what is the same for all elements of a tile; then what they share in a row, and the
  // column last, whose constants become offsets of the instruction.
  auto isShared = [&](Value index) {
    return index.getParentBlock() != element->getBlock() ||
           !isa<tile::MapOp>(element->getParentOp());
  };
  Value offset, pointer = args.base;
  for (auto [index, stride] : llvm::zip(element.getIndices(), args.strides))
    if (isShared(index)) {
      Value term = kl.mul(loc, kl.widen(loc, mapping.lookup(index)), stride);
      offset = offset ? kl.add(loc, offset, term) : term;
    }
  if (offset)
    pointer = kl.offsetPointer(
        loc, pointer, kl.mul(loc, offset, kl.i64(loc, kl.elementBytes(element.getView()))));
  for (auto [dim, index] : llvm::enumerate(element.getIndices()))
    if (!isShared(index))
      pointer = kl.movedAlong(loc, pointer, element.getView(), dim, mapping.lookup(index));
  Type stored = type.isInteger(1)                ? Type(kl.builder.getI8Type())
                : KernelLowering::isPacked(type) ? Type(kl.builder.getI16Type())
                                                 : type;
  Value loaded =
      LLVM::LoadOp::create(kl.builder, loc, stored, pointer, alignment, /*isVolatile=*/false,
                           /*isNonTemporal=*/false, /*isInvariant=*/!args.isWritten);
  if (type.isInteger(1)) {
    Value zero = arith::ConstantOp::create(kl.builder, loc, kl.builder.getI8IntegerAttr(0));
    return arith::CmpIOp::create(kl.builder, loc, arith::CmpIPredicate::ne, loaded, zero)
        .getResult();
  }
  if (KernelLowering::isPacked(type))
    return extended(kl.builder, loc, type, loaded);
  return loaded;
}

static LogicalResult lowerElement(KernelLowering &kl, tile::ElementOp element) {
  FailureOr<Value> value = loadElement(kl, element, kl.scalars, kl.elementBytes(element.getView()));
  if (failed(value))
    return failure();
  kl.scalars.map(element.getResult(), *value);
  return success();
}

static LogicalResult lowerRead(KernelLowering &kl, tile::ReadOp read) {
  TileType type = read.getResult().getType();
  bool rightOnly = llvm::all_of(read.getResult().getUses(), [](OpOperand &use) {
    return isa<tile::DotOp, tile::DotStartOp>(use.getOwner()) && use.getOperandNumber() == 1;
  });
  bool dotOnly =
      llvm::all_of(read.getResult().getUsers(), llvm::IsaPred<tile::DotOp, tile::DotStartOp>);
  // Left operands are worth keeping in registers while they are few, two elements to each; but not
  // for warpgroups, which read them from shared memory as fast.
  constexpr int64_t kMostRegisters = 32;
  bool forWarpgroups = llvm::any_of(read.getResult().getUsers(), llvm::IsaPred<tile::DotStartOp>);
  bool areFew = !forWarpgroups && kl.isPacked(type.getElementType()) &&
                type.getRows() * type.getCols() <= 2 * kMostRegisters * kl.numThreads;
  bool keepInShared = !read.getTransposed() && (rightOnly || (dotOnly && !areFew));
  if (keepInShared) {
    kl.sharedReads[read.getResult()] = read;
    return success();
  }
  if (!kl.isPacked(type.getElementType()) || !isMmaFragment(type, kl.numThreads))
    return read.emitOpError("has no lowering to ") << type;
  kl.fragments[read.getResult()] = readFragment16(kl, read);
  return success();
}

void attnc::registerReads(NVVMOpTable &table) {
  table.add(lowerElement);
  table.add(lowerRead);
}
