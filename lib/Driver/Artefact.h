// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Files that hold the artefact of a phase: what --compile-to and --dump-phases write, and what
// --compile-from reads.
#ifndef ATTNC_LIB_DRIVER_ARTEFACT_H
#define ATTNC_LIB_DRIVER_ARTEFACT_H

#include "Options.h"

namespace attnc::driver {

/// An artefact that was read, with what it lives in.
struct Artefact {
  std::string file;
  Phase phase = Phase::Attn;
  /// Where the phase is IR.
  std::unique_ptr<mlir::MLIRContext> context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  /// Where the phase is code, with the launch record that was with it.
  std::string code;
  std::optional<LaunchRecord> launch;

  /// Runs it to `request.to`, from its own phase.
  llvm::Expected<CompileResult> run(CompileRequest request);
};

/// Reads the artefact of the phase called `phase` from `path`; "-" is standard input. Fails if
/// `target` has no such phase, if the text is malformed, or if it was made for another target.
llvm::Expected<Artefact> readArtefact(llvm::StringRef path, llvm::StringRef phase,
                                      const Target &target);

/// Compiles the artefact that --compile-from and --from name to code of `spec`, whose launches are
/// those of the spec compiled with `compile`.
llvm::Expected<CompiledCode> compileArtefact(const Options &options, Spec &spec,
                                             const CompileOptions &compile, CompileReport &report);

/// `code`, of `phase`, as it is written to a file: with its launch record, where there is one.
std::string codeAsFile(Phase phase, llvm::StringRef code,
                       const std::optional<LaunchRecord> &launch);

/// The names of the phases of a target, as part of a sentence: "attn, tile or ptx". `more` are
/// further names.
std::string phaseList(Target::Kind kind, llvm::ArrayRef<llvm::StringRef> more = {});

} // namespace attnc::driver

#endif // ATTNC_LIB_DRIVER_ARTEFACT_H
