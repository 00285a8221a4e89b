// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// How the kernels of an artefact are launched: their arguments, grids and memory. Up to the phase
// where it is read off tile kernels the IR itself says it; behind, a record travels with the
// artefact, so that it can be run: as the attribute `attnc.launch` of an MLIR module, as a comment
// on the last line of PTX and assembly, and behind the end of an ELF file, where linkers do not
// look.
#ifndef ATTNC_PIPELINES_LAUNCHRECORD_H
#define ATTNC_PIPELINES_LAUNCHRECORD_H

#include "attnc/Plan/Plan.h"
#include "attnc/Runtime/Program.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/Error.h"
#include <optional>
#include <string>
#include <vector>

namespace attnc {

struct LaunchRecord {
  std::string target; ///< "host" or "sm_90a"
  /// Features of a CPU, by LLVM's names, that host code needs.
  std::vector<std::string> cpuFeatures;
  Program program;
};

/// Reads the record off a module at the launch phase of `target`. Fails, after reporting an error,
/// on a module that is no program of kernels.
mlir::FailureOr<LaunchRecord> extractLaunchRecord(mlir::ModuleOp module, const Target &target);

/// JSON in one line, and back. The text is not trusted; the error says what is malformed.
std::string serializeLaunchRecord(const LaunchRecord &record);
llvm::Expected<LaunchRecord> parseLaunchRecord(llvm::StringRef text);

/// Sets and reads the attribute of a module; nothing if there is none.
void setLaunchRecord(mlir::ModuleOp module, const LaunchRecord &record);
llvm::Expected<std::optional<LaunchRecord>> launchRecordOf(mlir::ModuleOp module);

/// `code` with the record as its last line, behind `comment`: "// " in PTX, "# " in assembly, ""
/// behind an ELF file.
std::string withLaunchRecord(llvm::StringRef code, llvm::StringRef comment,
                             const LaunchRecord &record);
/// Takes the record that withLaunchRecord has added off `code`; nothing, and `code` as it is, if
/// there is none.
llvm::Expected<std::optional<LaunchRecord>> takeLaunchRecord(std::string &code,
                                                             llvm::StringRef comment);

} // namespace attnc

#endif // ATTNC_PIPELINES_LAUNCHRECORD_H
