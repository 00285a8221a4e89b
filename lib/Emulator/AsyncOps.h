// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Pending cp.async copies of a warp. PTX groups them per thread; lanes of a warp usually commit
// together, so a group keeps a lane mask and waits are computed per lane.
#pragma once

#include "Access.h"

#include <deque>

namespace attnc::emu {

struct CopyOp {
  const Rec *rec = nullptr;
  uint32_t lanes = 0;   ///< lanes whose copy this is
  uint32_t pending = 0; ///< lanes whose bytes have not arrived
  uint32_t bytes = 0;
  uint32_t time = 0; ///< clock of the copy agent
  uint32_t destination[32];
  uint64_t source[32];
  uint8_t sourceBytes[32];
};

struct CopyGroup {
  uint32_t lanes = 0;
  uint32_t time = 0;
  std::vector<CopyOp> ops;
};

struct AsyncState {
  std::vector<CopyOp> open;     ///< issued, not committed
  std::deque<CopyGroup> groups; ///< oldest first
  std::vector<CopyOp> spare;    ///< storage of a finished group, for the next one
  /// For the thorough checks: when copies up to a time of theirs were waited for, in time of the
  /// warp.
  std::vector<std::pair<uint32_t, uint32_t>> waits;
  void clear() {
    open.clear();
    groups.clear();
    waits.clear();
  }
};

/// Moves the bytes of the given lanes; idempotent.
void deliver(Warp &w, CopyOp &op, uint32_t lanes);

const Rec *cpAsync(Warp &, const Rec *);
const Rec *cpAsyncCommit(Warp &, const Rec *);
const Rec *cpAsyncWait(Warp &, const Rec *);

} // namespace attnc::emu
