// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Quotients.h explains.
#include "Quotients.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace attnc;

void attnc::setUniformQuotients(Evaluator &evaluator, Scope &scope, attn::ComputeOp compute) {
  compute.getBody().walk([&](arith::FloorDivSIOp quotient) {
    llvm::APInt number;
    auto index = dyn_cast<BlockArgument>(quotient.getLhs());
    if (!index || index.getOwner() != &compute.getBody().front() ||
        !matchPattern(quotient.getRhs(), m_ConstantInt(&number)))
      return;
    const Place *place = evaluator.placeOf(scope, index);
    int64_t divisor = number.getSExtValue();
    if (!place || !place->axis || place->base || divisor <= 0 || divisor % place->axis->tile != 0)
      return;
    Location loc = quotient.getLoc();
    Value uniform = arith::DivUIOp::create(evaluator.builder, loc, place->axis->first,
                                           evaluator.context.i32(loc, divisor));
    scope.values[quotient.getResult()] = Evaluated{uniform, {}};
  });
}
