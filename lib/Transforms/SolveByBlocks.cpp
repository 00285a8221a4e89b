// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// With N[w, w] the block of part w on the diagonal, X = (1 - N)^-1 R is
//
//   D[w] = (1 - N[w, w])^-1                                 for all parts at once
//   X[w] = D[w] (R[w] + sum of N[w, v] X[v] for v < w)      part by part
//
// A system of one block is a product, X = D R.
#include "SolveByBlocks.h"
#include "NamedIndices.h"
#include "attnc/Analysis/Compilable.h"

using namespace mlir;
using namespace attnc;

namespace {

/// Rows of a block, the most first.
constexpr int64_t kBlockRows[] = {64, 32, 16};

class BlockSolver {
public:
  /// Makes `blocks` unless they are there.
  BlockSolver(attn::SolveOp solve, int64_t numRows, BlockSolves::Blocks &blocks);

  /// Replaces the result of the op.
  void expand();

private:
  void declareSpaces(int64_t numRows);
  Value inverses(bool isOne);
  Value known(Value part, ValueRange systems, Value unknowns);
  Value solved(Value part, ValueRange systems, Value known);
  void expandParts();
  void expandOne();
  Value matrix(Value part, Value row, Value column, ValueRange systems);
  /// The row of the system that is `row` of `part`.
  Value rowOf(Value part, Value row) { return b.add(b.mul(part, b.integer(blocks.rows)), row); }
  Value isEqual(Value x, Value y) { return b.compare(arith::CmpIPredicate::eq, x, y); }
  SmallVector<Attribute> join(ArrayRef<Attribute> first) {
    SmallVector<Attribute> all(first);
    all.append(columns);
    return all;
  }
  Value zeros(ArrayRef<Attribute> axes) {
    return b.compute(axes, b.getF32Type(), [&](ValueRange) { return b.real(0.0); });
  }

  attn::SolveOp solve;
  FormulaBuilder b;
  SmallVector<Attribute> systems; ///< axes of the matrix but for rows and columns
  SmallVector<Attribute> columns; ///< axes that only the right side has
  BlockSolves::Blocks &blocks;
};

} // namespace

BlockSolver::BlockSolver(attn::SolveOp solve, int64_t numRows, BlockSolves::Blocks &blocks)
    : solve(solve), b(solve), blocks(blocks) {
  for (Attribute axis : solve.getMatrix().getType().getAxes())
    if (axis != solve.getRowAttr() && axis != solve.getColumnAttr())
      systems.push_back(axis);
  for (Attribute axis : solve.getRhs().getType().getAxes())
    if (axis != solve.getRowAttr() && !llvm::is_contained(systems, axis))
      columns.push_back(axis);
  if (blocks.inverses)
    return;
  for (int64_t rows : kBlockRows)
    if (!blocks.rows && numRows % rows == 0)
      blocks.rows = rows;
  bool isOne = blocks.rows == numRows;
  if (!isOne)
    declareSpaces(numRows);
  blocks.inverses = inverses(isOne);
}

void BlockSolver::declareSpaces(int64_t numRows) {
  std::string prefix = solve.getRow().str();
  blocks.part = declareSpace(b, solve, prefix + "_block", numRows / blocks.rows);
  blocks.row = declareSpace(b, solve, prefix + "_of_block", blocks.rows);
  blocks.column = declareSpace(b, solve, prefix + "_before", blocks.rows);
}

/// The matrix at a row of `part`, and `column` of the whole.
Value BlockSolver::matrix(Value part, Value row, Value column, ValueRange at) {
  NamedIndices indices(systems, at.take_front(systems.size()));
  return readAt(
      b, solve.getMatrix(),
      indices.with(solve.getRowAttr(), rowOf(part, row)).with(solve.getColumnAttr(), column));
}

/// Over systems, parts if there are several, rows and columns.
Value BlockSolver::inverses(bool isOne) {
  if (isOne) {
    attn::AttnTensorType type = solve.getMatrix().getType();
    auto result = attn::AttnTensorType::get(b.getContext(), type.getAxes(), b.getF32Type());
    return attn::InvertOp::create(b, result, solve.getMatrix(), solve.getRow(), solve.getColumn(),
                                  /*rounded=*/false);
  }
  SmallVector<Attribute> axes(systems);
  axes.append({blocks.part, blocks.row, blocks.column});
  Value diagonal = b.compute(axes, b.getF32Type(), [&](ValueRange at) {
    Value part = at[systems.size()], row = at[systems.size() + 1];
    return matrix(part, row, rowOf(part, at.back()), at);
  });
  return attn::InvertOp::create(b, diagonal.getType(), diagonal, blocks.row, blocks.column,
                                /*rounded=*/false);
}

