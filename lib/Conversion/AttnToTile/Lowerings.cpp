// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The table of stages that kernels are made for.
#include "Lowerings.h"

using namespace mlir;
using namespace attnc;

StageLoweringFactory attnc::findStageLowering(Operation *op) {
  static const llvm::StringMap<StageLoweringFactory> table = {
      {attn::AttendOp::getOperationName(), lowerAttend},
      {attn::ComputeOp::getOperationName(), lowerCompute},
      {attn::CumsumOp::getOperationName(), lowerScan},
      {attn::InvertOp::getOperationName(), lowerInvert},
      {attn::RecurOp::getOperationName(), lowerRecur},
      {attn::ScanOp::getOperationName(), lowerScan},
      {attn::SelectOp::getOperationName(), lowerSelect},
  };
  return table.lookup(op->getName().getStringRef());
}
