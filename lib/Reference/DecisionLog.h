// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Where a run writes its decisions, or takes those of another run from.
#ifndef ATTNC_LIB_REFERENCE_DECISIONLOG_H
#define ATTNC_LIB_REFERENCE_DECISIONLOG_H

#include "attnc/Reference/Decisions.h"
#include "dialects/Attn/DecidingOps.h"
#include "llvm/Support/Error.h"

#include <cmath>
#include <memory>
#include <mutex>

namespace attnc::reference {

struct Environment;

/// One op that decides.
class DecisionSite {
public:
  DecisionSite(Decision *recorded, const std::vector<double> *forced)
      : recorded(recorded), forced(forced) {}
  /// What is decided at `place` where the run itself would decide `own` from `key`, which is what
  /// is recorded. A place outside of the decision's axes, which an index that takes no part has,
  /// keeps its own.
  double decide(int64_t place, double own, double key = NAN) const {
    size_t i = static_cast<size_t>(place);
    if (recorded && place >= 0 && i < recorded->values.size()) {
      // Several threads may decide what does not depend on their rows; they write the same.
      __atomic_store(&recorded->values[i], &own, __ATOMIC_RELAXED);
      __atomic_store(&recorded->keys[i], &key, __ATOMIC_RELAXED);
    }
    double told = toldAt(place);
    return std::isnan(told) ? own : told;
  }
  /// What the run is told to decide at `place`; NaN if it is told nothing.
  double toldAt(int64_t place) const {
    bool isPlace = forced && place >= 0 && static_cast<size_t>(place) < forced->size();
    return isPlace ? (*forced)[static_cast<size_t>(place)] : NAN;
  }
  bool isRecorded() const { return recorded; }
  void recordShortfall(int64_t place, double shortfall) const {
    if (recorded && place >= 0 && static_cast<size_t>(place) < recorded->shortfalls.size())
      __atomic_store(&recorded->shortfalls[static_cast<size_t>(place)], &shortfall,
                     __ATOMIC_RELAXED);
  }
  /// Says what the row that begins at `place` is held to.
  void recordCover(int64_t place, const CoverRow &row) const {
    std::lock_guard<std::mutex> lock(coversMutex);
    recorded->covers[static_cast<size_t>(place)] = row;
  }

private:
  Decision *recorded;
  const std::vector<double> *forced;
  mutable std::mutex coversMutex; ///< batch entries of a recurrence run at the same time
};

/// A coordinate of a decision: an argument of a region around the op, and the size of its space.
struct Coordinate {
  mlir::Value index;
  int64_t size = 0;
};

/// The coordinates that what `op` computes depends on, outermost first.
std::vector<Coordinate> coordinatesOf(mlir::Operation *op, const Environment &environment);

class DecisionLog {
public:
  /// Numbers the ops of `variant`. Either table may be null.
  DecisionLog(mlir::Operation *variant, const Decisions *forced, Decisions *recorded);
  /// The site of `op`, with outcomes over `shape` below the coordinates around it; `part` tells
  /// several apart, "scale" say. Called again, it yields the same site. Fails if forced decisions
  /// of this name have other places.
  llvm::Expected<const DecisionSite *> site(mlir::Operation *op, const Environment &environment,
                                            std::vector<int64_t> shape = {},
                                            llvm::StringRef part = "",
                                            llvm::ArrayRef<unsigned> rowAxes = {});

private:
  const Decisions *forced;
  Decisions *recorded;
  attn::DecisionNames names;
  std::map<std::string, std::unique_ptr<DecisionSite>> sites;
};

} // namespace attnc::reference

#endif // ATTNC_LIB_REFERENCE_DECISIONLOG_H
