// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attnc/Analysis/Scans.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace attnc;

std::optional<attn::Reduction> attnc::reductionOf(attn::ScanOp scan) {
  Block &body = scan.getBody().front();
  Operation *op = body.getTerminator()->getOperand(0).getDefiningOp();
  if (scan.getTensors().size() != 1 || !op || op->getBlock() != &body || op->getNumOperands() != 2)
    return std::nullopt;
  for (Value argument : body.getArguments())
    if (!llvm::is_contained(op->getOperands(), argument))
      return std::nullopt;
  return llvm::TypeSwitch<Operation *, std::optional<attn::Reduction>>(op)
      .Case<arith::AddFOp, arith::AddIOp>([](auto) { return attn::Reduction::Sum; })
      .Case<arith::MulFOp, arith::MulIOp>([](auto) { return attn::Reduction::Prod; })
      .Case<arith::MaximumFOp, arith::MaxSIOp>([](auto) { return attn::Reduction::Max; })
      .Case<arith::MinimumFOp, arith::MinSIOp>([](auto) { return attn::Reduction::Min; })
      .Default([](auto) { return std::nullopt; });
}

bool attnc::hasScanKernel(attn::ScanOp scan) {
  auto type = cast<attn::AttnTensorType>(scan.getResult(0).getType());
  llvm::SmallDenseSet<StringRef> names;
  for (unsigned axis = 0; axis < type.getRank(); ++axis)
    if (type.getAxisName(axis).empty() || !names.insert(type.getAxisName(axis)).second)
      return false;
  if (type.getRank() < 2 || !isa<attn::VariantOp>(scan->getParentOp()) || scan.getReverse() ||
      scan.getExclusive())
    return false;
  std::optional<attn::Reduction> kind = reductionOf(scan);
  return kind == attn::Reduction::Sum || kind == attn::Reduction::Prod;
}
