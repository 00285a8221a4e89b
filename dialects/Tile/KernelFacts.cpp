// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// KernelFacts.h explains.
#include "dialects/Tile/KernelFacts.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Matchers.h"
#include <numeric>

using namespace mlir;
using namespace attnc;

/// Arithmetic on the start of a tile is shallow.
constexpr unsigned kMostNested = 8;

static std::optional<int64_t> constantOf(Value scalar) {
  llvm::APInt number;
  if (!matchPattern(scalar, m_ConstantInt(&number)))
    return std::nullopt;
  return number.getSExtValue();
}

/// The loop whose index `scalar` is.
static scf::ForOp loopOf(Value scalar) {
  auto argument = dyn_cast<BlockArgument>(scalar);
  if (!argument)
    return nullptr;
  auto loop = dyn_cast<scf::ForOp>(argument.getOwner()->getParentOp());
  return loop && loop.getInductionVar() == scalar ? loop : nullptr;
}

static int64_t divisorOf(Value scalar, unsigned nested) {
  if (std::optional<int64_t> number = constantOf(scalar))
    return std::abs(*number);
  if (nested > kMostNested)
    return 1;
  auto of = [&](Value operand) { return divisorOf(operand, nested + 1); };
  if (scf::ForOp loop = loopOf(scalar))
    return std::gcd(of(loop.getLowerBound()), of(loop.getStep()));
  if (auto sum = scalar.getDefiningOp<arith::AddIOp>())
    return std::gcd(of(sum.getLhs()), of(sum.getRhs()));
  if (auto least = scalar.getDefiningOp<arith::MinSIOp>())
    return std::gcd(of(least.getLhs()), of(least.getRhs()));
  // Products wrap at a power of two, so that those of powers of two stay what they are.
  if (auto product = scalar.getDefiningOp<arith::MulIOp>()) {
    int64_t divisor = of(product.getLhs()) * of(product.getRhs());
    return divisor & -divisor;
  }
  return 1;
}

int64_t tile::divisorOf(Value scalar) {
  // Sums wrap too: only powers of two are sure.
  int64_t divisor = ::divisorOf(scalar, 0);
  return divisor & -divisor;
}

bool tile::isKnownAtMost(Value scalar, int64_t more, Value limit) {
  std::optional<int64_t> most = constantOf(limit);
  if (!most)
    return false;
  if (std::optional<int64_t> number = constantOf(scalar))
    return *number + more <= *most;
  if (auto least = scalar.getDefiningOp<arith::MinSIOp>())
    return isKnownAtMost(least.getLhs(), more, limit) || isKnownAtMost(least.getRhs(), more, limit);
  scf::ForOp loop = loopOf(scalar);
  if (!loop)
    return false;
  std::optional<int64_t> from = constantOf(loop.getLowerBound()),
                         to = constantOf(loop.getUpperBound()), step = constantOf(loop.getStep());
  if (!from || !to || !step || *step <= 0 || *to <= *from)
    return false;
  int64_t last = *from + (*to - 1 - *from) / *step * *step;
  return last + more <= *most;
}

SmallVector<std::optional<int64_t>> tile::knownStrides(KernelOp kernel, BlockArgument view) {
  auto type = cast<ViewType>(view.getType());
  SmallVector<std::optional<int64_t>> strides(type.getRank());
  if (strides.empty())
    return strides;
  if (type.getUnitStride())
    strides.back() = 1;
  auto axes = kernel.getArgAttrOfType<ArrayAttr>(view.getArgNumber(), "tile.axes");
  if (!kernel.getArgAttr(view.getArgNumber(), "tile.dense") || !axes ||
      axes.size() != strides.size())
    return strides;
  int64_t stride = 1;
  for (size_t dim = strides.size(); dim-- > 0;) {
    strides[dim] = stride;
    int64_t size = 0;
    auto text = dyn_cast<StringAttr>(axes[dim]);
    if (!text || text.getValue().getAsInteger(10, size) || size <= 0)
      break;
    stride *= size;
  }
  return strides;
}

int64_t tile::rowAlignmentOf(KernelOp kernel, Value view) {
  auto type = cast<ViewType>(view.getType());
  auto argument = dyn_cast<BlockArgument>(view);
  auto known =
      argument ? kernel.getArgAttrOfType<IntegerAttr>(argument.getArgNumber(), "tile.row_alignment")
               : IntegerAttr();
  return known ? known.getInt()
               : std::max<int64_t>(1, type.getElementType().getIntOrFloatBitWidth() / 8);
}
