// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Scalar formulas apart from where they stand: expressions over values of the IR, which can be
// compared, multiplied, moved to other indices and written out again somewhere else.
//
// Equal expressions are one object, so that a pointer is their identity and what they have in
// common is kept once: a substitution into many places does not multiply them.
#ifndef ATTNC_ANALYSIS_SCALAREXPR_H
#define ATTNC_ANALYSIS_SCALAREXPR_H

#include "dialects/Attn/Attn.h"
#include "mlir/IR/Block.h"
#include "llvm/ADT/DenseMap.h"

#include <map>
#include <memory>
#include <optional>
#include <vector>

namespace attnc {

struct ScalarExpr;
using Expr = const ScalarExpr *;

/// A node of an expression.
struct ScalarExpr {
  enum class Kind : uint8_t {
    Leaf,   ///< `value`, an index or a number
    Apply,  ///< the op `name` of `operands`; a constant has none
    Read,   ///< the element of the tensor `value` at `operands`
    Reduce, ///< an attn.reduce over the index `value`: see `numInside`
  };
  Kind kind;
  unsigned number; ///< in order of creation
  unsigned height; ///< reductions inside of each other
  mlir::Type type;
  mlir::Value value;
  mlir::StringAttr name;
  mlir::DictionaryAttr attributes; ///< of Apply and Reduce
  llvm::SmallVector<Expr, 2> operands;
  unsigned numInside = 0; ///< operands of a Reduce that depend on its index: value and condition
  /// The block arguments that it depends on, but for indices of reductions inside of it. In order
  /// of addresses.
  llvm::SmallVector<mlir::Value, 4> free;

  bool dependsOn(mlir::Value argument) const;
  /// Whether it depends on one of `arguments`.
  bool dependsOnAny(mlir::ValueRange arguments) const;
};

/// Makes expressions and owns them.
class ExprContext {
public:
  explicit ExprContext(mlir::MLIRContext *context) : context(context) {}
  ExprContext(const ExprContext &) = delete;
  ExprContext &operator=(const ExprContext &) = delete;

  Expr leaf(mlir::Value value);
  Expr read(mlir::Value tensor, mlir::Type type, llvm::ArrayRef<Expr> indices);
  /// An op without regions like `op`, of other operands.
  Expr like(mlir::Operation *op, llvm::ArrayRef<Expr> operands);
  /// A reduction like `reduce` of other values; `inside` depend on `index`.
  Expr like(attn::ReduceOp reduce, mlir::Value index, llvm::ArrayRef<Expr> inside,
            llvm::ArrayRef<Expr> outside);
  /// sum(`value` for `index` over all of `space`).
  Expr sum(llvm::StringRef space, mlir::Value index, Expr value);
  Expr real(double value);
  Expr multiply(Expr x, Expr y);
  Expr add(Expr x, Expr y);
  Expr divide(Expr x, Expr y);
  /// `condition` ? x : y
  Expr select(Expr condition, Expr x, Expr y);
  /// The number of indices of `space`, as f32.
  Expr size(llvm::StringRef space);

  /// The value of a real constant.
  std::optional<double> constant(Expr expr) const;
  bool isOne(Expr expr) const { return constant(expr) == 1.0; }

  /// `value`, which is computed by scalar code inside of `region` from what is outside of it.
  Expr translate(mlir::Value value, mlir::Region &region);

  using Substitution = llvm::SmallDenseMap<mlir::Value, Expr, 8>;
  /// `expr` with leaves replaced.
  Expr substitute(Expr expr, const Substitution &leaves);
  /// What `tensor`, the result of `compute`, has at `indices`: its formula there.
  Expr inlined(attn::ComputeOp compute, llvm::ArrayRef<Expr> indices, mlir::Region &region);

  /// An index that stands in no block of the IR; an i32.
  mlir::Value newIndex(mlir::Location loc);
  /// A tensor that stands in no block of the IR.
  mlir::Value newTensor(attn::AttnTensorType type, mlir::Location loc);

private:
  Expr unique(ScalarExpr node);
  Expr apply(llvm::StringRef name, mlir::Type type, llvm::ArrayRef<Expr> operands,
             llvm::ArrayRef<mlir::NamedAttribute> attributes = {});
  Expr reduce(mlir::DictionaryAttr attributes, llvm::StringRef space, mlir::Type type,
              mlir::Value index, llvm::ArrayRef<Expr> inside, llvm::ArrayRef<Expr> outside);
  Expr substitute(Expr expr, const Substitution &leaves, llvm::DenseMap<Expr, Expr> &known);
  mlir::Value indexOf(llvm::StringRef space, unsigned height, mlir::Location loc);

  mlir::MLIRContext *context;
  std::vector<std::unique_ptr<ScalarExpr>> nodes;
  std::map<std::vector<const void *>, Expr> known;
  llvm::DenseMap<mlir::Value, Expr> translated;
  mlir::Block scratch; ///< has the indices and tensors that the IR does not
  /// The indices of reductions: one for each space and height, so that equal reductions are one.
  std::map<std::pair<std::string, unsigned>, mlir::Value> reduced;
};

} // namespace attnc

#endif // ATTNC_ANALYSIS_SCALAREXPR_H
