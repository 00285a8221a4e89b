// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The structure of a state's update, read off its step: which chunk form it has.
#ifndef ATTNC_ANALYSIS_RECURRENCE_H
#define ATTNC_ANALYSIS_RECURRENCE_H

#include "dialects/Attn/Attn.h"

#include <set>
#include <string>
#include <vector>

namespace attnc {

/// The update of one state S, as far as it is linear in the states:
///
///     S' = D . S + sum_r x_r (y_r^T S) + other states + what does not depend on them
struct StateUpdate {
  std::string name;
  unsigned rank = 0; ///< axes of the state

  /// What an entry is multiplied by: the axes of the state that it differs along, and whether it
  /// differs between steps.
  enum class Decay : uint8_t { Zero, One, Scalar, FirstAxis, SecondAxis, Full } decay = Decay::Zero;
  bool decayVaries = false;

  /// Terms x (y^T S): sums over one axis of the state.
  unsigned numRankOne = 0;
  bool contractsFirst = false, contractsSecond = false;
  /// Entries are moved, or mixed by more than outer products.
  bool isDense = false;
  /// Other states that the new value depends on.
  std::set<std::string> others;
  /// Empty if the update is linear; else the function that it is not linear in, with its place.
  std::string nonlinearity;
  mlir::Operation *nonlinearOp = nullptr;
  bool readsGroupStart = false;
  /// S' = max(S + data, data). In other states' updates it counts as data.
  bool isRunningMaximum = false;

  /// The form that a group of steps can take, and why: one sentence.
  std::string chunkForm() const;
  /// "diagonal (first axis), changing with each step".
  std::string decayText() const;
};

/// One entry for each state of `recur`, in order.
std::vector<StateUpdate> classifyRecurrence(attn::RecurOp recur);

} // namespace attnc

#endif // ATTNC_ANALYSIS_RECURRENCE_H
