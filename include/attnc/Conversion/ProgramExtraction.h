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

/// Reads the program of `module`, which is at phase `tile`, or `scheduled` for a GPU. A module with
/// one kernel is the program that launches it once, with what its arguments say:
/// `tile.binding` (what an argument is), `tile.axes` (a tensor's index spaces, or decimal sizes,
/// one string for each dimension), `tile.output` (unit: the kernel writes it) and
/// `tile.row_alignment` (i64: bytes). Fails, after reporting an error, on what is no program.
mlir::FailureOr<Program> extractProgram(mlir::ModuleOp module, ProgramTarget target);

} // namespace attnc

#endif // ATTNC_CONVERSION_PROGRAMEXTRACTION_H
