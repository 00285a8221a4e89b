// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The Program of a module of tile kernels: what runtimes need to know of it.
#ifndef ATTNC_CONVERSION_PROGRAMEXTRACTION_H
#define ATTNC_CONVERSION_PROGRAMEXTRACTION_H

#include "attnc/Runtime/Program.h"
#include "dialects/Tile/Tile.h"
#include "mlir/IR/BuiltinOps.h"

namespace attnc {

/// Who runs the program: a GPU's kernels have arguments more (the first points of a slice of the
/// grid) and shared memory; on the host tensors may have any alignment.
enum class ProgramTarget : uint8_t { Host, GPU };

/// Reads the program of `module`, which is at phase `tile`, or `scheduled` for a GPU: its
/// `tile.program`, or, where there is none, the one kernel that it has, launched once. Names and
/// what tensors must be like are attributes of the arguments; see `tile.program`. Fails, after
/// reporting an error, on what is no program.
mlir::FailureOr<Program> extractProgram(mlir::ModuleOp module, ProgramTarget target);

} // namespace attnc

#endif // ATTNC_CONVERSION_PROGRAMEXTRACTION_H
