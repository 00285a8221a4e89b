// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Where the workspace tensors of a program lie in its one block of workspace.
#ifndef ATTNC_RUNTIME_WORKSPACE_H
#define ATTNC_RUNTIME_WORKSPACE_H

#include "attnc/Runtime/Program.h"
#include <map>

namespace attnc {

/// Every workspace tensor, and the block itself, starts at a multiple of this many bytes.
inline constexpr int64_t workspaceAlignment = 256;
/// Most bytes of a block.
inline constexpr int64_t maxWorkspaceBytes = int64_t(1) << 46;

/// Memory that a caller passes for the workspace of a launch; null if the runtime is to take its
/// own.
struct WorkspaceBlock {
  void *data = nullptr;
  int64_t bytes = 0;
};

/// Sizes of the spaces of a program, by index, and its parameters.
struct ProgramSizes {
  std::vector<int64_t> spaces;
  std::vector<SizeValue> params;
};

/// The block of a program for one set of sizes.
struct WorkspaceLayout {
  std::vector<int64_t> offsets;              ///< in bytes, of each workspace tensor
  std::vector<std::vector<int64_t>> strides; ///< in elements, of each workspace tensor
  ProgramSizes sizes; ///< all of them: behind those of the spaces those of the longest chunks
  int64_t bytes = 0;  ///< of the block; a multiple of workspaceAlignment
};

/// Places the workspace tensors of `program` for the sizes of its spaces, and chooses the chunks of
/// its loops. A tensor lives from the first launch that has it as an argument to the last one, and
/// through all of a loop unless it exists chunk by chunk; tensors that live at the same time share
/// no byte, others may. Fails if a size is negative or too large.
Outcome<WorkspaceLayout> layoutWorkspace(const Program &program, const ProgramSizes &sizes);

/// Bytes of the block for sizes by name; those that no workspace tensor depends on may be missing.
/// Parameters that are not given have their defaults. A computed size follows from the others,
/// where it is not given itself. Fails if a size or parameter is missing or not possible, or if
/// there is no layout.
Outcome<int64_t> workspaceBytes(const Program &program, const std::map<std::string, int64_t> &sizes,
                                const std::map<std::string, double> &params);

/// Checks that `block` can be the workspace of a launch that needs `bytes`. The failure says what
/// was expected and what was found.
Failure checkWorkspace(const WorkspaceBlock &block, int64_t bytes);

} // namespace attnc

#endif // ATTNC_RUNTIME_WORKSPACE_H
