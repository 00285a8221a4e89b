// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// From a spec to something that can be launched, in one process: parse, compile for a target
// (through the code cache), load on a device. The driver, the C API and the tests all go through
// here.
#ifndef ATTNC_JIT_COMPILER_H
#define ATTNC_JIT_COMPILER_H

#include "attnc/Pipelines/Phases.h"
#include "attnc/Plan/Plan.h"
#include "attnc/Runtime/CodeCache.h"
#include "attnc/Runtime/LoadedCode.h"
#include "dialects/Attn/Attn.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/Support/Error.h"
#include <memory>
#include <string>

namespace attnc {

/// A spec as text: `.attn` source, or MLIR (recognised by the file's suffix `.mlir`, or by text
/// that starts with a `module`, an `attn.variant` or a `//` comment followed by one).
struct SpecSource {
  std::string name; ///< file name for messages
  std::string text;

  /// Most bytes of a spec.
  static constexpr size_t maxBytes = 64000000;

  /// Reads a file of at most maxBytes; "-" is standard input. The error names the file.
  static llvm::Expected<SpecSource> fromFile(llvm::StringRef path);
};

/// A parsed spec. Owns the context its IR lives in.
class Spec {
public:
  /// Parses and verifies. The error's text holds all diagnostics as they would be printed, with
  /// source lines and carets. With several variants, `variantName` selects one; empty takes the
  /// only one. `dumps` are names of tensors that the variant computes and that become outputs
  /// beside its own; MLIR text has no such names.
  static llvm::Expected<std::unique_ptr<Spec>> parse(const SpecSource &source,
                                                     llvm::StringRef variantName = {},
                                                     const std::vector<std::string> &dumps = {});

  /// What is allowed and was probably not meant, as it would be printed; often empty.
  const std::string &warnings() const { return warningText; }

  mlir::MLIRContext &context() { return *mlirContext; }
  mlir::ModuleOp module() { return *ownedModule; }
  attn::VariantOp variant() { return selected; }
  /// A module of its own with a copy of the selected variant, to be consumed by a pipeline.
  mlir::OwningOpRef<mlir::ModuleOp> cloneVariant();
  /// The variant as canonical text without locations: what the cache key is made of.
  std::string canonicalText();
  /// Default values of launch-time parameters, by name.
  std::map<std::string, double> defaultParams();

private:
  Spec() = default;
  std::unique_ptr<mlir::MLIRContext> mlirContext;
  mlir::OwningOpRef<mlir::ModuleOp> ownedModule;
  attn::VariantOp selected;
  std::string warningText;
};

/// Registers every dialect and translation that specs and compilation need.
void registerAllDialects(mlir::DialectRegistry &registry);

/// "attnc 0.1.0 (LLVM 22.1.8)"; part of every cache key.
std::string compilerVersion();

/// True if ATTNC_VERIFY asks for CompileOptions::verify in every compilation.
bool verifiesAlways();

/// What a compilation reports besides the code.
struct CompileReport {
  bool fromCache = false;
  std::vector<std::pair<std::string, double>> phases; ///< name, milliseconds
};

/// Adds the phases of a compilation, and the steps of the one that made the code: `ptx.optimize`.
void reportPhases(const CompileResult &result, CompileReport &report);

/// Checks that each of `values` is of a const parameter of the variant, and one that its type can
/// hold. The error's code is invalid_argument.
llvm::Error checkConstParams(Spec &spec, const std::map<std::string, double> &values);

/// The code that a compilation for `target` has ended with, ready to be loaded or saved: host code
/// is linked.
llvm::Expected<CompiledCode> codeOf(CompileResult result, const Target &target);

/// Compiles `spec` for `options.target`. `cache` may be null. Errors carry the diagnostics' text;
/// the code of one about a const parameter is invalid_argument.
llvm::Expected<CompiledCode> compileSpec(Spec &spec, const CompileOptions &options,
                                         CodeCache *cache, CompileReport *report = nullptr);

/// The same for `module`, which has the variant of `spec` as passes have made it until the end of
/// `phase`.
llvm::Expected<CompiledCode> compileRewritten(Spec &spec, mlir::ModuleOp module, Phase phase,
                                              const CompileOptions &options, CodeCache *cache,
                                              CompileReport *report = nullptr);

/// Adds to a program what the spec knows of a launch and its kernels do not: defaults of
/// parameters, and parameters and inputs that no kernel reads.
void completeSignature(Spec &spec, Program &program);

/// Code that was made from an artefact, `name` in messages, as code of `spec` compiled with
/// `options`: launch-time values that only the spec knows are added. Fails if the artefact's kernel
/// has other tensors or parameters than the spec has with these options.
llvm::Expected<CompiledCode> codeFromArtefact(Spec &spec, const CompileOptions &options,
                                              CompileResult artefact, llvm::StringRef name);

/// Compiled code on a device, ready to launch any number of times, from several threads: the
/// runtime's, with LLVM's errors.
class Executable {
public:
  /// Native code of this process.
  static llvm::Expected<std::unique_ptr<Executable>>
  loadHost(CompiledCode code, std::shared_ptr<HostLauncher> launcher);
  /// PTX on a CUDA device (or the emulator).
  static llvm::Expected<std::unique_ptr<Executable>> loadCUDA(CompiledCode code,
                                                              std::shared_ptr<cuda::Device> device);

  const Program &program() const { return loaded->program(); }
  const std::string &target() const { return loaded->target(); }

  /// Checks the inputs and packs them for `run`. The error's code is invalid_argument.
  llvm::Expected<PackedArguments> prepare(const LaunchInputs &inputs) const;
  /// Launches what `prepare` of this executable has made (see LoadedCode::run).
  llvm::Error run(const PackedArguments &arguments, cuda::Stream stream = nullptr,
                  WorkspaceBlock workspace = {}, LaunchTimes *times = nullptr);

  /// Checks the inputs and launches. On the host returns when done; on CUDA returns at once, on
  /// `stream`, with device pointers in the tensors. If the inputs do not fit, nothing is written
  /// and the error's code is invalid_argument; other errors are the device's.
  llvm::Error launch(const LaunchInputs &inputs, cuda::Stream stream = nullptr,
                     WorkspaceBlock workspace = {});

private:
  explicit Executable(std::unique_ptr<LoadedCode> loaded) : loaded(std::move(loaded)) {}
  std::unique_ptr<LoadedCode> loaded;
};

} // namespace attnc

#endif // ATTNC_JIT_COMPILER_H
