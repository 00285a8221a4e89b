// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Decisions of compiled code. A rounding flips what is decided near a tie, and what follows differs
// by anything; so the kernels say what they have decided, and the reference is made to decide
// alike.
#ifndef ATTNC_LIB_DRIVER_REPLAY_H
#define ATTNC_LIB_DRIVER_REPLAY_H

#include "Execute.h"

namespace attnc::driver {

/// What an execution decided.
struct Replay {
  /// The spec as kernels are made from it: specialized and expanded, so that few ops decide.
  mlir::OwningOpRef<mlir::ModuleOp> module;
  /// By the names of that variant; without `rowAxes`, which a run of the reference says.
  reference::Decisions taken;

  attn::VariantOp variant() const;
};

/// Runs `spec` once more on `device`, with the inputs of `bound`, by code that puts its decisions
/// out too; nothing if the spec decides nothing by reals. Fails if an output is not, to the bit,
/// the one in `bound`: then what is exported need not be what was decided there. Where there are
/// more decisions than fit into memory it yields nothing, and `tooMany` says so.
llvm::Expected<std::optional<Replay>> replayDecisions(const Options &options, Spec &spec,
                                                      BoundSpec &bound, const Device &device,
                                                      std::string &tooMany);

} // namespace attnc::driver

#endif // ATTNC_LIB_DRIVER_REPLAY_H
