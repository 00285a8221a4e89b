// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Combine.h explains.
#include "Combine.h"
#include "mlir/IR/TypeUtilities.h"

using namespace mlir;
using namespace attnc;

Value attnc::neutralElement(Emitter &e, tile::ReduceKind kind, Type type) {
  bool integer = getElementTypeOrSelf(type).isInteger(32);
  switch (kind) {
  case tile::ReduceKind::Max:
    return integer ? e.constInt(type, INT32_MIN) : e.constF32(type, -INFINITY);
  case tile::ReduceKind::Min:
    return integer ? e.constInt(type, INT32_MAX) : e.constF32(type, INFINITY);
  case tile::ReduceKind::Sum:
    return integer ? e.constInt(type, 0) : e.constF32(type, 0.0f);
  case tile::ReduceKind::Product:
    return integer ? e.constInt(type, 1) : e.constF32(type, 1.0f);
  }
  llvm_unreachable("all kinds are handled");
}

Value attnc::combineElements(Emitter &e, tile::ReduceKind kind, Value x, Value before) {
  bool integer = getElementTypeOrSelf(x.getType()).isInteger(32);
  switch (kind) {
  case tile::ReduceKind::Max:
    return integer ? e.max(x, before) : e.maxOrSecond(x, before);
  case tile::ReduceKind::Min:
    return integer ? e.min(x, before) : e.minOrSecond(x, before);
  case tile::ReduceKind::Sum:
    return integer ? e.add(x, before) : e.fadd(x, before);
  case tile::ReduceKind::Product:
    return integer ? e.mul(x, before) : e.fmul(x, before);
  }
  llvm_unreachable("all kinds are handled");
}
