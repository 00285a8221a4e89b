// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The named phases of a compilation and the pass pipelines between them. The artefact of each can
// be dumped, edited and fed back: `attnc compile --compile-to=tile`, `--compile-from=tile`,
// `--dump-phases=DIR`. IR is fed back as MLIR, code as its text or, for the host, as an object.
#ifndef ATTNC_PIPELINES_PHASES_H
#define ATTNC_PIPELINES_PHASES_H

#include "attnc/Pipelines/LaunchRecord.h"
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

/// What is there at the end of each phase. A GPU has `Scheduled`, `NVVM` and `PTX`, the host
/// `VectorLoops`, `Assembly` and `Object`; the order of those that a target has is this one.
enum class Phase {
  Attn,
  Specialized,
  Kernels,
  Tile,
  Scheduled,
  NVVM,
  VectorLoops,
  LLVM,
  PTX,
  Assembly,
  Object
};

struct PhaseInfo {
  Phase phase;
  const char *name;    ///< as in --compile-to
  const char *suffix;  ///< of a file with the artefact: mlir, ptx, s or o
  const char *summary; ///< what the artefact says
};

/// The phases of a target in order.
llvm::ArrayRef<PhaseInfo> phasesOf(Target::Kind kind);
/// The phase of a target called `name`, or nothing. `plan` is the name that `kernels` had.
std::optional<Phase> parsePhase(llvm::StringRef name, Target::Kind kind);
llvm::StringRef phaseName(Phase phase);
/// True if the artefact of `phase` is code; it is MLIR otherwise.
bool isCode(Phase phase);
/// The phase at whose end the kernels' signatures are known, and behind which they no longer are.
Phase launchPhase(Target::Kind kind);

/// `options` with what the planner asks about host features, which are checked already.
CompileOptions withHostFacts(CompileOptions options);

/// Adds the passes that lead from the phase before `phase` to `phase`; none for Attn and for code.
/// Host features are checked already.
void buildPhase(mlir::OpPassManager &passes, Phase phase, const CompileOptions &options);
/// Adds the pass that closes `phase`, if what may not remain at its end is checked by one.
void buildContract(mlir::OpPassManager &passes, Phase phase, Target::Kind kind);

/// Time of one phase.
struct PhaseResult {
  Phase phase;
  double milliseconds;
};

/// Options of one compilation to code or a phase before it.
struct CompileRequest {
  CompileOptions options;
  Phase from = Phase::Attn, to = Phase::PTX;
  /// Runs MLIR's verifier after each pass and, at the end of each phase, the pass that checks its
  /// contract.
  bool verify = true;
  /// Threads that compile kernels at the same time; 0: ATTNC_NUM_THREADS, or one for each CPU.
  /// Their number changes nothing in what comes out.
  unsigned threads = 0;
  /// Called with the artefact at the end of each phase that ran: MLIR, or code without its launch
  /// record.
  std::function<void(Phase, llvm::StringRef, const std::optional<LaunchRecord> &)> dump;
};

struct CompileResult {
  std::string code; ///< only if the last phase is code
  /// How the code is launched, or the IR behind the launch phase; nothing before that, and if the
  /// artefact that the compilation began with does not say it.
  std::optional<LaunchRecord> launch;
  std::vector<PhaseResult> phases;
  /// Steps inside the phase that made the code: translate, optimize, codegen. Those of kernels
  /// that were compiled at the same time are added up.
  std::vector<std::pair<std::string, double>> codeSteps;
};

/// Runs `module`, which is at `request.from`, to `request.to`, in place; behind the launch phase
/// the module carries its launch record. Diagnostics go through the context; the error says which
/// phase failed.
llvm::Expected<CompileResult> runPhases(mlir::ModuleOp module, const CompileRequest &request);

/// The same from code: `code`, which is at `request.from` and was read from `name`, with what
/// `takeLaunchRecord` took from it.
llvm::Expected<CompileResult> runPhases(std::string code, llvm::StringRef name,
                                        std::optional<LaunchRecord> launch,
                                        const CompileRequest &request);

/// Registers dialects and translations that compilation needs.
void registerCompilerDialects(mlir::DialectRegistry &registry);

} // namespace attnc

#endif // ATTNC_PIPELINES_PHASES_H
