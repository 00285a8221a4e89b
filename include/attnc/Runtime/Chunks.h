// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Into how long chunks the loops of a program cut their spaces, for the sizes of a run.
#ifndef ATTNC_RUNTIME_CHUNKS_H
#define ATTNC_RUNTIME_CHUNKS_H

#include "attnc/Runtime/Workspace.h"
#include <functional>

namespace attnc {

/// Bytes that the workspace tensors of a loop may have together while its spaces can still be cut,
/// unless ATTNC_LOOP_WORKSPACE says another number (from 0 on).
inline constexpr int64_t loopWorkspaceBytes = int64_t(64) << 20;
/// Most chunks of a loop: beyond, the memory for their arguments would outgrow what they save.
inline constexpr int64_t maxChunks = 4096;

/// Chooses the chunks of each loop and appends to `sizes`, which has those of the spaces, for each
/// axis of a loop a first index of 0 and the number of indices of a chunk. Whole spaces if the
/// workspace of the loop then has at most so many bytes; else axis by axis as many indices as
/// fit, in chunks of about one length. Fails if a size is negative or too large.
Failure chooseChunks(const Program &program, ProgramSizes &sizes);

/// Calls `run` for each launch of `program` in the order of a run, those of a loop once for each
/// combination of its chunks. `sizes` comes from `chooseChunks`; `run` sees in it the first index
/// and the number of indices of the chunk. Stops with the first failure of `run`.
Failure forEachLaunch(const Program &program, ProgramSizes &sizes,
                      const std::function<Failure(size_t launch)> &run);

} // namespace attnc

#endif // ATTNC_RUNTIME_CHUNKS_H
