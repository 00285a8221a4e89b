// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The named phases of a compilation and the pass pipelines between them. The artefact of each can
// be dumped and edited, and fed back if a phase comes after it, which for the host is so down to
// `tile`: `attnc compile --compile-to=tile`, `--compile-from=tile`, `--dump-phases=DIR`.
#ifndef ATTNC_PIPELINES_PHASES_H
#define ATTNC_PIPELINES_PHASES_H

#include "attnc/Plan/Plan.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/Support/Error.h"
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace attnc {

/// IR at the end of each phase, in order. `Scheduled` and `NVVM` exist for GPUs only.
enum class Phase { Attn, Specialized, Kernels, Tile, Scheduled, NVVM, LLVM, PTX };

struct PhaseInfo {
  Phase phase;
  const char *name;    ///< as in --compile-to
  const char *summary; ///< what the IR says at the end of it
};

/// All phases in order.
llvm::ArrayRef<PhaseInfo> allPhases();
/// The phase called `name`, or nothing. `plan` is the name that `kernels` had.
std::optional<Phase> parsePhase(llvm::StringRef name);
llvm::StringRef phaseName(Phase phase);

/// Adds the passes that lead from the phase before `phase` to `phase`; none for Attn and PTX.
void buildPhase(mlir::OpPassManager &passes, Phase phase, const CompileOptions &options);

/// Time and artefact of one phase.
struct PhaseResult {
  Phase phase;
  double milliseconds;
};

/// Options of one compilation to PTX or a phase before it.
struct CompileRequest {
  CompileOptions options;
  Phase from = Phase::Attn, to = Phase::PTX;
  /// Runs MLIR's verifier after each pass and, at the end of each phase, the pass that checks its
  /// contract.
  bool verify = true;
  /// Called with the IR, or the PTX, at the end of each phase that ran.
  std::function<void(Phase, llvm::StringRef)> dump;
};

struct CompileResult {
  std::string ptx; ///< only if the last phase was PTX
  std::vector<PhaseResult> phases;
  /// Steps inside the PTX phase: translate, optimize, codegen.
  std::vector<std::pair<std::string, double>> ptxSteps;
};

/// Runs `module`, which is at `request.from`, to `request.to`, in place. Diagnostics go through the
/// context; the error says which phase failed.
llvm::Expected<CompileResult> runPhases(mlir::ModuleOp module, const CompileRequest &request);

/// Registers dialects and translations that compilation needs.
void registerCompilerDialects(mlir::DialectRegistry &registry);

} // namespace attnc

#endif // ATTNC_PIPELINES_PHASES_H