/// The right side of a part, with the unknowns before it.
Value BlockSolver::known(Value part, ValueRange at, Value unknowns) {
  Value end = b.mul(part, b.integer(blocks.rows));
  return b.compute(join({blocks.column}), b.getF32Type(), [&](ValueRange own) {
    NamedIndices indices(systems, at.take_front(systems.size()));
    for (auto [axis, index] : llvm::zip_equal(columns, own.drop_front()))
      indices = indices.with(axis, index);
    Value side =
        readAt(b, solve.getRhs(), indices.with(solve.getRowAttr(), rowOf(part, own.front())));
    IndexRange before{solve.getColumn()};
    before.end = end;
    return b.add(side, b.reduce(attn::Reduction::Sum, before, [&](Value index) {
      SmallVector<Value> unknown{index};
      llvm::append_range(unknown, own.drop_front());
      return Term{b.mul(matrix(part, own.front(), index, at), b.read(unknowns, unknown)), {}};
    }));
  });
}

Value BlockSolver::solved(Value part, ValueRange at, Value known) {
  return b.compute(join({blocks.row}), b.getF32Type(), [&](ValueRange own) {
    return b.reduce(attn::Reduction::Sum, {blocks.column.getValue()}, [&](Value index) {
      SmallVector<Value> entry(at.take_front(systems.size())), side{index};
      entry.append({part, own.front(), index});
      llvm::append_range(side, own.drop_front());
      return Term{b.mul(b.read(blocks.inverses, entry), b.read(known, side)), {}};
    });
  });
}

/// Part by part: the state is the unknowns so far.
void BlockSolver::expandParts() {
  SmallVector<Attribute> unknowns = join({solve.getColumnAttr()});
  auto step = [&](ValueRange indices, ValueRange states, SmallVector<Value> &,
                  SmallVector<Value> &next) {
    Value block = indices.back();
    Value side = known(block, indices, states.front());
    Value rows = solved(block, indices, side);
    next.push_back(b.compute(unknowns, b.getF32Type(), [&](ValueRange at) {
      Value size = b.integer(blocks.rows);
      Value isOwn = isEqual(arith::FloorDivSIOp::create(b, at.front(), size), block);
      SmallVector<Value> own{arith::RemSIOp::create(b, at.front(), size)};
      llvm::append_range(own, at.drop_front());
      return b.select(isOwn, b.read(rows, own), b.read(states.front(), at));
    }));
  };
  Value all = b.recur(blocks.part.getValue(), systems, zeros(unknowns), step).getResult(0);
  attn::AttnTensorType type = solve.getResult().getType();
  solve.getResult().replaceAllUsesWith(b.compute(type, [&](ValueRange at) {
    NamedIndices indices(type.getAxes(), at);
    return readAt(b, all, indices.with(solve.getColumnAttr(), indices[solve.getRowAttr()]));
  }));
}

/// The whole matrix is one block.
void BlockSolver::expandOne() {
  attn::AttnTensorType type = solve.getResult().getType();
  solve.getResult().replaceAllUsesWith(b.compute(type, [&](ValueRange at) {
    NamedIndices indices(type.getAxes(), at);
    return b.reduce(attn::Reduction::Sum, {solve.getColumn()}, [&](Value column) {
      Value factor = readAt(b, blocks.inverses, indices.with(solve.getColumnAttr(), column));
      Value side = readAt(b, solve.getRhs(), indices.with(solve.getRowAttr(), column));
      return Term{b.mul(factor, side), {}};
    });
  }));
}

void BlockSolver::expand() {
  if (blocks.part)
    expandParts();
  else
    expandOne();
}

bool BlockSolves::expand(attn::SolveOp solve) {
  auto variant = solve->getParentOfType<attn::VariantOp>();
  std::optional<int64_t> numRows = fixedExtent(variant, solve.getRow());
  if (!numRows || *numRows < kBlockRows[2] || *numRows % kBlockRows[2] != 0)
    return false;
  Blocks &blocks = known[{solve.getMatrix(), solve.getRowAttr(), solve.getColumnAttr()}];
  BlockSolver(solve, *numRows, blocks).expand();
  return true;
}
