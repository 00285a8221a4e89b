// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Which rows of the query space `q` a run has to compute where its outputs are wanted at some rows
// only. A stage may leave the other rows out if everybody who reads its results does so at one of
// these rows: a constant, or the reader's own, where the reader leaves the others out too. All
// other stages are computed whole.
#ifndef ATTNC_LIB_REFERENCE_DEMAND_H
#define ATTNC_LIB_REFERENCE_DEMAND_H

#include "dialects/Attn/Attn.h"
#include "llvm/ADT/DenseSet.h"
#include <vector>

namespace attnc::reference {

class Demand {
public:
  /// Everything is wanted.
  Demand() = default;
  /// `rows`, in rising order, of the outputs of `variant`.
  Demand(attn::VariantOp variant, std::vector<int64_t> rows);

  /// Whether `stage`, an op of the variant's body, leaves rows out.
  bool isPartial(mlir::Operation *stage) const { return partial.contains(stage); }
  /// The position of `q` among these names of axes, if `stage` leaves rows out; else nothing.
  std::optional<size_t> axisOf(mlir::Operation *stage, llvm::ArrayRef<llvm::StringRef> axes) const;
  /// Whether `stage` has to compute `row`.
  bool wants(mlir::Operation *stage, int64_t row) const {
    return !isPartial(stage) || wanted.contains(row);
  }
  const std::vector<int64_t> &rows() const { return sample; }

private:
  bool readsWantedRows(mlir::Operation *stage, mlir::Operation *user, mlir::Value tensor) const;

  std::vector<int64_t> sample;
  llvm::DenseSet<int64_t> wanted;
  llvm::DenseSet<mlir::Operation *> partial;
};

} // namespace attnc::reference

#endif // ATTNC_LIB_REFERENCE_DEMAND_H
